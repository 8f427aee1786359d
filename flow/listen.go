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
	Claims  []Claim // what it holds, and keeps from others until somebody has decided; not of a child
}

// AlertKind says what Options.OnAlert hears of.
type AlertKind string

// The kinds of alerts.
const (
	AlertSlow      AlertKind = "slow"      // the saga takes longer than Options.SlowAfter
	AlertDeadline  AlertKind = "deadline"  // its deadline passed when it could only go forward
	AlertAbandoned AlertKind = "abandoned" // an attempt did not return after its context had ended
	AlertLost      AlertKind = "lost"      // a group lost events: the broker's bounds dropped them before they were handled
)

// Alert is something that a person may want to look at. The saga goes on.
type Alert struct {
	Kind    AlertKind
	SagaID  string
	Flow    string
	Step    string // path, of AlertAbandoned
	Started time.Time
	Headers Headers

	Topic, Group string // of AlertLost; the fields above are empty then
	Events       uint64 // how many it lost
}

// deadLetter logs and tells that r's saga is a dead letter.
func (e *Engine) deadLetter(ctx context.Context, r *run, h saga.Header, err error) {
	d := DeadLetter{SagaID: r.id, Flow: r.def.Name, Err: asError(r.id, r.def.Name, StateDeadLetter, err), Headers: h.Headers, Claims: claimsOf(h)}
	e.log.ErrorContext(ctx, "saga is a dead letter: relay, skip or settle it", "saga", r.id, "flow", r.def.Name, "claims", len(d.Claims), "error", err)
	if e.opts.OnDeadLetter != nil {
		e.tell(ctx, "OnDeadLetter", func(ctx context.Context) { e.opts.OnDeadLetter(ctx, d) })
	}
}

// alert looks whether what was committed is something that people want to hear of.
func (r *run) alert(entries []broker.Entry) {
	for _, entry := range entries {
		switch saga.FactKind(entry.Data[0]) {
		case saga.Late:
			r.tellAlert("deadline passed, but the saga can only go forward", Alert{Kind: AlertDeadline})
		case saga.Slow:
			r.tellAlert("saga takes longer than it should", Alert{Kind: AlertSlow})
		}
	}
}

// alertAbandoned tells of an attempt that nobody waits for any more. It was logged when that was decided.
func (r *run) alertAbandoned(a *attempt) {
	r.tellAlert("", Alert{Kind: AlertAbandoned, Step: a.what.Path})
}

func (r *run) tellAlert(message string, a Alert) {
	header := r.m.Header()
	a.SagaID, a.Flow, a.Started, a.Headers = r.id, r.def.Name, header.Started, header.Headers
	if message != "" {
		r.e.log.WarnContext(r.base, message, "saga", r.id, "flow", r.def.Name, "started", a.Started)
	}
	if r.e.opts.OnAlert != nil {
		r.e.tell(r.base, "OnAlert", func(ctx context.Context) { r.e.opts.OnAlert(ctx, a) })
	}
}

// tell calls a listener on a goroutine of the pool, so that it holds up no saga. Its panic does not end the process.
func (e *Engine) tell(ctx context.Context, name string, listener func(context.Context)) {
	e.submit(task{listen: func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(e.alive, cancel)()
		defer func() {
			if p := recover(); p != nil {
				e.log.ErrorContext(ctx, "a listener panicked", "listener", name, "panic", p)
			}
		}()
		listener(ctx)
	}})
}

// logPanic keeps the stack of a step that panicked where a person finds it; only the text travels.
func (r *run) logPanic(a *attempt) {
	r.e.log.ErrorContext(a, "step panicked", append(a.attrs(), "error", a.failed, "stack", stackOf(a.failed))...)
}
