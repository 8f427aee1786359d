package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/step"
)

func shipping() flow.Flow[num, num] { return flow.New[num]("ship").Then(act("pack")).Then(act("send")) }

func order() flow.Flow[num, num] {
	return root().Then(act("a")).Then(flow.Child(shipping())).Then(act("b"))
}

func (p *play) child() *stored { return p.stored["m/ship"] }

func TestChildIsHeldAndReleased(t *testing.T) {
	p := stage(t, order())
	p.watch = func(s *stored) {
		if s == p.m() && p.m().state == broker.Owned && len(p.times("do b")) > 0 {
			assert.Equal(t, broker.Held, p.child().state)
		}
	}
	p.enter(num(1))
	p.endedWith(num(1).mix("a").mix("pack").mix("send").mix("b"))
	assert.Equal(t, broker.Finished, p.child().state)
	h, err := saga.DecodeHeader(p.child().Record.Record)
	require.NoError(t, err)
	assert.Equal(t, "m", h.Parent)
	assert.Equal(t, "m", p.child().Parent)
	assert.Equal(t, "ship", h.Path)
	assert.Equal(t, "t1", h.Headers["trace"])
	assert.False(t, h.Forward)
}

func TestChildIsUndoneAsAWhole(t *testing.T) {
	p := stage(t, order()).on("do b", errStop).enter(num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	assert.Equal(t, []saga.UndoResult{{Path: "ship"}, {Path: "a"}}, p.failure().Undone)
	assert.Equal(t, broker.Finished, p.child().state)
	assert.ErrorContains(t, p.fails["m/ship"].Cause, "its parent goes back")
}

func TestChildThatFailsFailsItsParent(t *testing.T) {
	p := stage(t, order()).on("do send", errBoom).enter(num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	assert.Equal(t, "ship", p.failure().Step)
	assert.ErrorContains(t, p.failure().Cause, "boom")
}

func TestChildKeepsAreThoseOfItsParent(t *testing.T) {
	f := root().Then(flow.Child(flow.New[num]("ship").Then(plain("pack")).Then(act("send"))))
	p := stage(t, f).on("do send", errStop).enter(num(1))
	assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
}

func TestChildIsCancelledBeforeItBegan(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(shipping()), act("b"), sum))
	p.on("do both/b", errStop)
	p.start("main", "m", num(1))
	p.drive(p.m())
	p.finish(p.m().owner.calls[0])
	p.drive(p.m()) // the child is born, and was not touched
	assert.Equal(t, broker.Ready, p.stored["m/both/ship"].state)
	p.run()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"do both/b"}, p.trail())
	assert.Equal(t, broker.Finished, p.stored["m/both/ship"].state)
}

func TestChildThatIsCancelledTheMomentItIsBegun(t *testing.T) {
	f := root().Both("both", flow.New[num]("f").Then(act("x")).Then(flow.Child(shipping())), act("b"), sum)
	p := stage(t, f).on("do both/b", errStop)
	p.start("main", "m", num(1))
	p.drive(p.m())
	p.finish(p.m().owner.calls[0])
	p.finish(p.m().owner.calls[0]) // x is done and b refuses, in one transition
	p.run()
	p.ended(saga.Compensated)
	assert.Nil(t, p.stored["m/both/f/ship"], "it never began")
	assert.Equal(t, []string{"both/f/x"}, p.undos())
}

func TestChildThatEndsWhileItsParentGoesBack(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(flow.New[num]("ship").Then(act("pack"))), act("b"), sum))
	p.on("do both/b", errStop)
	p.start("main", "m", num(1))
	p.drive(p.m())
	ship := p.stored["m/both/ship"]
	p.adopt(ship)
	p.drive(ship)
	p.finish(ship.owner.calls[0])
	p.finish(p.m().owner.calls[0])
	p.drive(p.m()) // asks for the undo
	p.drive(ship)  // hears of it, although it is done
	p.run()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"pack"}, p.undos())
	assert.Empty(t, p.bank.effects)
}

func TestChildRepliesCrossWithTheParentsWish(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(flow.New[num]("ship").Then(act("pack"))), act("b"), sum))
	p.on("do both/b", errStop)
	p.start("main", "m", num(1))
	p.drive(p.m())
	ship := p.stored["m/both/ship"]
	p.adopt(ship)
	p.drive(ship)
	p.finish(ship.owner.calls[0])
	p.drive(ship) // is held, and its reply is in the parent's mailbox
	assert.Equal(t, broker.Held, ship.state)
	reply := p.m().owner.inbox
	p.m().owner.inbox = nil
	p.finish(p.m().owner.calls[0])
	p.drive(p.m()) // asks for the undo without having read the reply
	p.m().owner = nil
	p.m().state = broker.Ready
	p.m().Mail = append(reply, reply...)
	p.run()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"pack"}, p.undos())
}

func TestDeadChildKeepsItsParentWaiting(t *testing.T) {
	p := stage(t, order()).on("do b", errStop).on("undo pack", step.GiveUp(errBoom)).enter(num(1))
	assert.Equal(t, broker.Buried, p.child().state)
	assert.Equal(t, broker.Parked, p.m().state)
	p.resolve(p.child(), saga.EventRelay, "", saga.Note{Who: "ann"})
	p.run()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "pack", "a"}, p.undos())
}

func TestChildThatAPersonEnded(t *testing.T) {
	done, failed := saga.Note{Who: "ann", Out: []byte("42")}, saga.Note{Who: "ann", Err: []byte("written off")}
	dead := func(t *testing.T, call string) *play { // goes back, with a child that cannot
		p := stage(t, order()).on("do b", errStop).on(call, step.GiveUp(errBoom)).enter(num(1))
		require.Equal(t, broker.Buried, p.child().state)
		return p
	}
	t.Run("as done, after its parent asked for the undo", func(t *testing.T) {
		p := dead(t, "undo pack")
		p.resolve(p.child(), saga.EventSettle, "", done)
		p.run()
		assert.Equal(t, []string{"ship"}, p.ended(saga.Compensated).Kept, "nobody will undo it")
		assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	})
	t.Run("as failed, after its parent asked for the undo", func(t *testing.T) {
		p := dead(t, "undo pack")
		p.resolve(p.child(), saga.EventSettle, "", failed)
		p.run()
		assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
		assert.Equal(t, []saga.UndoResult{{Path: "ship", ByHand: true}, {Path: "a"}}, p.failure().Undone)
	})
	own := func(t *testing.T) *play { // a child that failed by itself, and cannot go back
		p := stage(t, order()).on("do send", errStop).on("undo pack", step.GiveUp(errBoom)).enter(num(1))
		require.Equal(t, broker.Buried, p.child().state)
		return p
	}
	t.Run("as done, before its parent knew", func(t *testing.T) {
		p := own(t)
		p.resolve(p.child(), saga.EventSettle, "", done)
		p.run()
		p.endedWith(num(42).mix("b"))
	})
	t.Run("as done, and its parent goes back later", func(t *testing.T) {
		p := own(t)
		p.on("do b", errStop)
		p.resolve(p.child(), saga.EventSettle, "", done)
		p.run()
		assert.Equal(t, []string{"ship"}, p.ended(saga.Compensated).Kept)
		assert.Equal(t, []string{"pack", "a"}, p.undos())
	})
	t.Run("as failed, before its parent knew", func(t *testing.T) {
		p := own(t)
		p.resolve(p.child(), saga.EventSettle, "", failed)
		p.run()
		assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
	})
}

func TestParentThatAPersonEnded(t *testing.T) {
	f := root().Both("both", flow.Child(shipping()), flow.Child(flow.New[num]("bill").Wait(paid, takeSignal)), sum).Then(act("b"))
	p := stage(t, f).enter(num(1))
	p.adopt(p.m())
	p.m().owner.m.Break(errBoom)
	p.run()
	p.ended(saga.DeadLetter)
	assert.Equal(t, broker.Held, p.stored["m/both/ship"].state, "a dead letter keeps its children")
	p.resolve(p.m(), saga.EventSettle, "", saga.Note{Who: "ann", Out: []byte("1")})
	p.run()
	p.ended(saga.Succeeded)
	assert.Equal(t, broker.Finished, p.stored["m/both/ship"].state, "what is done is released")
	assert.Equal(t, broker.Finished, p.stored["m/both/bill"].state, "what still runs goes back")
	assert.Empty(t, p.undos())
}

func TestChildWithAPivotIsThePivot(t *testing.T) {
	pay := flow.New[num]("pay").Then(act("check")).Then(plain("charge").Pivot()).Then(plain("book"))
	f := root().Then(act("a")).Then(flow.Child(pay)).Then(plain("b"))
	t.Run("it fails before its pivot", func(t *testing.T) {
		p := stage(t, f).on("do charge", errStop).enter(num(1))
		p.ended(saga.Compensated)
		assert.Equal(t, []string{"check", "a"}, p.undos())
	})
	t.Run("it is done, and the parent only goes forward", func(t *testing.T) {
		p := stage(t, f).on("do b", errStop).enter(num(1))
		p.ended(saga.DeadLetter)
		assert.Empty(t, p.undos())
		assert.Equal(t, broker.Finished, p.stored["m/pay"].state, "nobody will undo it: it is not held")
	})
	t.Run("the parent is not cancelled while it runs", func(t *testing.T) {
		p := stage(t, f)
		p.when("do check", p.cancel).enter(num(1))
		p.ended(saga.Succeeded)
		assert.Contains(t, p.journal(""), "denied")
	})
}

func TestChildAfterThePivotOnlyGoesForward(t *testing.T) {
	f := root().Then(plain("p").Pivot()).Then(flow.Child(flow.New[num]("ship").Then(plain("pack")).Then(plain("send")).Deadline(time.Minute)))
	p := stage(t, f).on("do pack", errBoom, errBoom).on("do send", step.NotYet(time.Hour), errStop)
	p.enter(num(1))
	assert.Equal(t, broker.Buried, p.child().state)
	assert.Equal(t, broker.Parked, p.m().state)
	p.post("m/ship", saga.EventCancel, "", nil)
	p.resolve(p.child(), saga.EventRelay, "", saga.Note{Who: "ann"})
	p.run()
	p.ended(saga.Succeeded)
	assert.Equal(t, broker.Finished, p.child().state)
	var kinds []string
	for _, fact := range p.child().facts {
		kinds = append(kinds, fact.Kind.String())
	}
	assert.Contains(t, kinds, "late")
	assert.Contains(t, kinds, "denied")
}

func TestChildAfterThePivotThatAPersonEndedAsFailed(t *testing.T) {
	f := root().Then(plain("p").Pivot()).Then(flow.Child(flow.New[num]("ship").Then(plain("pack"))))
	p := stage(t, f).on("do pack", errStop).enter(num(1))
	p.resolve(p.child(), saga.EventSettle, "", saga.Note{Who: "ann", Err: []byte("written off")})
	p.run()
	p.ended(saga.DeadLetter)
	assert.Equal(t, "ship", p.failure().Step)
	assert.Empty(t, p.failure().Undone)
	p.byHand(saga.EventRelay, "")
	p.ended(saga.DeadLetter)
	p.byHand(saga.EventSkip, "ship")
	p.ended(saga.DeadLetter)
}

func TestChildInputThatCannotBeStored(t *testing.T) {
	ship := flow.New[blob]("ship").Then(blobs("pack", 1))
	f := flow.New[blob]("main").Then(blobs("a", 1)).Map(func(blob) blob { return -1 }).Then(flow.Child(ship))
	p := stage(t, f).enter(blob(1))
	p.ended(saga.Compensated)
	assert.Equal(t, "ship", p.failure().Step)
	assert.Nil(t, p.child())
}

func TestReplyThatCannotBeReadIsADeadLetter(t *testing.T) {
	p := stage(t, order())
	p.start("main", "m", num(1))
	for p.m().state != broker.Parked {
		p.step()
	}
	p.deliver("m", broker.Event{ID: "x", Kind: saga.EventReply, Name: "ship", Data: []byte("?")})
	p.adopt(p.m())
	p.drive(p.m())
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "an outcome")
}

func TestGrandchildren(t *testing.T) {
	deep := flow.New[num]("deep").Then(act("x"))
	ship := flow.New[num]("ship").Then(act("pack")).Then(flow.Child(deep))
	p := stage(t, root().Then(flow.Child(ship)).Then(act("b"))).on("do b", errStop).enter(num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"x", "pack"}, p.undos())
	for _, id := range p.ids {
		assert.Equal(t, broker.Finished, p.stored[id].state, id)
	}
	p = stage(t, root().Then(flow.Child(ship)).Then(act("b"))).enter(num(1))
	p.ended(saga.Succeeded)
	for _, id := range p.ids {
		assert.Equal(t, broker.Finished, p.stored[id].state, id)
	}
}
