package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// commit makes t true, and does what follows from it. It says false if the run is over, or goes on when the answer is there.
func (r *run) commit(t broker.Transition) bool {
	if s := r.member.submitter; s != nil {
		r.sent = t
		s.Submit(t, r)
		return false
	}
	ack, err := r.send(t)
	return r.committed(t, ack, err)
}

// Answered implements broker.Submission: it has the run driven by a goroutine of the pool. The transition that was under way held the
// driver's role.
func (r *run) Answered(ack broker.Ack, err error) {
	r.ack, r.failed = ack, err
	r.e.submit(task{run: r, answered: true})
}

// resume goes on after the answer to what was submitted. One that says neither yes nor no is asked for again.
func (r *run) resume(h *hand) {
	t, ack, err := r.sent, r.ack, r.failed
	r.sent, r.ack, r.failed = broker.Transition{}, broker.Ack{}, nil
	if err == nil {
		r.accepted()
	} else if !final(err) && !r.isGone() {
		r.retries(err)
		ack, err = r.send(t)
	}
	if r.committed(t, ack, err) {
		r.drive(h)
	}
}

// committed does what follows from the answer to t. It says false if the run is over.
func (r *run) committed(t broker.Transition, ack broker.Ack, err error) bool {
	if err != nil {
		r.lost(err)
		return false
	}
	r.publish(t.Append, r.m.Header().Started)
	r.alert(t.Append)
	r.noteCalls(t.Append)
	r.m.Committed(ack.Rev)
	switch {
	case ack.Owned:
		return len(ack.Mail) == 0 || r.read(ack.Mail, time.Now())
	case t.Next == broker.Finish, t.Next == broker.Hold:
		r.settled(r.m.Outcome())
	case t.Next == broker.Bury:
		r.dead(ack.Rev, t.Outcome, *r.m.Header())
	default:
		r.close()
	}
	return false
}

// send commits t, again and again until the broker has said yes or no, or the saga is not this run's any more.
func (r *run) send(t broker.Transition) (broker.Ack, error) {
	for pause := pauses(); ; {
		ack, err := r.member.worker.Commit(r.e.alive, t)
		if err == nil {
			r.accepted()
			return ack, nil
		}
		if final(err) || r.isGone() {
			return ack, err
		}
		r.retries(err)
		if !pause.wait(r.e.alive) {
			return ack, err
		}
	}
}

// accepted notes that the broker takes transitions, and this run's in particular.
func (r *run) accepted() {
	r.e.health.ok(partCommit)
	r.e.recovered(r)
}

// retries notes that a commit failed, and is about to be repeated.
func (r *run) retries(err error) {
	r.e.health.failed(partCommit, err)
	r.e.log.WarnContext(r.base, "commit failed, trying again", "saga", r.id, "flow", r.def.Name, "error", err)
}

// final says that a repeat of the call would answer the same.
func final(err error) bool {
	for _, target := range []error{broker.ErrStale, broker.ErrFenced, broker.ErrClosed, broker.ErrConflict, broker.ErrUnknown, broker.ErrSettled, broker.ErrOverload,
		broker.ErrLocked, broker.ErrNoEvent, broker.ErrRead} {
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
	switch {
	case errors.Is(err, broker.ErrFenced):
		r.e.fenced(r.member)
	case errors.Is(err, broker.ErrStale):
		r.e.log.WarnContext(r.base, "another worker went on with a saga, dropping it", "saga", r.id, "flow", r.def.Name, "error", err)
	}
	r.close()
}

// settled tells the callers in this process how the saga ended.
func (r *run) settled(o *saga.Outcome) {
	res := result{state: stateOf(o.End), out: o.Out, err: o.Failed}
	if r.e.opts.DecodeAll || o.Out == nil && o.Failed == nil {
		res = r.e.result(r.id, r.def.Name, r.def.Root.Out, o)
	}
	r.resolve(res)
	r.close()
}

// reject leaves the saga to another build of this flow.
func (r *run) reject(why error) {
	r.e.log.WarnContext(r.base, "this build cannot go on with a saga, leaving it to another: "+
		"it is stranded until an engine runs that can", "saga", r.id, "flow", r.def.Name, "version", r.def.Version(), "reason", why)
	t := broker.Transition{ID: r.id, Next: broker.Reject}
	if r.m == nil {
		t.Rev = r.record.Rev
	} else {
		t = r.m.GiveBack(time.Now()) // what runs may have had an effect
		t.Next = broker.Reject
	}
	r.leave(t)
}

// bury makes a dead letter of a saga that cannot even be loaded, unless a person has ended it.
func (r *run) bury(why error) {
	header, err := saga.DecodeHeader(r.record.Record)
	if err == nil {
		r.base = r.e.extract(header.Headers)
	}
	t, settled := saga.SettleUnread(&r.e.env, r.record, why)
	if !settled {
		o := saga.Outcome{End: saga.DeadLetter, Err: r.e.errors.Append(nil, &Error{SagaID: r.id, Flow: r.def.Name, State: StateDeadLetter, Cause: why})}
		t = broker.Transition{ID: r.id, Rev: r.record.Rev, Next: broker.Bury, Outcome: o.Append(nil)}
	}
	ack, err := r.send(t)
	switch {
	case err != nil:
		r.lost(err)
	case settled:
		r.close()
	default:
		r.dead(ack.Rev, t.Outcome, header)
	}
}

// dead ends the run of a saga that has become a dead letter, at that revision.
func (r *run) dead(rev uint64, outcome []byte, header saga.Header) {
	res := r.e.resultOf(r.id, r.def.Name, r.def.Root.Out, outcome)
	res.rev = rev
	r.resolve(res)
	r.close()
	r.e.deadLetter(r.base, r, header, res.err)
}

// leave ends the run with a transition that its machine did not make.
func (r *run) leave(t broker.Transition) {
	if _, err := r.send(t); err != nil {
		r.lost(err)
		return
	}
	r.close()
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
