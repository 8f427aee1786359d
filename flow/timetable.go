package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// keepSchedules sees to it that the broker has this engine's schedules as they are, until ctx ends: when it begins, and then again and again, because the engines
// of another version of the program may have changed them meanwhile. It ends when stop is called, which waits for it.
func (e *Engine) keepSchedules(ctx context.Context) (stop func()) {
	if len(e.schedules) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			for _, s := range e.schedules {
				if err := e.keepSchedule(ctx, s); err != nil && ctx.Err() == nil {
					e.log.Error("a schedule cannot be stored", "schedule", s.name, "error", err)
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// lookAgain is how often an engine looks whether its schedules are as they are.
const lookAgain = 5 * time.Minute

// keepSchedule stores a schedule, or tells that its rule is another one now.
func (e *Engine) keepSchedule(ctx context.Context, s Schedule) error {
	for {
		found, err := e.lookupAll(ctx, scheduleID(s.name))
		switch {
		case errors.Is(err, broker.ErrUnknown):
			existed, err := e.storeSchedule(ctx, s)
			if err != nil || !existed {
				return err
			}
			continue // somebody else has stored it
		case err != nil:
			return err
		case found.State == broker.Finished: // it was removed a moment ago
			return nil
		}
		a, err := agendaOf(&found.Record)
		if err != nil || a.Rule == s.rule {
			return err
		}
		data, err := msgpack.Marshal(s.rule)
		if err != nil {
			return err
		}
		return e.deliver(ctx, found.ID, broker.Event{ID: eventDefine + "-" + uuid.NewString(), Kind: eventDefine, Data: data, At: time.Now()})
	}
}

// storeSchedule stores a schedule that the broker does not know. All that do so store the same, but for the time: so it has no digest.
func (e *Engine) storeSchedule(ctx context.Context, s Schedule) (existed bool, err error) {
	now := time.Now()
	first := newAgenda(s, now)
	header := saga.Header{Started: now, Input: first.encode()}
	started, err := e.startUntil(ctx, broker.Start{ID: scheduleID(s.name), Served: scheduleServed(s.name), Record: header.Append(nil)})
	return started.Existed, err
}

// lookupAll repeats a read until the broker has answered, with memo and mail.
func (e *Engine) lookupAll(ctx context.Context, id string) (s broker.Snapshot, err error) {
	err = insist(ctx, func() error {
		s, err = e.broker.Lookup(ctx, id, true)
		return err
	})
	return s, err
}

// ScheduleStatus is how a schedule stands in the store.
type ScheduleStatus struct {
	Name     string
	Rule     string    // in words
	Flow     string    // of the sagas that it starts
	Next     time.Time // tick; zero: there is none any more
	Last     time.Time // tick whose saga was started last; zero: none was
	LastSaga string    // its ID
	Started  uint64    // sagas
	Skipped  uint64    // ticks for which none was started, because the last one ran or SkipMissed; of many missed ticks only some are counted
	Err      string    // why the saga of the present tick cannot be started; it is tried again
	Stranded bool      // a tick is due, and no living engine has the schedule
}

// Schedules lists the schedules that the broker knows, those of other programs as well, in order of their names.
func (e *Engine) Schedules(ctx context.Context) (all []ScheduleStatus, err error) {
	if e.isZero() {
		return nil, fmt.Errorf("flow: list schedules: %w", ErrZero)
	}
	for s, err := range e.broker.List(ctx, broker.Filter{After: schedulePrefix}) {
		if err != nil {
			return nil, fmt.Errorf("flow: list schedules: %w", translate(err))
		}
		if !isSchedule(s.ID) {
			break // they come in order
		}
		status, err := e.scheduleStatus(ctx, s.ID)
		switch {
		case errors.Is(err, broker.ErrUnknown): // it was removed meanwhile
		case err != nil:
			return nil, fmt.Errorf("flow: list schedules: %w", translate(err))
		default:
			all = append(all, status)
		}
	}
	return all, nil
}

func isSchedule(id string) bool { return strings.HasPrefix(id, schedulePrefix) }

func (e *Engine) scheduleStatus(ctx context.Context, id string) (ScheduleStatus, error) {
	found, err := e.broker.Lookup(ctx, id, true)
	if err == nil && found.State == broker.Finished {
		err = broker.ErrUnknown
	}
	if err != nil {
		return ScheduleStatus{}, err
	}
	a, err := agendaOf(&found.Record)
	if err != nil {
		return ScheduleStatus{}, err
	}
	return ScheduleStatus{
		Name: strings.TrimPrefix(id, schedulePrefix), Rule: a.Rule.String(), Flow: a.Flow, Next: timeAt(a.Next), Last: timeAt(a.Last), LastSaga: a.LastSaga,
		Started: a.Started, Skipped: a.Skipped, Err: a.Err, Stranded: found.Stranded,
	}, nil
}

func timeAt(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// RemoveSchedule lets the broker forget a schedule. Take it out of all programs first: an engine that still has it stores it again, as a new one. Sagas that it has started
// go on. It returns when the schedule is gone, or with the error of ctx; ErrUnknown says that there is none of that name.
func (e *Engine) RemoveSchedule(ctx context.Context, name string) error {
	if e.isZero() {
		return fmt.Errorf("flow: remove schedule %q: %w", name, ErrZero)
	}
	if err := e.removeSchedule(ctx, name); err != nil {
		return fmt.Errorf("flow: remove schedule %q: %w", name, translate(err))
	}
	return nil
}

func (e *Engine) removeSchedule(ctx context.Context, name string) error {
	id := scheduleID(name)
	found, err := e.lookup(ctx, id)
	switch {
	case err != nil:
		return err
	case found.State == broker.Finished:
		return broker.ErrUnknown
	}
	if err := e.deliver(ctx, id, broker.Event{ID: eventRemove + "-" + uuid.NewString(), Kind: eventRemove, At: time.Now()}); err != nil {
		return err
	}
	w, err := e.broker.Join(ctx, broker.Member{
		Name: e.opts.Name, Build: "remove " + id, Flows: []broker.Served{scheduleServed(name)}, Lease: e.opts.Lease,
	})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.Lease)
		defer cancel()
		_ = w.Leave(ctx) // what it has then is taken over
	}()
	return e.finishSchedule(ctx, w, id)
}

// finishSchedule ends a schedule as whoever gets it: this worker, or the engine that has it.
func (e *Engine) finishSchedule(ctx context.Context, w broker.Worker, id string) error {
	for {
		inner, cancel := context.WithTimeout(ctx, time.Second)
		deliveries, err := w.Receive(inner, 1)
		cancel()
		if err != nil && inner.Err() == nil {
			return err
		}
		for _, d := range deliveries {
			if d.Saga != nil {
				_, _ = w.Commit(ctx, broker.Transition{ID: id, Rev: d.Saga.Rev, Next: broker.Finish, Outcome: []byte{}}) // the lookup tells
			}
		}
		found, err := e.lookup(ctx, id)
		if errors.Is(err, broker.ErrUnknown) || err == nil && found.State == broker.Finished {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
