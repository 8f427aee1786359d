package redisx

import (
	"github.com/skald-go/skald/broker"
)

var _ broker.Submitter = (*worker)(nil)

// submission is a transition under way for which no goroutine waits.
type submission struct {
	seat *seat
	t    broker.Transition
	to   broker.Submission
}

// Submit implements broker.Submitter. What goes with a hot batch, as nearly all does, is answered by the goroutine that sent it;
// everything else has a goroutine of its own.
func (w *worker) Submit(t broker.Transition, to broker.Submission) {
	if w.usable(w.b.ctx) == nil && w.b.checkTransition(t) == nil {
		s := w.seat(t.ID)
		if token, taken := s.name(); taken {
			if o := w.hot(&t, token, s.p); o != nil {
				o.submission = submission{s, t, to}
				s.p.hot.submit(o)
				return
			}
		}
	}
	w.commitApart(t, to)
}

// commitApart is Submit on a goroutine of the broker.
func (w *worker) commitApart(t broker.Transition, to broker.Submission) {
	if !w.b.spawn(func() { to.Answered(w.Commit(w.b.ctx, t)) }) {
		to.Answered(broker.Ack{}, failedCommit(t, broker.ErrClosed))
	}
}

// tell answers whoever waits for an op, or submitted it.
func (o *op) tell() {
	if l := o.unheard; l != nil {
		l.waiting.Add(-1)
		o.release()
		return
	}
	if o.to == nil {
		o.done <- struct{}{}
		return
	}
	x, err := o.submission, o.err
	if o.code == saysCold {
		o.release()
		x.seat.w.cool(x.t.ID, x.t.Rev)
		x.seat.w.commitApart(x.t, x.to)
		return
	}
	if err != nil {
		err = x.seat.p.b.passing(x.seat.p.b.ctx, err)
	}
	ack, err := x.seat.wrote(o.token, &x.t, o, err)
	if err != nil {
		err = failedCommit(x.t, err)
	}
	x.to.Answered(ack, err)
}
