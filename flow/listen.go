package flow

import (
	"context"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// DeadLetter is a saga that needs a person, as Options.OnDeadLetter hears of it.
type DeadLetter struct {
	SagaID  string
	Flow    string
	Err     *Error // what failed, and what is undone and what is not
	Headers Headers
}

// AlertKind says what Options.OnAlert hears of.
type AlertKind string

// The kinds of alerts.
const (
	AlertSlow      AlertKind = "slow"      // the saga takes longer than Options.SlowAfter
	AlertDeadline  AlertKind = "deadline"  // its deadline passed when it could only go forward
	AlertAbandoned AlertKind = "abandoned" // an attempt did not return after its context had ended
)

// Alert is something that a person may want to look at. The saga goes on.
type Alert struct {
	Kind    AlertKind
	SagaID  string
	Flow    string
	Step    string // of AlertAbandoned
	Started time.Time
	Headers Headers
}

// deadLetter logs and tells that r's saga is a dead letter.
func (e *Engine) deadLetter(ctx context.Context, r *run, h Headers, err error) {
	failed, ok := err.(*Error)
	if !ok {
		failed = &Error{SagaID: r.id, Flow: r.def.Name, State: StateDeadLetter, Cause: err}
	}
	e.log.ErrorContext(ctx, "saga is a dead letter: relay, skip or settle it", "saga", r.id, "flow", r.def.Name, "error", err)
	if e.opts.OnDeadLetter != nil {
		e.guard(ctx, "OnDeadLetter", func() {
			e.opts.OnDeadLetter(ctx, DeadLetter{SagaID: r.id, Flow: r.def.Name, Err: failed, Headers: h})
		})
	}
}

// alert looks whether what was committed is something that people want to hear of.
func (r *run) alert(entries []broker.Entry) {
	for _, entry := range entries {
		switch saga.FactKind(entry.Data[0]) {
		case saga.Late:
			r.e.alert(r, Alert{Kind: AlertDeadline})
		case saga.Slow:
			r.e.alert(r, Alert{Kind: AlertSlow})
		}
	}
}

// abandoned logs and tells of an attempt that nobody waits for any more.
func (e *Engine) abandoned(r *run, a *attempt) {
	e.log.WarnContext(a, "attempt did not return after its context had ended", "saga", r.id, "flow", r.def.Name,
		"step", a.info.Path, "attempt", a.info.Attempt, "undo", a.info.Undo)
	if e.opts.OnAlert != nil {
		e.tell(a.run.base, Alert{Kind: AlertAbandoned, SagaID: r.id, Flow: r.def.Name, Step: a.info.Path, Headers: a.info.Headers})
	}
}

func (e *Engine) alert(r *run, a Alert) {
	header := r.m.Header()
	a.SagaID, a.Flow, a.Started, a.Headers = r.id, r.def.Name, header.Started, header.Headers
	e.log.WarnContext(r.base, "saga takes long", "saga", r.id, "flow", r.def.Name, "kind", a.Kind, "started", a.Started)
	if e.opts.OnAlert != nil {
		e.tell(r.base, a)
	}
}

func (e *Engine) tell(ctx context.Context, a Alert) {
	e.guard(ctx, "OnAlert", func() { e.opts.OnAlert(ctx, a) })
}

// guard keeps a listener's panic from ending the process.
func (e *Engine) guard(ctx context.Context, name string, listen func()) {
	defer func() {
		if p := recover(); p != nil {
			e.log.ErrorContext(ctx, "a listener panicked", "listener", name, "panic", p)
		}
	}()
	listen()
}

// logPanic keeps the stack of a step that panicked where a person finds it; only the text travels.
func (r *run) logPanic(a *attempt) {
	r.e.log.ErrorContext(a, "step panicked", "saga", r.id, "flow", r.def.Name, "step", a.info.Path,
		"attempt", a.info.Attempt, "undo", a.info.Undo, "error", a.failed, "stack", stackOf(a.failed))
}
