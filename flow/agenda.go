package flow

import (
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// To the broker a schedule is a saga of a flow of its own, which is parked until the next tick: so a worker that has the schedule is woken for it, one and no other. What
// it commits starts the sagas of the ticks and moves the agenda on, in one move. The ID is none that a user can give to a saga.
const schedulePrefix = "~schedule:"

// The kinds of events that schedules get. Their texts are durable.
const (
	eventDefine = "define" // Data is a rule
	eventRemove = "remove"
)

func scheduleID(name string) string { return schedulePrefix + name }

func scheduleServed(name string) broker.Served {
	return broker.Served{Flow: scheduleID(name), Version: 1}
}

// agenda is where a schedule stands. The broker keeps it as the memo of the schedule's saga, in times as Unix nanoseconds: its names are durable.
type agenda struct {
	Rule  rule  `msgpack:"rule"`
	Since int64 `msgpack:"since"` // ticks until then are dealt with
	Next  int64 `msgpack:"next,omitempty"`

	Last     int64  `msgpack:"last,omitempty"` // tick whose saga was started last
	LastAt   int64  `msgpack:"lastAt,omitempty"`
	LastSaga string `msgpack:"lastSaga,omitempty"`
	Flow     string `msgpack:"flow,omitempty"` // of the sagas

	Started  uint64 `msgpack:"started,omitempty"`
	Skipped  uint64 `msgpack:"skipped,omitempty"`
	Failures int    `msgpack:"failures,omitempty"` // to start a saga, in a row
	Err      string `msgpack:"err,omitempty"`      // of the last of them
}

// newAgenda is that of a schedule that is seen for the first time. A single tick may have passed before.
func newAgenda(s Schedule, now time.Time) agenda {
	a := agenda{Rule: s.rule, Flow: s.def.Name}
	if s.rule.Once == 0 {
		a.Since = now.UnixNano()
	}
	return a
}

// define changes the rule. The new one's ticks count from now.
func (a *agenda) define(r rule, now time.Time) {
	a.Rule, a.Failures, a.Err = r, 0, ""
	if r.Once == 0 {
		a.Since = max(a.Since, now.UnixNano())
	}
}

func (a *agenda) encode() []byte {
	data, err := msgpack.Marshal(a)
	if err != nil {
		panic("flow: an agenda cannot be encoded: " + err.Error()) // numbers and texts can
	}
	return data
}

// agendaOf reads the agenda of a schedule: its memo or, as long as nothing was committed, its input.
func agendaOf(r *broker.Record) (a agenda, err error) {
	data := r.Memo
	if len(data) == 0 {
		header, err := saga.DecodeHeader(r.Record)
		if err != nil {
			return a, fmt.Errorf("flow: the record of schedule %q cannot be read: %w", r.ID, err)
		}
		data = header.Input
	}
	if err := msgpack.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("flow: the agenda of schedule %q cannot be read: %w", r.ID, err)
	}
	return a, nil
}

func ruleOf(data []byte) (r rule, err error) {
	err = msgpack.Unmarshal(data, &r)
	return r, err
}

// tickID is the ID of the saga of a tick.
func tickID(name string, tick time.Time) string {
	return name + "@" + tick.UTC().Format(time.RFC3339Nano)
}
