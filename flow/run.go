package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// run is a saga that this engine owns: its state machine, the attempts that run, and what came for it.
//
// At most one goroutine drives a run at a time: it alone touches the machine. Whoever has something for
// the run puts it into its inbox, and drives if nobody does. A driver that has nothing more to do but
// one attempt gives the role up, makes the attempt itself, and takes the role again with its outcome: so a
// saga of steps one after the other stays on one goroutine, and a saga that waits has none.
type run struct {
	handle // its mutex guards the inbox as well
	member *member
	served *served
	record *broker.Record // to be loaded; nil when machine is set
	m      *saga.Machine
	base   context.Context

	headers  Headers // of the saga; they and its deadline stay as they are
	deadline time.Time

	driving bool
	gone    bool // owned no longer: drop everything
	elder   *run // an earlier run of the same saga, whose attempts may still run
	heir    *run // the other way round
	mail    []broker.Event
	reports []*attempt
	spare   []*attempt // memory for reports
	active  []*attempt
	slots   [3]*attempt // memory of the first of them
	wake    *time.Timer

	sent   broker.Transition // that was submitted
	ack    broker.Ack        // the answer to it
	failed error
}

var _ broker.Submission = (*run)(nil)

// drive brings the run as far as it goes now. The caller holds the driver's role.
func (r *run) drive(h *hand) {
	for {
		a := r.turn()
		if a == nil || !h.pool.enter(r, a) {
			return
		}
		a.runOn(h)
		if !r.report(a) {
			return
		}
	}
}

// turn does everything that is to be done, and gives the role up: with an attempt for the caller to make, or nil.
func (r *run) turn() *attempt {
	for {
		now := time.Now()
		if !r.collect(now) {
			return nil
		}
		r.m.Advance(now)
		if t, ok := r.transition(now); ok {
			if !r.commit(t) {
				return nil
			}
			continue
		}
		if len(r.m.Stopped()) > 0 {
			r.cutOff()
		}
		last := r.launch(now)
		if r.rest(last) {
			return last
		}
		if last != nil {
			r.e.submit(task{run: r, attempt: last})
		}
	}
}

// collect moves the inbox into the machine. It says false if the run is over, or has to wait.
func (r *run) collect(now time.Time) bool {
	if r.record != nil && !r.admitted(now) {
		return false
	}
	r.mu.Lock()
	gone := r.gone
	mail, reports := r.mail, r.reports
	r.mail, r.reports, r.spare = nil, r.spare[:0], reports
	r.mu.Unlock()
	if gone {
		r.close()
		return false
	}
	if r.m == nil && !r.load(now) {
		return false
	}
	for k, a := range reports {
		r.take(a, now)
		reports[k] = nil
	}
	return r.read(mail, now)
}

// take gives the outcome of an attempt to the machine.
func (r *run) take(a *attempt, now time.Time) {
	if !a.finished {
		r.m.Withdraw(a.what, now)
		return
	}
	r.m.Report(a.what, a.out, a.failed, now)
	if a.late {
		r.alertAbandoned(a)
	}
}

// read gives mail to the machine. Mail that this definition cannot take is for another version of it.
func (r *run) read(mail []broker.Event, now time.Time) bool {
	for _, ev := range mail {
		if err := r.m.Mail(ev, now); err != nil {
			r.reject(err)
			return false
		}
	}
	return true
}

// leaves says that the run is to be given back, and whether at once, although attempts run.
func (r *run) leaves() (leaves, atOnce bool) {
	phase, patient := r.e.phase.Load(), r.e.patient.Load()
	return phase >= draining || patient != nil && patient != r, phase >= leaving
}

func (r *run) transition(now time.Time) (broker.Transition, bool) {
	leaves, atOnce := r.leaves()
	if leaves {
		r.withdraw(now)
	}
	t, ok := r.m.Transition(now)
	if leaves && (!ok || t.Next == broker.Keep) && (atOnce || r.quiet()) {
		return r.m.GiveBack(now), true
	}
	return t, ok
}

// quiet says that no attempt runs, and none has an outcome that was not collected.
func (r *run) quiet() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.active) == 0 && len(r.reports) == 0
}

// withdraw takes back the attempts that still wait for a goroutine.
func (r *run) withdraw(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = slices.DeleteFunc(r.active, func(a *attempt) bool {
		a.reported = a.withdraw()
		if a.reported {
			r.m.Withdraw(a.what, now)
		}
		return a.reported
	})
}

// launch starts what is to be attempted now, and keeps the last for the caller.
func (r *run) launch(now time.Time) (last *attempt) {
	for leaves, _ := r.leaves(); !leaves; {
		what, ok := r.m.Next(now)
		if !ok {
			break
		}
		if last != nil {
			r.e.submit(task{run: r, attempt: last})
		}
		last = r.begin(what, now)
	}
	return last
}

func (r *run) begin(what saga.Attempt, now time.Time) *attempt {
	a := &attempt{run: r, what: what, due: now.Add(what.Spec.Timeout)}
	r.mu.Lock()
	if r.active == nil {
		r.active, r.reports, r.spare = r.slots[:0:1], r.slots[1:1:2], r.slots[2:2:3]
	}
	r.active = append(r.active, a)
	r.mu.Unlock()
	return a
}

// rest gives the driver's role up, unless something came meanwhile or is still to be committed.
func (r *run) rest(last *attempt) bool {
	if r.m.Recorded() {
		return false
	}
	leaves, atOnce := r.leaves()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone || len(r.mail) > 0 || len(r.reports) > 0 || leaves && (atOnce || len(r.active) == 0) {
		return false
	}
	r.driving = false
	if at := r.m.Wake(); !at.IsZero() {
		r.setWake(time.Until(at))
	}
	return true
}

// setWake lets the run be driven again after d.
func (r *run) setWake(d time.Duration) {
	if r.wake == nil {
		r.wake = time.AfterFunc(d, func() { r.prod() })
		return
	}
	r.wake.Reset(d)
}

// prod puts mail into the inbox, and has the run driven if nobody does.
func (r *run) prod(mail ...broker.Event) {
	r.mu.Lock()
	r.mail = append(r.mail, mail...)
	if r.driving {
		r.mu.Unlock()
		return
	}
	r.driving = true
	r.mu.Unlock()
	r.e.submit(task{run: r})
}

// report puts the outcome of an attempt into the inbox. It says whether the caller now drives.
func (r *run) report(a *attempt) bool {
	r.mu.Lock()
	if a.reported {
		r.mu.Unlock()
		return false
	}
	a.reported = true
	if k := slices.Index(r.active, a); k >= 0 {
		r.active = slices.Delete(r.active, k, k+1)
	}
	if r.gone {
		r.bequeath()
		return false
	}
	defer r.mu.Unlock()
	if !r.e.interrupted(a) {
		r.reports = append(r.reports, a)
	}
	drives := !r.driving
	r.driving = true
	return drives
}

// interrupted says that an attempt failed because the engine ends: nobody knows what it did, and the next owner of
// the saga makes it again.
func (e *Engine) interrupted(a *attempt) bool {
	if a.failed == nil || e.phase.Load() < hurrying {
		return false
	}
	class, _ := saga.Classify(a.what.Spec, a.failed)
	return class == plan.Failed
}

// bequeath lets a later run of the saga begin, once no attempt of this one runs. It unlocks r.
func (r *run) bequeath() {
	heir := r.heir
	if len(r.active) > 0 {
		heir = nil
	} else {
		r.e.elders.CompareAndDelete(r.id, r)
	}
	r.mu.Unlock()
	if heir != nil {
		heir.prod()
	}
}

// abandon reports an attempt that does not return. What it returns later counts no more.
func (r *run) abandon(a *attempt) {
	r.mu.Lock()
	k := slices.Index(r.active, a)
	if a.reported || k < 0 {
		r.mu.Unlock()
		return
	}
	a.reported = true
	lost := a.abandoned()
	r.active[k] = lost
	r.mu.Unlock()
	r.e.log.WarnContext(a, "an attempt did not return after its context had ended: nobody waits for it any more", a.attrs()...)
	if r.report(lost) {
		r.e.submit(task{run: r})
	}
}

// cutOff ends the contexts of attempts that are of no use any more. It begins with the last: then none gets the place of
// another that has ended.
func (r *run) cutOff() {
	for _, a := range slices.Backward(r.running()) {
		if a.what.Useless() {
			a.cutOff(context.Canceled)
		}
	}
}

func (r *run) cutOffAll() {
	for _, a := range slices.Backward(r.running()) {
		a.cutOff(context.Canceled)
	}
}

// running gives the attempts that run or wait for a goroutine.
func (r *run) running() []*attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.active)
}

// load makes the machine of a saga that came from the broker. It says false if the saga cannot go on here.
func (r *run) load(now time.Time) bool {
	m, err := saga.Load(&r.e.env, r.served.prog, r.record, now)
	var foreign *saga.ForeignError
	switch {
	case errors.As(err, &foreign):
		r.reject(err)
		return false
	case err != nil:
		r.bury(err)
		return false
	}
	r.begins(m)
	if r.seq = len(r.record.Journal); r.record.Version == 0 {
		m.Take(now)
	}
	if n := saga.Takeovers(r.record); n > 0 {
		r.e.log.InfoContext(r.base, "saga taken over from a dead worker", "saga", r.id, "flow", r.def.Name, "takeovers", n)
		if n >= r.e.opts.TakeoverLimit {
			m.Break(takeoverError(n))
		}
	}
	if r.served.prog.Remote {
		r.e.calls.note(r.id, m.Calls())
	}
	mail := r.record.Mail
	r.record = nil
	return r.read(mail, now)
}

// begins notes the machine, and what of it never changes.
func (r *run) begins(m *saga.Machine) {
	r.m, r.headers, r.deadline = m, m.Header().Headers, m.Deadline()
	r.base = r.e.extract(r.headers)
}

// drop forgets a saga that belongs to others now.
func (r *run) drop() {
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return
	}
	r.gone = true
	driving := r.driving
	r.driving = true // nobody else will
	r.mu.Unlock()
	r.cutOffAll()
	if !driving {
		r.close()
	}
}

// close ends the run, and cuts off what still runs. The caller holds the driver's role, and keeps it for ever.
func (r *run) close() {
	r.mu.Lock()
	r.gone = true
	r.mail, r.reports, r.record, r.elder = nil, nil, nil, nil
	if len(r.active) > 0 {
		r.e.elders.Store(r.id, r)
	}
	if r.wake != nil {
		r.wake.Stop()
	}
	m := r.m
	r.m = nil
	r.mu.Unlock()
	r.cutOffAll()
	if m != nil {
		m.Release()
	}
	r.e.removed(r)
	r.detach()
}
