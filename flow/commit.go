package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// commit makes t true, and does what follows from it. It says false if the run is over.
func (r *run) commit(t broker.Transition) bool {
	ack, err := r.send(t)
	if err != nil {
		r.lost(err)
		return false
	}
	r.publish(t.Append, r.m.Header().Started)
	r.alert(t.Append)
	r.m.Committed(ack.Rev)
	switch t.Next {
	case broker.Finish:
		r.settled(r.m.Outcome())
	case broker.Hold:
		if ack.Owned {
			return r.read(ack.Mail, time.Now())
		}
		r.settled(r.m.Outcome())
	case broker.Bury:
		r.buried(t.Outcome)
	case broker.GiveBack, broker.Reject:
		r.close()
	case broker.Park:
		if ack.Owned {
			return r.read(ack.Mail, time.Now())
		}
		r.close()
	default:
		return r.read(ack.Mail, time.Now())
	}
	return false
}

// send commits t, again and again until the broker has said yes or no.
func (r *run) send(t broker.Transition) (broker.Ack, error) {
	for pause := pauses(); ; {
		ack, err := r.member.worker.Commit(r.e.work, t)
		if err == nil {
			r.e.health.ok(partCommit)
			return ack, nil
		}
		if final(err) || r.isGone() {
			return ack, err
		}
		r.e.health.failed(partCommit, err)
		r.e.log.WarnContext(r.base, "commit failed, trying again", "saga", r.id, "flow", r.def.Name, "error", err)
		if !pause.wait(r.e.work) {
			return ack, err
		}
	}
}

// final says that a repeat of the call would answer the same.
func final(err error) bool {
	for _, target := range []error{broker.ErrStale, broker.ErrFenced, broker.ErrClosed, broker.ErrConflict, broker.ErrUnknown, broker.ErrSettled, broker.ErrOverload} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (r *run) isGone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

// lost ends a run whose transition was refused: somebody else has the saga, or nobody can be asked.
func (r *run) lost(err error) {
	r.e.log.WarnContext(r.base, "saga lost to another worker, dropping it", "saga", r.id, "flow", r.def.Name, "error", err)
	if errors.Is(err, broker.ErrFenced) {
		r.e.fenced(r.member)
	}
	r.cutOffAll()
	r.close()
}

func (r *run) cutOffAll() {
	r.mu.Lock()
	active := append([]*attempt(nil), r.active...)
	r.mu.Unlock()
	for _, a := range active {
		a.cutOff(context.Canceled)
	}
}

// settled tells the callers in this process how the saga ended.
func (r *run) settled(o *saga.Outcome) {
	res := result{state: stateOf(o.End), out: o.Out, err: o.Failed}
	if r.e.opts.DecodeAll || o.Out == nil && o.Failed == nil {
		res = r.e.result(r.def, o)
	}
	r.resolve(res)
	r.close()
}

// buried tells that the saga is a dead letter.
func (r *run) buried(outcome []byte) {
	res := r.e.resultOf(r.def, outcome)
	base, headers := r.base, Headers(nil)
	if r.m != nil {
		headers = r.m.Header().Headers
	}
	r.cutOffAll()
	r.resolve(res)
	r.close()
	r.e.deadLetter(base, r, headers, res.err)
}

// reject leaves the saga to another build of this flow.
func (r *run) reject(why error) {
	r.e.log.WarnContext(r.e.work, "this build cannot go on with a saga, leaving it to another", "saga", r.id, "flow", r.def.Name, "reason", why)
	r.leave(broker.Transition{ID: r.id, Rev: r.rev(), Next: broker.Reject})
}

// bury makes a dead letter of a saga that cannot even be loaded.
func (r *run) bury(why error) {
	err := &Error{SagaID: r.id, Flow: r.def.Name, State: StateDeadLetter, Cause: why}
	o := saga.Outcome{End: saga.DeadLetter, Err: r.e.errors.Append(nil, err)}
	data := o.Append(nil)
	if r.base == nil {
		r.base = r.e.work
	}
	if r.leave(broker.Transition{ID: r.id, Rev: r.rev(), Next: broker.Bury, Outcome: data}) {
		r.resolve(r.e.resultOf(r.def, data))
		r.e.deadLetter(r.base, r, nil, err)
	}
}

// leave ends the run with a transition that its machine did not make.
func (r *run) leave(t broker.Transition) bool {
	_, err := r.send(t)
	if err != nil {
		r.lost(err)
		return false
	}
	r.close()
	return true
}

func (r *run) rev() uint64 {
	if r.m != nil {
		return r.m.Rev()
	}
	return r.record.Rev
}

func takeoverError(n int) error {
	return fmt.Errorf("%w: %d in a row", ErrTakeovers, n)
}

// pause is a growing wait between repeats of a call.
type pause struct{ d time.Duration }

func pauses() *pause { return &pause{d: 5 * time.Millisecond} }

// wait says false if ctx ended.
func (p *pause) wait(ctx context.Context) bool {
	t := time.NewTimer(p.d)
	defer t.Stop()
	p.d = min(2*p.d, time.Second)
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
