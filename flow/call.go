package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Call is what another service was asked for and has not answered: to run a flow for a saga, or to undo that.
type Call struct {
	Path    string // of the Ref in the saga that calls
	Service string
	Flow    string    // there
	Since   time.Time // when it was called
}

func waitsOf(m *saga.Machine) (waits []Call) {
	for _, c := range m.Calls() {
		waits = append(waits, Call(c))
	}
	return waits
}

// addWaits says which services a saga waits for that is parked.
func (e *Engine) addWaits(ctx context.Context, snap *Snapshot, r broker.Record) {
	if s := e.servedAs(r.Served); r.Version != 0 && (s == nil || !s.prog.Remote) {
		return
	}
	if waits, err := e.waitsOf(ctx, r.ID); err == nil {
		snap.Waits = waits
	}
}

// waitsOf reads the calls that a saga waits for; none, if it has ended.
func (e *Engine) waitsOf(ctx context.Context, id string) ([]Call, error) {
	s, err := e.broker.Lookup(ctx, id, true)
	if err != nil || hasEnded(s) {
		return nil, err
	}
	served := e.servedFor(&s.Record)
	if served == nil || !served.prog.Remote {
		return nil, nil
	}
	m, err := saga.Load(&e.env, served.prog, &s.Record, time.Now())
	if err != nil {
		return nil, err
	}
	defer m.Release()
	return waitsOf(m), nil
}

// calls remembers for each flow of another service the oldest call of it that this engine made and has seen no answer to.
type calls struct {
	mu     sync.Mutex
	oldest map[callee]caller
}

type callee struct{ service, flow string }

type caller struct {
	saga, path string
	since      time.Time
}

// patience is how long a service may take to answer before Health speaks of it.
const patience = time.Minute

// noteCalls looks whether what was committed begins or ends a call.
func (r *run) noteCalls(entries []broker.Entry) {
	if !r.served.prog.Remote {
		return
	}
	for _, entry := range entries {
		switch saga.FactKind(entry.Data[0]) {
		case saga.Begun, saga.Reply:
			r.e.calls.note(r.id, r.m.Calls())
			return
		}
	}
}

// note takes the open calls of a saga.
func (c *calls) note(id string, open []saga.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, old := range c.oldest {
		if old.saga == id {
			delete(c.oldest, key)
		}
	}
	for _, call := range open {
		key := callee{call.Service, call.Flow}
		if _, known := c.oldest[key]; known {
			continue
		}
		if c.oldest == nil {
			c.oldest = make(map[callee]caller)
		}
		c.oldest[key] = caller{id, call.Path, call.Since}
	}
}

// late gives the calls that have had no answer for longer than patience.
func (c *calls) late() map[callee]caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := map[callee]caller{}
	for key, call := range c.oldest {
		if time.Since(call.since) >= patience {
			late[key] = call
		}
	}
	return late
}

// forget drops a call that was answered to another engine.
func (c *calls) forget(key callee, call caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.oldest[key] == call {
		delete(c.oldest, key)
	}
}

// unanswered says which services do not answer. Whether a call is still open it reads from the store.
func (e *Engine) unanswered(ctx context.Context) (errs []error) {
	for key, call := range e.calls.late() {
		waits, err := e.waitsOf(ctx, call.saga)
		switch {
		case err != nil && !errors.Is(err, broker.ErrUnknown):
			continue // what is wrong with the broker is said elsewhere
		case !slices.ContainsFunc(waits, func(w Call) bool { return w.Service == key.service && w.Path == call.path }):
			e.calls.forget(key, call)
			continue
		}
		errs = append(errs, fmt.Errorf("flow: service %q has not answered since %s: saga %q waits at %q for its flow %q: does an engine there serve it?",
			key.service, call.since.UTC().Format(time.RFC3339), call.saga, call.path, key.flow))
	}
	return errs
}
