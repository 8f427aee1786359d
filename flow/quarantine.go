package flow

import (
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// quarantineFrom is how many workers in a row have died over a saga before it runs alone in its process.
//
// A step that kills its process kills the sagas beside it as well, and all of them are taken over again and
// again. So such a saga, the patient, begins only when the engine has given everything else back, and the engine
// takes nothing else until the patient has committed something. If the process dies, the patient alone is
// counted as taken over once more, up to Options.TakeoverLimit.
const quarantineFrom = 3

// suspicious says that a saga is to run alone. One that has reached the limit is not to run at all.
func (e *Engine) suspicious(rec *broker.Record) bool {
	n := saga.Takeovers(rec)
	return n >= quarantineFrom && n < e.opts.TakeoverLimit
}

// admitted says whether a run that has come from the broker may begin now. If not, it was given back, or it
// rests until somebody prods it: the earlier run of its saga when its last attempt has ended, or the last of
// the other runs when it has ended.
func (r *run) admitted(now time.Time) bool {
	if r.e.suspicious(r.record) {
		r.e.isolate(r)
	}
	if leaves, _ := r.leaves(); leaves && !r.isGone() {
		r.handBack(now)
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.gone:
		return true
	case r.elder != nil && r.elder.busy(), r.e.patient.Load() == r && !r.e.isAlone():
		r.driving = false
		return false
	}
	r.elder = nil
	return true
}

// isAlone says that no run but the patient is left, and none will come.
func (e *Engine) isAlone() bool { return e.shut.Load() && e.table.count.Load() == 1 }

// busy says that attempts run.
func (r *run) busy() bool { return len(r.running()) > 0 }

// isolate makes r the patient, unless another one is, and has all other runs given back.
func (e *Engine) isolate(r *run) {
	if !e.patient.CompareAndSwap(nil, r) {
		return
	}
	e.log.Warn("every worker that ran a saga died: it runs alone in this process until it has got on", "saga", r.id, "flow", r.def.Name,
		"takeovers", saga.Takeovers(r.record))
	e.askAnew()
	for _, other := range e.table.all() {
		if other != r {
			other.prod()
		}
	}
}

// recovered ends the quarantine of r, if it is in one.
func (e *Engine) recovered(r *run) {
	if e.patient.Load() == r && e.patient.CompareAndSwap(r, nil) {
		e.askAnew()
	}
}

// handBack gives a saga back that was not begun here. Its takeovers go on counting.
func (r *run) handBack(now time.Time) {
	t := broker.Transition{ID: r.id, Rev: r.record.Rev, Next: broker.GiveBack}
	if entry, ok := saga.HandOver(r.record, now); ok {
		t.Append = []broker.Entry{entry}
	}
	r.leave(t)
}
