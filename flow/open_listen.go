package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// NoRollbackFor names errors, under errors.Is, with which a start or join listener fails without rolling the open saga back: the event comes again,
// as Redeliver says, and is a dead one in the end, while the saga stays open.
func NoRollbackFor(errs ...error) ListenOption {
	return func(l *listener) { l.noRollback = append(l.noRollback, errs...) }
}

// openGroup is all that a group wants to hear of an open saga.
type openGroup struct {
	e     *Engine
	topic Topic[openEvent]
	group string
	calls map[openCall]openHandler
}

// openCall is an event that somebody listens to; party is that of a join, a commit or a rollback.
type openCall struct {
	phase openPhase
	party string
}

type openHandler struct {
	call       func(ctx context.Context, ev openEvent) error
	noRollback []error
}

// OnStart lets the engine hear of every open saga of this kind that is started, as group; what stands at Topic.On holds here too. Party.OnCommit and
// OnRollback of the party with the same name are of the same group: one saga's events reach them in order. DeliveryFrom(ctx).Saga is the saga's ID.
//
// If handle fails, the saga is rolled back with that error, unless NoRollbackFor names it, it is step.NotYet, or the engine was ending.
func (o Open[S]) OnStart(e *Engine, group string, handle func(ctx context.Context, in S) error, opts ...ListenOption) {
	at := o.topic.at(fmt.Sprintf("OnStart(%q)", group))
	at.checkName(group)
	at.checkFunc("the handler", handle == nil)
	openOn(at, e, o.topic, group, openCall{phase: openStart}, o.letter, handle, opts)
}

// OnJoin lets the engine hear of every join of this party, as group. The party may not have acted yet: what comes next in a saga listens with OnDone.
// It is Open.OnStart otherwise.
func (p Party[S, J]) OnJoin(e *Engine, group string, handle func(ctx context.Context, with J) error, opts ...ListenOption) {
	at := p.at(fmt.Sprintf("OnJoin(%q)", group))
	at.checkName(group)
	at.checkFunc("the handler", handle == nil)
	openOn(at, e, p.open.topic, group, openCall{openJoin, p.name}, p.letter, handle, opts)
}

// OnDone lets the engine hear that this party has done its part, as group: for what comes next in a saga. handle gets what the party joined with. It is
// Open.OnStart otherwise.
func (p Party[S, J]) OnDone(e *Engine, group string, handle func(ctx context.Context, with J) error, opts ...ListenOption) {
	at := p.at(fmt.Sprintf("OnDone(%q)", group))
	at.checkName(group)
	at.checkFunc("the handler", handle == nil)
	openOn(at, e, p.open.topic, group, openCall{openDone, p.name}, p.letter, handle, opts)
}

// OnCommit lets the engine, in the party's group, end the party's part of a saga that was committed. handle gets what the party joined with. When it
// fails it is called again, as Redeliver says; then the event is dead, and the parties after it are told all the same.
func (p Party[S, J]) OnCommit(e *Engine, handle func(ctx context.Context, with J) error, opts ...ListenOption) {
	at := p.at("OnCommit")
	at.checkFunc("the handler", handle == nil)
	openOn(at, e, p.open.topic, p.name, openCall{openCommit, p.name}, p.letter, handle, opts)
}

// OnRollback is OnCommit for a saga that was rolled back. cause is why: errors arrive as those of sagas do. The party may have joined without having
// acted: handle takes that as done.
func (p Party[S, J]) OnRollback(e *Engine, handle func(ctx context.Context, with J, cause error) error, opts ...ListenOption) {
	at := p.at("OnRollback")
	at.checkFunc("the handler", handle == nil)
	e.openOn(at, p.open.topic, p.name, openCall{openRollback, p.name}, opts, func(ctx context.Context, ev openEvent) error {
		with, err := e.readEvent(p.letter, ev.Turns[ev.At].Data)
		if err != nil {
			return step.Permanent(err)
		}
		return handle(ctx, plan.Cast[J](with), e.errors.Decode(ev.Cause))
	})
}

// OnEnd lets the engine hear of every open saga of this kind that has ended, when all its parties have been told, as group. What fails comes again, as
// Redeliver says, and is then a dead event.
func (o Open[S]) OnEnd(e *Engine, group string, handle func(ctx context.Context, s OpenSaga[S]) error, opts ...ListenOption) {
	at := o.topic.at(fmt.Sprintf("OnEnd(%q)", group))
	at.checkName(group)
	at.checkFunc("the handler", handle == nil)
	e.openOn(at, o.topic, group, openCall{phase: openEnd}, opts, func(ctx context.Context, ev openEvent) error {
		st, err := e.openLedger(o.topic, ev.Saga).read(ctx)
		switch {
		case err != nil:
			return err
		case st.start == nil:
			return step.Permanent(fmt.Errorf("%w: it was forgotten before this listener heard of its end", ErrUnknown))
		}
		st.ended = true
		s, err := o.standing(e, ev.Saga, st)
		if err != nil {
			return step.Permanent(err)
		}
		return handle(ctx, s)
	})
}

func (p Party[S, J]) at(call string) place {
	if p.letter == nil {
		panic(fmt.Sprintf("flow: %s on a zero %T: make it with Open.Party", call, p))
	}
	return place{flow: p.open.Name(), call: call, name: ""}
}

// openOn adds a handler of a value.
func openOn[V any](at place, e *Engine, topic Topic[openEvent], group string, c openCall, letter *plan.Type, handle func(context.Context, V) error, opts []ListenOption) {
	e.openOn(at, topic, group, c, opts, func(ctx context.Context, ev openEvent) error {
		data := ev.Data
		if t := ev.turn(); t != nil {
			data = t.Data
		}
		v, err := e.readEvent(letter, data)
		if err != nil {
			return step.Permanent(err)
		}
		return handle(ctx, plan.Cast[V](v))
	})
}

// openOn adds a handler to those of its group, which is one listener of the topic.
func (e *Engine) openOn(at place, topic Topic[openEvent], group string, c openCall, opts []ListenOption, call func(context.Context, openEvent) error) {
	if e.isZero() {
		at.panicf("on an Engine that NewEngine did not make")
	}
	var own listener
	for _, opt := range opts {
		opt(&own)
	}
	if g := e.events.openGroup(topic.name, group); g != nil {
		if e.phase.Load() != fresh {
			at.panicf("after Run: say what an engine listens to before it runs")
		}
		own.check(at)
		e.events.adjust(topic.name, group, opts)
		g.add(at, c, openHandler{call, own.noRollback})
		return
	}
	g := &openGroup{e: e, topic: topic, group: group, calls: make(map[openCall]openHandler)}
	e.listen(at, opts, listener{topic: topic.name, group: group, open: g, burying: g.bury, handle: func(ctx context.Context, payload []byte) error {
		ev, err := e.readEvent(topic.letter, payload)
		if err != nil {
			return step.Permanent(err)
		}
		return g.handle(ctx, plan.Cast[openEvent](ev))
	}})
	g.add(at, c, openHandler{call, own.noRollback})
}

func (g *openGroup) add(at place, c openCall, h openHandler) {
	if _, had := g.calls[c]; had {
		at.panicf("the group listens to that already")
	}
	g.calls[c] = h
}

// handle does what an event asks of the group.
func (g *openGroup) handle(ctx context.Context, ev openEvent) error {
	d := DeliveryFrom(ctx)
	d.Saga = ev.Saga
	ctx = context.WithValue(ctx, deliveryKey{}, d)
	t := ev.turn()
	if t == nil {
		return g.listenTo(ctx, ev)
	}
	if t.Party != g.group {
		return nil
	}
	if h, ok := g.calls[openCall{ev.Phase, t.Party}]; ok {
		if err := h.call(ctx, ev); err != nil {
			return err
		}
	}
	return g.pass(ctx, ev)
}

// listenTo calls the handler of a start, a join or an end.
func (g *openGroup) listenTo(ctx context.Context, ev openEvent) error {
	h, ok := g.calls[openCall{ev.Phase, ev.Party}]
	if !ok {
		return nil
	}
	err := safely(func() error { return h.call(ctx, ev) })
	switch mark := plan.MarkOf(err); {
	case err == nil, ev.Phase == openEnd, errors.Is(ctx.Err(), context.Canceled), mark != nil && mark.Class == plan.NotYet, matches(err, h.noRollback):
		return err
	case errors.Is(err, ErrPayload) && mark != nil: // it is dead, and bury rolls the saga back
		return err
	}
	return g.rollback(context.WithoutCancel(ctx), ev.Saga, err)
}

func matches(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// rollback rolls a saga back because a listener failed. If it is decided already, that was too late, and nothing is left to do.
func (g *openGroup) rollback(ctx context.Context, id string, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, step.DefaultTimeout)
	defer cancel()
	err := g.e.openLedger(g.topic, id).decide(ctx, openRollback, fmt.Errorf("%s: %w", g.group, cause))
	if errors.Is(err, ErrSettled) || errors.Is(err, ErrUnknown) {
		g.e.log.InfoContext(ctx, "a listener failed after the open saga was decided", "saga", id, "open", g.topic.name, "group", g.group, "error", cause)
		return nil
	}
	return err
}

// pass tells the next party that it is its turn, or that the saga has ended.
func (g *openGroup) pass(ctx context.Context, ev openEvent) error {
	l := g.e.openLedger(g.topic, ev.Saga)
	ev.At++
	if ev.turn() != nil {
		bus, err := g.e.bus()
		if err != nil {
			return err
		}
		next, err := l.publication(ctx, ev)
		if err != nil {
			return err
		}
		return insist(ctx, func() error { return bus.Publish(ctx, next) })
	}
	return l.finish(ctx, ev.Cause)
}

// finish notes that all parties have been told.
func (l *openLedger) finish(ctx context.Context, cause []byte) error {
	return l.change(ctx, func(st *openState) (openLine, []openEvent, error) {
		if st.ended || st.start == nil {
			return openLine{}, nil, errAdded
		}
		return openLine{ID: string(openEnd), Kind: string(openEnd), Last: true}, []openEvent{{Phase: openEnd, Saga: l.id, Cause: cause}}, nil
	})
}

// bury does what is due before an event of the saga is a dead one: an undecided saga is rolled back, and a party's failure holds up no other.
func (g *openGroup) bury(ctx context.Context, payload []byte, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, step.DefaultTimeout)
	defer cancel()
	v, err := g.e.readEvent(g.topic.letter, payload)
	if err != nil {
		return nil // nobody knows which saga it is of
	}
	ev := plan.Cast[openEvent](v)
	h := g.calls[openCall{ev.Phase, ev.Party}]
	switch {
	case ev.turn() != nil:
		return g.pass(ctx, ev)
	case ev.Phase == openEnd, matches(cause, h.noRollback):
		return nil
	}
	return g.rollback(ctx, ev.Saga, cause)
}
