package flow

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// desk is a worker that takes every transition, and keeps the last.
type desk struct {
	broker.Worker
	last broker.Transition
}

func (d *desk) Commit(_ context.Context, t broker.Transition) (broker.Ack, error) {
	d.last = t
	return broker.Ack{Rev: t.Rev + 1, Owned: true}, nil
}

// A clock that is put forward by mistake starts the last tick that it passes, one that is put back starts none again.
func TestAClockThatJumps(t *testing.T) {
	f := New[time.Time]("f").Then(step.New("a", func(_ context.Context, at time.Time) (time.Time, error) { return at, nil }))
	s := Cron("daily", "0 6 * * *", f, func(tick time.Time) time.Time { return tick })
	e := NewEngine(inmem.New(), Options{Logger: slog.New(slog.DiscardHandler)})
	d := &desk{}
	tended := &tending{e: e, m: &member{worker: d}, s: &s, a: newAgenda(s, instant(t, "2026-01-01T00:00:00Z"))}
	for _, c := range []struct {
		now    string
		starts []string
		wakes  string
	}{
		{"2026-01-01T05:59:59Z", nil, "2026-01-01T06:00:00Z"},
		{"2026-01-01T06:00:00Z", []string{"daily@2026-01-01T06:00:00Z"}, "2026-01-02T06:00:00Z"},
		{"2026-01-01T05:00:00Z", nil, "2026-01-02T06:00:00Z"},                                    // an hour back
		{"2026-01-01T06:30:00Z", nil, "2026-01-02T06:00:00Z"},                                    // six o'clock again
		{"2026-01-09T12:00:00Z", []string{"daily@2026-01-09T06:00:00Z"}, "2026-01-10T06:00:00Z"}, // eight days on
		{"2026-01-02T06:00:00Z", nil, "2026-01-10T06:00:00Z"},                                    // and back: what lies behind its last tick is not started again
		{"2026-01-10T06:00:01Z", []string{"daily@2026-01-10T06:00:00Z"}, "2026-01-11T06:00:00Z"},
	} {
		owned, err := tended.turn(instant(t, c.now))
		require.NoError(t, err)
		require.True(t, owned)
		var started []string
		for _, m := range d.last.Send {
			started = append(started, m.Start.ID)
		}
		assert.Equal(t, c.starts, started, c.now)
		assert.Equal(t, c.wakes, d.last.Until.Format(time.RFC3339), c.now)
		assert.Equal(t, broker.Park, d.last.Next)
	}
}

func TestAScheduleReadsItsMailOnce(t *testing.T) {
	f := New[time.Time]("f").Then(step.New("a", func(_ context.Context, at time.Time) (time.Time, error) { return at, nil }))
	s := Every("s", time.Hour, f, func(tick time.Time) time.Time { return tick })
	e := NewEngine(inmem.New(), Options{Logger: slog.New(slog.DiscardHandler)})
	noise := broker.Event{ID: "1", Kind: eventDefine, Data: []byte("noise")}
	tended := &tending{e: e, m: &member{worker: &desk{}}, s: &s, a: newAgenda(s, time.Now()), mail: []broker.Event{noise, {ID: "2", Kind: "unknown"}}}
	_, err := tended.turn(time.Now())
	require.NoError(t, err)
	assert.Empty(t, tended.mail)
	assert.Equal(t, s.rule, tended.a.Rule, "what cannot be read changes nothing")
	tended.keep([]broker.Event{noise}, nil)
	tended.keep([]broker.Event{noise, {ID: "3"}}, nil)
	assert.Len(t, tended.mail, 2)
}

func FuzzAgenda(f *testing.F) {
	full := agenda{Rule: rule{Cron: "0 6 * * *", Zone: "UTC"}, Since: 1, Next: 2, Last: 3, LastSaga: "s"}
	f.Add(full.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := agendaOf(&broker.Record{Memo: data, Start: broker.Start{ID: "~schedule:s", Record: data}})
		if err != nil {
			return
		}
		again, err := agendaOf(&broker.Record{Memo: a.encode()})
		require.NoError(t, err)
		require.Equal(t, a, again)
		_, _ = a.Rule.calendar() // and no panic
	})
}
