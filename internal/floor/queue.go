package floor

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

var (
	//go:embed start.lua
	startSource string
	//go:embed take.lua
	takeSource string
)

const (
	taken = 100         // sagas that are taken from the queue at once
	idle  = time.Second // how long the worker waits for the bell
	brief = 200 * time.Microsecond
)

// queue is design E.
type queue struct {
	owner   *owner
	starter *batcher
	start   string
	take    string
	rung    chan struct{}
}

func (f *Floor) openQueue(ctx context.Context) (err error) {
	if err := f.hear(ctx); err != nil {
		return err
	}
	q := &queue{rung: make(chan struct{}, 1)}
	if q.owner, err = f.openOwner(ctx, results); err != nil {
		return err
	}
	if q.start, err = f.load(ctx, startSource); err != nil {
		return err
	}
	if q.take, err = f.load(ctx, takeSource); err != nil {
		return err
	}
	if err := f.subscribe(ctx, f.client.Subscribe(ctx, bell), q.ring); err != nil {
		return err
	}
	q.starter = f.batch(q.write)
	f.group.Go(q.work)
	f.call = q.call
	return nil
}

func (q *queue) ring(string) {
	select {
	case q.rung <- struct{}{}:
	default:
	}
}

func (q *queue) call(ctx context.Context, id string) error {
	done := q.owner.f.waiters.add(id)
	if err := q.starter.submit(&op{kind: starts, id: id, value: q.owner.input}); err != nil {
		return err
	}
	return q.owner.f.await(ctx, done)
}

func (q *queue) write(ops []*op) error {
	args := make([]any, 0, 6+2*len(ops))
	args = append(args, "EVALSHA", q.start, 2, statesKey, queueKey, bell)
	for _, o := range ops {
		args = append(args, o.id, o.value)
	}
	if err := q.owner.f.client.Do(q.owner.f.ctx, args...).Err(); err != nil {
		return fmt.Errorf("queue a batch of %d sagas: %w", len(ops), err)
	}
	return nil
}

// work runs what is queued until the floor is closed.
func (q *queue) work() {
	for {
		select {
		case <-q.rung:
		case <-time.After(idle):
		case <-q.owner.f.ctx.Done():
			return
		}
		if err := q.empty(); err != nil {
			q.owner.f.fail(err)
			return
		}
	}
}

// empty takes sagas until the queue has none. After a small harvest it pauses: more sagas for the next script.
func (q *queue) empty() error {
	for {
		reply, err := q.owner.f.client.Do(q.owner.f.ctx, "EVALSHA", q.take, 4, workersKey, statesKey, ownedKey, queueKey, worker, token, taken).Slice()
		if err != nil {
			return fmt.Errorf("take sagas from the queue: %w", err)
		}
		if len(reply) == 0 {
			return nil
		}
		ids, _ := reply[0].([]any)
		states, _ := reply[1].([]any)
		for i := range ids {
			id, _ := ids[i].(string)
			state, _ := states[i].(string)
			q.run(id, state)
		}
		if len(ids) > 3 && len(ids) < 30 {
			time.Sleep(brief)
		}
	}
}

func (q *queue) run(id, state string) {
	q.owner.f.group.Go(func() {
		if err := q.owner.run(id, state); err != nil {
			q.owner.f.fail(err)
		}
	})
}
