package sagatest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// injection is a fault at a node.
type injection struct {
	node  node
	fault Fault
	err   error // instead of ErrInjected
}

// reason is the error that the fault makes.
func (i injection) reason() error { return cmp.Or(i.err, ErrInjected) }

// script is what goes wrong in one saga.
type script []injection

// at gives the injection at a node.
func (s script) at(n node) (int, bool) {
	for k, i := range s {
		if i.node == n {
			return k, true
		}
	}
	return 0, false
}

// has says that a fault is part of the script.
func (s script) has(f Fault) bool {
	for _, i := range s {
		if i.fault == f {
			return true
		}
	}
	return false
}

// buries says that a dead letter is what the script leads to. Refusals do where the saga only goes forward.
func (s script) buries() bool { return s.has(UndoFails) || s.has(Refused) }

// kills says that a worker dies. What could run then is undone, even if it refuses later.
func (s script) kills() bool {
	return s.has(DiesBefore) || s.has(DiesAfter) || s.has(UndoDiesBefore) || s.has(UndoDiesAfter)
}

// note remembers that a fault of the script has happened.
func (s *stage) note(k int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.happened[k] = true
}

// due says which fault happens to an attempt now.
func (s *stage) due(n node, attempt int) (injection, bool) {
	k, ok := s.script.at(n)
	if !ok {
		return injection{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.script[k]
	switch {
	case i.fault == UndoFails && s.healed, i.fault == Refused && s.healed:
		return i, false
	case i.fault == UndoFails:
	case i.fault.fails() && i.fault != Refused:
		if spec := s.outline.step(n.path); spec == nil || attempt > spec.Retry.Attempts {
			return i, false
		}
	case s.happened[k]:
		return i, false
	}
	s.happened[k] = true
	return i, true
}

// intercept is the interceptor of one process: it records attempts, and lets faults happen to them.
func (s *stage) intercept(p *process) flow.Interceptor {
	return func(ctx context.Context, next func(context.Context) error) error {
		if p.dead.Load() { // nothing begins in a process that has died
			<-ctx.Done()
			return ctx.Err()
		}
		info := step.InfoFrom(ctx)
		c := s.recorder.begin(ctx)
		a := &act{stage: s, process: p, call: c, node: nodeOf(info, s.id), info: info, ctx: ctx, next: next}
		if s.wears(a.node, info) {
			<-ctx.Done()
			return ctx.Err()
		}
		return s.recorder.answer(c, func() error {
			i, ok := s.due(a.node, info.Attempt)
			if !ok {
				return a.run(ctx)
			}
			s.recorder.mu.Lock()
			c.Fault = i.fault
			s.recorder.mu.Unlock()
			return a.suffer(i)
		})
	}
}

// wears counts the attempts of a node, and says that there are too many of them. Then the cell ends.
func (s *stage) wears(n node, info step.Info) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[n]++
	if s.attempts[n] <= s.most {
		return false
	}
	last := "nothing"
	for _, c := range slices.Backward(s.recorder.Calls()) {
		if c.Saga == info.Saga && c.Path == info.Path && c.Undo == info.Undo && c.Err != nil {
			last = c.Err.Error()
			break
		}
	}
	what := Call{Path: n.path, Undo: n.undo}.named()
	select {
	case s.tired <- &trouble{problem{kind: endless, path: n.path, text: fmt.Sprintf("%s has run %d times in %v, and is not done: it last answered: %s",
		what, s.most, time.Since(s.began).Round(time.Second), last)}}:
	default:
	}
	return true
}

// act is one attempt while its interceptor runs.
type act struct {
	*stage
	process *process
	call    *Call
	node    node
	info    step.Info
	ctx     context.Context
	next    func(context.Context) error
}

// run calls the user's function. A refusal that changed something is noted, where nothing else can have changed it meanwhile.
func (a *act) run(ctx context.Context) error {
	var before any
	looks := a.play.snapshot != nil && !a.info.Undo && len(a.outline.parallel) == 0
	if looks {
		before = a.play.snapshot()
	}
	err := a.recorder.run(a.call, ctx, a.next)
	if looks && err != nil && a.refuses(err) {
		if changes := differences(before, a.play.snapshot()); len(changes) > 0 {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.refusals = append(a.refusals, a.node.path+": "+join(changes))
		}
	}
	return err
}

func (a *act) refuses(err error) bool {
	if classOf(err) == plan.Refused {
		return true
	}
	spec := a.outline.step(a.node.path)
	return spec != nil && isOneOf(err, spec.Refuses)
}

// suffer makes the attempt with a fault.
func (a *act) suffer(i injection) error {
	switch i.fault {
	case Refused:
		return a.refusal(i)
	case FailsBefore, UndoFailsOnce:
		return i.reason()
	case UndoFails:
		return step.GiveUp(i.reason())
	case Panics:
		panic("sagatest: injected panic")
	case LostReply, UndoLosesReply:
		if err := a.run(a.ctx); err != nil {
			return err
		}
		return i.reason()
	case TimesOut:
		<-a.ctx.Done()
		if err := a.run(a.ctx); err != nil {
			return err
		}
		return a.ctx.Err()
	case RunsTwice, RunsTwiceUndone, UndoRunsTwice:
		return a.twice()
	default:
		return a.meanwhile(i.fault)
	}
}

func (a *act) refusal(i injection) error {
	if i.err != nil {
		return step.Refused(i.err)
	}
	if spec := a.outline.step(a.node.path); spec != nil && len(spec.Refuses) > 0 {
		return spec.Refuses[0]
	}
	return step.Refused(ErrInjected)
}

// twice delivers the request twice. The first reply counts.
func (a *act) twice() error {
	first := a.run(a.ctx)
	_ = a.run(a.ctx)
	return first
}

// meanwhile makes the attempt, and something happens before its outcome is known.
func (a *act) meanwhile(f Fault) error {
	if f == ParticipantFails {
		return a.broken()
	}
	err := a.run(a.ctx)
	switch f {
	case DiesBefore, UndoDiesBefore:
		a.die(a.process)
	case DiesAfter, UndoDiesAfter:
		a.broker.doom(doom{worker: a.process.name, saga: a.info.Saga, path: a.info.Path, die: func() { a.die(a.process) }})
	case Cancelled:
		a.own.Go(a.cancelSaga)
		time.Sleep(time.Millisecond)
	case DeadlinePasses:
		time.Sleep(2 * deadlineAfter)
	case OthersAct:
		a.play.meanwhile()
	}
	return err
}

// deadlineAfter is how long after the begin of a step the deadline passes that is to pass during it. It is long enough for the
// engine to hand waits over to the broker.
const deadlineAfter = 250 * time.Millisecond

// broken makes the attempt while its participant fails. That a step is done then is noted.
func (a *act) broken() error {
	repair := a.play.breaks(a.info.Path)
	if repair == nil {
		return a.run(a.ctx)
	}
	err := a.run(a.ctx)
	repair()
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.swallowed = append(a.swallowed, a.node.path)
	}
	return err
}
