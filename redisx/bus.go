package redisx

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

var _ broker.Bus = (*Broker)(nil)

// BusOptions say how a broker carries events. All brokers of a bus should have the same.
type BusOptions struct {
	// Namespace begins the names of the bus's keys: brokers with the same hear each other's events, whatever their own Namespace is. By default it
	// is Options.Namespace.
	Namespace string
	// Partitions is over how many partitions events are spread, by their keys, or by their IDs if they have none: Options.Partitions if the namespace is that of the broker,
	// otherwise 1. Like those of sagas they are fixed when the namespace is first used.
	Partitions int
	// Age is for how long events are kept for groups that have not read them, and for groups to come: 7 days by default.
	Age time.Duration
	// Most is how many events of a topic are kept in each partition: 1,000,000 by default.
	Most int
	// Memory is for how long a second event of one ID is known to be a repeat, at least: an hour by default. Twice that time it is no more.
	Memory time.Duration
}

const (
	defaultEventAge    = 7 * 24 * time.Hour
	defaultEventMost   = 1_000_000
	defaultEventMemory = time.Hour
)

func (o BusOptions) check() error {
	switch {
	case strings.ContainsAny(o.Namespace, `{}*?[]\`):
		return fmt.Errorf("redisx: Options.Bus.Namespace is %q: it may not contain any of {}*?[]\\", o.Namespace)
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		return fmt.Errorf("redisx: Options.Bus.Partitions is %d: there are 1 to %d", o.Partitions, maxPartitions)
	case o.Age < 0 || o.Most < 0 || o.Memory < 0:
		return fmt.Errorf("redisx: Options.Bus has Age %v, Most %d and Memory %v: none is negative", o.Age, o.Most, o.Memory)
	}
	return nil
}

func (o BusOptions) withDefaults() BusOptions {
	o.Age = max(cmp.Or(o.Age, defaultEventAge), time.Millisecond)
	o.Most = cmp.Or(o.Most, defaultEventMost)
	o.Memory = max(cmp.Or(o.Memory, defaultEventMemory), time.Millisecond)
	return o
}

// words are what store in bus.lua takes first.
func (o BusOptions) words() []any {
	return []any{o.Memory.Milliseconds(), o.Most, o.Age.Milliseconds()}
}

// makeHome makes the broker in whose keys the bus is: b, if the namespace is the same.
func (b *Broker) makeHome() {
	o := b.opts.Bus
	if o.Namespace == "" || o.Namespace == b.opts.Namespace {
		b.home = b
		return
	}
	b.home = New(b.client, Options{
		Namespace: o.Namespace, Partitions: o.Partitions, Durability: b.opts.Durability, Logger: b.opts.Logger,
		Bus: BusOptions{Age: o.Age, Most: o.Most, Memory: o.Memory},
	})
}

var (
	//go:embed bus.lua
	busSource string
	//go:embed bus_publish.lua
	busPublishSource string
	//go:embed bus_turn.lua
	busTurnSource string
	//go:embed bus_join.lua
	busJoinSource string
	//go:embed bus_beat.lua
	busBeatSource string
	//go:embed bus_leave.lua
	busLeaveSource string
	//go:embed bus_decide.lua
	busDecideSource string
	//go:embed bus_look.lua
	busLookSource string
	//go:embed bus_forget.lua
	busForgetSource string
	//go:embed bus_add.lua
	busAddSource string
)

var (
	busPublish = redis.NewScript(commonSource + busSource + busPublishSource)
	busTurn    = redis.NewScript(commonSource + busSource + busTurnSource)
	busJoin    = redis.NewScript(commonSource + busSource + busJoinSource)
	busBeat    = redis.NewScript(commonSource + busSource + busBeatSource)
	busLeave   = redis.NewScript(commonSource + busSource + busLeaveSource)
	busDecide  = redis.NewScript(commonSource + busSource + busDecideSource)
	busLook    = redis.NewScript(commonSource + busSource + busLookSource)
	busForget  = redis.NewScript(commonSource + busSource + busForgetSource)
	busAdd     = redis.NewScript(commonSource + busSource + busAddSource)
)

var errEvent = errors.New("an event needs a topic and an ID, and a topic is printable text without a slash")

// Publish implements broker.Bus. Events that are published at the same time travel together.
func (b *Broker) Publish(ctx context.Context, events ...broker.Publication) error {
	if err := b.home.publish(ctx, events); err != nil {
		return fmt.Errorf("redisx: publish: %w", err)
	}
	return nil
}

func (b *Broker) publish(ctx context.Context, events []broker.Publication) error {
	for _, ev := range events {
		if ev.ID == "" || !soundName(ev.Topic) {
			return fmt.Errorf("%q on %q: %w", ev.ID, ev.Topic, errEvent)
		}
	}
	if err := b.usable(ctx); err != nil {
		return err
	}
	var sent []*op
	for _, ev := range events {
		p := b.parts[eventPartition(ev, len(b.parts))]
		o := ops.Get().(*op)
		o.details = &outgoing{topic: ev.Topic, id: ev.ID, body: appendPublication(nil, ev)}
		p.events.submit(o)
		sent = append(sent, o)
	}
	for _, o := range sent {
		if err := o.await(ctx, b); err != nil {
			return b.passing(ctx, err)
		}
		o.release()
	}
	return nil
}

// soundName tells whether s can be the name of a topic or group.
func soundName(s string) bool { return s != "" && !strings.ContainsAny(s, "/\n\x00") }

// eventPartition is where an event is: with those of its key.
func eventPartition(ev broker.Publication, partitions int) int {
	if partitions == 1 {
		return 0
	}
	return int(xxhash.Sum64String(cmp.Or(ev.Key, ev.ID)) % uint64(partitions))
}

// appendPublication writes an event as bus.lua knows it, without its time.
func appendPublication(b []byte, ev broker.Publication) []byte {
	b = appendText(b, ev.ID)
	b = appendText(b, ev.Key)
	return append(b, ev.Data...)
}

const stampLength = 6 // of the time before an event

// parsePublication reads what bus.lua stores of an event.
func parsePublication(topic, body string) (ev broker.Publication, err error) {
	if len(body) < stampLength {
		return ev, errReply
	}
	id, rest, ok := cutText(body[stampLength:])
	if !ok {
		return ev, errReply
	}
	key, data, ok := cutText(rest)
	if !ok {
		return ev, errReply
	}
	return broker.Publication{Topic: topic, ID: id, Key: key, Data: []byte(data)}, nil
}

// outgoing is an event on its way to the server.
type outgoing struct {
	topic, id string
	body      []byte
}

// eventBatch is what one run of bus_publish.lua stores.
type eventBatch struct{ p *partition }

func (t *eventBatch) take(queue []*op) int {
	size := 0
	for n, o := range queue {
		size += len(o.details.(*outgoing).body)
		if n == maxOps || n > 0 && size > maxBytes {
			return n
		}
	}
	return len(queue)
}

func (t *eventBatch) send(batch []*op) {
	args := t.p.b.opts.Bus.words()
	byTopic := make(map[string][]*outgoing)
	var topics []string
	for _, o := range batch {
		ev := o.details.(*outgoing)
		if byTopic[ev.topic] == nil {
			topics = append(topics, ev.topic)
		}
		byTopic[ev.topic] = append(byTopic[ev.topic], ev)
	}
	for _, topic := range topics {
		args = append(args, topic, len(byTopic[topic]))
		for _, ev := range byTopic[topic] {
			args = append(args, ev.id, ev.body)
		}
	}
	_, err := t.p.insist(t.p.b.ctx, busPublish, args, t.p.b.opts.Durability != (Durability{}))
	for _, o := range batch {
		o.err = err
	}
}

// parseRef reads where an event is: in which partition, its number, and in which turn it was handed out.
func parseRef(ref string) (partition int, n uint64, turn int, ok bool) {
	where, rest, _ := strings.Cut(ref, ":")
	which, count, _ := strings.Cut(rest, ".")
	partition, err := strconv.Atoi(where)
	n, err2 := strconv.ParseUint(which, 10, 64)
	turn, err3 := strconv.Atoi(count)
	return partition, n, turn, errors.Join(err, err2, err3) == nil
}

func makeRef(partition int, n uint64, turn int) string {
	return fmt.Sprintf("%d:%d.%d", partition, n, turn)
}

// parseBuried reads what bus.lua stores of a dead event.
func parseBuried(topic, group, s string) (d broker.DeadEvent, err error) {
	const head = 6 + 2 + 4 + 4
	if len(s) < head {
		return d, errReply
	}
	length := int(binary.BigEndian.Uint32([]byte(s[head-4 : head])))
	if length > len(s)-head {
		return d, errReply
	}
	ev, err := parsePublication(topic, s[head+length:])
	return broker.DeadEvent{
		Publication: ev, Group: group, Attempts: int(parseUint(s[6:8])), Reason: []byte(s[head : head+length]),
		At: time.UnixMilli(int64(parse48(s))),
	}, err
}
