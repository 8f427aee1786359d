package flow

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Snapshot is how a saga stands in the store.
type Snapshot struct {
	SagaID   string
	Flow     string
	Version  int
	State    State
	Parent   string    // ID of the saga that it is a child of
	Started  time.Time // zero if the record is gone
	Since    time.Time // when it got to where it is
	Wake     time.Time // when a saga that waits goes on by itself
	Owner    string    // name of the engine that runs it
	Stranded bool      // no living worker takes it
	Headers  Headers
	Claims   []Claim      // what it holds or waits for, in the order in which it takes them, with their holders; see WaitsFor
	Err      error        // why it goes back, is undone, or is a dead letter; or why its steps cannot be told
	Steps    []StepStatus // what it has come to, in order; empty if the record is gone, or the flow is not known here
	// Decisions are what persons decided about it, in order.
	Decisions []Decision
	// Waits are the calls of other services that a saga of a flow that this engine serves waits for: also in a List.
	Waits []Call
}

// StepStatus is how one step, wait, delay or child of a saga stands.
type StepStatus struct {
	Path     string
	Kind     string // step, wait, delay, child
	State    string // open, done, refused, failed, undoing, undone, stuck, void
	Attempts int
	Next     time.Time // of a failed attempt that waits for the next
	Err      error     // the last error; of a Ref whose saga is a dead letter at its service, that of the dead letter
	Service  string    // of a Ref, which runs the saga
	Since    time.Time // of a Ref: when it was called, as long as its answer is waited for
}

// Filter selects sagas. Zero fields select all.
type Filter struct {
	Flow  string
	State State  // StateRunning and StateCompensating are not told apart: either selects what has not ended, also what is StateWaiting
	After string // only IDs greater than this
}

// Snapshot reads how a saga stands. ErrUnknown if there is none. The steps are told only of flows that this engine serves.
func (e *Engine) Snapshot(ctx context.Context, id string) (Snapshot, error) {
	if e.isZero() {
		return Snapshot{}, fmt.Errorf("flow: snapshot of saga %q: %w", id, ErrZero)
	}
	s, err := e.broker.Lookup(ctx, id, true)
	if err != nil {
		return Snapshot{}, fmt.Errorf("flow: snapshot of saga %q: %w", id, translate(err))
	}
	snap := e.snapshot(s)
	if err := e.addClaims(ctx, &snap, s); err != nil {
		return Snapshot{}, fmt.Errorf("flow: snapshot of saga %q: %w", id, err)
	}
	if served := e.servedFor(&s.Record); served != nil && len(s.Record.Record) > 0 {
		e.addSteps(&snap, served, s)
	}
	return snap, nil
}

// List walks over the sagas in the store in order of their IDs, without their steps. Sagas that wait for other services are read one by one. What starts or ends meanwhile may or may not be
// seen. After an error, which comes as the second value, it ends.
func (e *Engine) List(ctx context.Context, f Filter) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		if e.isZero() {
			yield(Snapshot{}, fmt.Errorf("flow: list sagas: %w", ErrZero))
			return
		}
		filter := broker.Filter{Flow: f.Flow, After: f.After}
		if f.State == StateDeadLetter {
			filter.State = broker.Buried
		}
		for s, err := range e.broker.List(ctx, filter) {
			if err != nil {
				yield(Snapshot{}, fmt.Errorf("flow: list sagas: %w", translate(err)))
				return
			}
			snap := e.snapshot(s)
			if isSchedule(s.ID) && !s.Stranded {
				continue // see Schedules
			}
			if err := e.addClaims(ctx, &snap, s); err != nil {
				yield(Snapshot{}, fmt.Errorf("flow: list sagas: %w", err))
				return
			}
			if !f.State.selects(snap.State) {
				continue
			}
			if s.State == broker.Parked {
				e.addWaits(ctx, &snap, s.Record)
			}
			if !yield(snap, nil) {
				return
			}
		}
	}
}

func (s State) selects(other State) bool {
	going := func(s State) bool { return s == StateRunning || s == StateCompensating }
	return s == StateUnknown || s == other || going(s) && (going(other) || other == StateWaiting)
}

func (e *Engine) snapshot(s broker.Snapshot) Snapshot {
	snap := Snapshot{
		SagaID: s.ID, Flow: s.Flow, Version: s.Version, State: StateRunning, Parent: s.Parent,
		Since: s.Since, Wake: s.Wake, Owner: s.Owner, Stranded: s.Stranded,
	}
	if header, err := saga.DecodeHeader(s.Record.Record); err == nil {
		snap.Started, snap.Headers = header.Started, header.Headers
	}
	snap.Decisions = decisionsIn(s, snap.Started)
	if hasEnded(s) {
		res := e.resultOf(s.ID, s.Flow, nil, s.Outcome)
		snap.State, snap.Err = res.state, res.err
	}
	return snap
}

// decisionsIn finds what persons decided. A saga that has ended may have no journal any more; its outcome says it too.
func decisionsIn(s broker.Snapshot, started time.Time) (decisions []Decision) {
	if len(s.Journal) == 0 {
		o, _ := saga.DecodeOutcome(s.Outcome)
		for _, h := range o.Hands {
			decisions = append(decisions, Decision{Kind: decisionKinds[h.Kind], Path: h.Path, By: By{Who: h.Who, Why: h.Why}, At: h.At})
		}
		return decisions
	}
	last := ""
	for _, entry := range s.Journal {
		f, err := saga.DecodeFact(entry, started)
		if err == nil && f.Who != "" && f.ID != last { // a skip is two facts
			last = f.ID
			decisions = append(decisions, Decision{Kind: decisionKinds[f.Kind], Path: f.Path, By: By{Who: f.Who, Why: f.Text}, At: f.At})
		}
	}
	return decisions
}

var decisionKinds = map[saga.FactKind]string{saga.Relayed: "relay", saga.Skipped: "skip", saga.Settled: "settle"}

func (e *Engine) addSteps(snap *Snapshot, served *served, s broker.Snapshot) {
	m, err := saga.Load(&e.env, served.prog, &s.Record, time.Now())
	if err != nil {
		snap.Err = cmp.Or(snap.Err, err)
		return
	}
	defer m.Release()
	snap.Waits = waitsOf(m)
	for _, n := range m.Nodes() {
		snap.Steps = append(snap.Steps, StepStatus{
			Path: n.Path, Kind: n.Kind.String(), State: n.State, Attempts: n.Attempts, Next: n.Next, Err: n.Err,
			Service: n.Service, Since: n.Since,
		})
	}
	if (snap.State == StateRunning || snap.State == StateWaiting) && m.Compensating() {
		snap.State = StateCompensating
		snap.Err = failure(m.Failure(saga.Compensating))
	}
}

// resultIn gives the result of a saga that has an outcome, to a caller who expects one of h's flow.
func (e *Engine) resultIn(h *handle, s broker.Snapshot) result {
	if err := h.check(s); err != nil {
		return result{err: err}
	}
	res := e.resultOf(h.id, h.def.Name, h.def.Root.Out, s.Outcome)
	res.rev = s.Rev
	return res
}

// resultOf reads an outcome. Without out the output stays encoded.
func (e *Engine) resultOf(id, flow string, out *plan.Type, data []byte) result {
	o, err := saga.DecodeOutcome(data)
	if err != nil {
		return result{err: fmt.Errorf("flow: the outcome of saga %q of %q cannot be read: %w", id, flow, err)}
	}
	return e.result(id, flow, out, &o)
}

func (e *Engine) result(id, flow string, out *plan.Type, o *saga.Outcome) result {
	res := result{state: stateOf(o.End)}
	switch {
	case o.End != saga.Succeeded:
		res.err = asError(id, flow, res.state, e.errors.Decode(o.Err))
	case out != nil:
		var err error
		if res.out, err = e.payloads.Decode(out, o.Value); err != nil {
			res.err = fmt.Errorf("flow: saga %q of %q is done, but its output cannot be read: %w", id, flow, err)
		}
	}
	return res
}

// asError gives the error of a saga, also where it cannot be read.
func asError(id, flow string, state State, err error) *Error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return &Error{SagaID: id, Flow: flow, State: state, Cause: err}
}
