package floor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The stream of events, and who reads it.
const (
	events = "{floor}:events"
	group  = "g"
	reader = "w1"
)

// event says that a step of a saga is to be done.
type event struct {
	entry string // of the stream
	id    string
	step  int
	data  string
}

// readEvents hands every event to a goroutine of its own.
func (f *Floor) readEvents(ctx context.Context, handle func(event) error) error {
	if err := f.client.XGroupCreateMkStream(ctx, events, group, "0").Err(); err != nil {
		return fmt.Errorf("make the consumer group of %s: %w", events, err)
	}
	f.group.Go(func() {
		for f.ctx.Err() == nil {
			found, err := f.client.XReadGroup(f.ctx, &redis.XReadGroupArgs{
				Group: group, Consumer: reader, Streams: []string{events, ">"}, Count: 100, Block: time.Second,
			}).Result()
			if err == redis.Nil {
				continue
			}
			if err != nil {
				f.fail(fmt.Errorf("read events: %w", err))
				return
			}
			for _, m := range found[0].Messages {
				f.group.Go(func() {
					if err := handle(parseEvent(m)); err != nil {
						f.fail(err)
					}
				})
			}
		}
	})
	return nil
}

func parseEvent(m redis.XMessage) event {
	text := func(field string) string {
		s, _ := m.Values[field].(string)
		return s
	}
	step, _ := strconv.Atoi(text("k"))
	return event{entry: m.ID, id: text("i"), step: step, data: text("d")}
}

// eventful is design A.
type eventful struct {
	f      *Floor
	writer *batcher
	input  string
	output string
	keep   string
}

func (f *Floor) openEvents(ctx context.Context) error {
	if err := f.hear(ctx); err != nil {
		return err
	}
	e := &eventful{f: f, input: strings.Repeat("p", f.work.Input), output: strings.Repeat("r", f.work.Output), keep: f.keep()}
	e.writer = f.batch(e.write)
	f.call = e.call
	return f.readEvents(ctx, e.handle)
}

func (f *Floor) keep() string { return strconv.FormatInt(f.work.Keep.Milliseconds(), 10) }

func (e *eventful) call(ctx context.Context, id string) error {
	done := e.f.waiters.add(id)
	if err := e.writer.submit(&op{kind: starts, id: id, value: e.input}); err != nil {
		return err
	}
	return e.f.await(ctx, done)
}

func (e *eventful) handle(ev event) error {
	if ev.step == e.f.work.Steps-1 {
		return e.writer.submit(&op{kind: finishes, id: ev.id, event: ev.entry, value: e.output})
	}
	return e.writer.submit(&op{kind: records, id: ev.id, event: ev.entry, number: strconv.Itoa(ev.step + 1), value: ev.data})
}

func (e *eventful) write(ops []*op) error {
	ctx, pipe := e.f.ctx, e.f.client.Pipeline()
	for _, o := range ops {
		if o.kind == starts {
			pipe.Do(ctx, "XADD", events, "*", "i", o.id, "k", "0", "d", o.value)
			continue
		}
		pipe.Do(ctx, "MULTI")
		if o.kind == records {
			pipe.Do(ctx, "XADD", events, "*", "i", o.id, "k", o.number, "d", o.value)
		}
		pipe.Do(ctx, "XACK", events, group, o.event)
		pipe.Do(ctx, "XDEL", events, o.event)
		if o.kind == finishes {
			pipe.Do(ctx, "SET", keptOf(o.id), o.value, "PX", e.keep)
			pipe.Do(ctx, "PUBLISH", results, o.id+"="+o.value)
		}
		pipe.Do(ctx, "EXEC")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("write a batch of %d operations: %w", len(ops), err)
	}
	return nil
}

func keptOf(id string) string { return "{floor}:r:" + id }
