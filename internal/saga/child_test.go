package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

func shipping() flow.Flow[world.Num, world.Num] {
	return flow.New[world.Num]("ship").Then(act("pack")).Then(act("send"))
}

func order() flow.Flow[world.Num, world.Num] {
	return root().Then(act("a")).Then(flow.Child(shipping())).Then(act("b"))
}

func (p *play) child() *world.Stored { return p.Saga("m/ship") }

func TestChildIsHeldAndReleased(t *testing.T) {
	p := stage(t, order())
	p.Watch = func(s *world.Stored) {
		if s == p.m() && p.m().State == broker.Owned && len(p.times("do b")) > 0 {
			assert.Equal(t, broker.Held, p.child().State)
		}
	}
	p.enter(world.Num(1))
	p.endedWith(world.Num(1).Mix("a").Mix("pack").Mix("send").Mix("b"))
	assert.Equal(t, broker.Finished, p.child().State)
	h, err := saga.DecodeHeader(p.child().Record.Record)
	require.NoError(t, err)
	assert.Equal(t, "m", h.Parent)
	assert.Equal(t, "m", p.child().Parent)
	assert.Equal(t, "ship", h.Path)
	assert.Equal(t, "t1", h.Headers["trace"])
	assert.False(t, h.Forward)
}

func TestChildIsUndoneAsAWhole(t *testing.T) {
	p := stage(t, order()).on("do b", errStop).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	assert.Equal(t, []saga.UndoResult{{Path: "ship"}, {Path: "a"}}, p.failure().Undone)
	assert.Equal(t, broker.Finished, p.child().State)
	assert.ErrorContains(t, p.Fails["m/ship"].Cause, "its parent goes back")
}

func TestChildThatFailsFailsItsParent(t *testing.T) {
	p := stage(t, order()).on("do send", errBoom).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	assert.Equal(t, "ship", p.failure().Step)
	assert.ErrorContains(t, p.failure().Cause, "boom")
}

func TestChildKeepsAreThoseOfItsParent(t *testing.T) {
	f := root().Then(flow.Child(flow.New[world.Num]("ship").Then(plain("pack")).Then(act("send"))))
	p := stage(t, f).on("do send", errStop).enter(world.Num(1))
	assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
}

func TestChildIsCancelledBeforeItBegan(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(shipping()), act("b"), sum))
	p.on("do both/b", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m()) // the child is born, and was not touched
	assert.Equal(t, broker.Ready, p.Saga("m/both/ship").State)
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"do both/b"}, p.trail())
	assert.Equal(t, broker.Finished, p.Saga("m/both/ship").State)
}

func TestChildThatIsCancelledTheMomentItIsBegun(t *testing.T) {
	f := root().Both("both", flow.New[world.Num]("f").Then(act("x")).Then(flow.Child(shipping())), act("b"), sum)
	p := stage(t, f).on("do both/b", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	p.Finish(p.m().Owner.Calls[0])
	p.Finish(p.m().Owner.Calls[0]) // x is done and b refuses, in one transition
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Nil(t, p.Saga("m/both/f/ship"), "it never began")
	assert.Equal(t, []string{"both/f/x"}, p.undos())
}

func TestChildThatEndsWhileItsParentGoesBack(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(flow.New[world.Num]("ship").Then(act("pack"))), act("b"), sum))
	p.on("do both/b", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	ship := p.Saga("m/both/ship")
	p.Adopt(ship)
	p.Drive(ship)
	p.Finish(ship.Owner.Calls[0])
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m()) // asks for the undo
	p.Drive(ship)  // hears of it, although it is done
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"pack"}, p.undos())
	assert.Empty(t, p.Effects())
}

func TestChildRepliesCrossWithTheParentsWish(t *testing.T) {
	p := stage(t, root().Both("both", flow.Child(flow.New[world.Num]("ship").Then(act("pack"))), act("b"), sum))
	p.on("do both/b", errStop)
	p.Start("main", "m", world.Num(1))
	p.Drive(p.m())
	ship := p.Saga("m/both/ship")
	p.Adopt(ship)
	p.Drive(ship)
	p.Finish(ship.Owner.Calls[0])
	p.Drive(ship) // is held, and its reply is in the parent's mailbox
	assert.Equal(t, broker.Held, ship.State)
	reply := p.m().Owner.Inbox
	p.m().Owner.Inbox = nil
	p.Finish(p.m().Owner.Calls[0])
	p.Drive(p.m()) // asks for the undo without having read the reply
	p.m().Owner = nil
	p.m().State = broker.Ready
	p.m().Mail = append(reply, reply...)
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"pack"}, p.undos())
}

func TestDeadChildKeepsItsParentWaiting(t *testing.T) {
	p := stage(t, order()).on("do b", errStop).on("undo pack", step.GiveUp(errBoom)).enter(world.Num(1))
	assert.Equal(t, broker.Buried, p.child().State)
	assert.Equal(t, broker.Parked, p.m().State)
	p.Resolve(p.child(), saga.EventRelay, "", saga.Note{Who: "ann"})
	p.RunOut()
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"send", "pack", "pack", "a"}, p.undos())
}

func TestChildThatAPersonEnded(t *testing.T) {
	done, failed := saga.Note{Who: "ann", Out: []byte("42")}, saga.Note{Who: "ann", Err: []byte("written off")}
	dead := func(t *testing.T, call string) *play { // goes back, with a child that cannot
		p := stage(t, order()).on("do b", errStop).on(call, step.GiveUp(errBoom)).enter(world.Num(1))
		require.Equal(t, broker.Buried, p.child().State)
		return p
	}
	t.Run("as done, after its parent asked for the undo", func(t *testing.T) {
		p := dead(t, "undo pack")
		p.Resolve(p.child(), saga.EventSettle, "", done)
		p.RunOut()
		assert.Equal(t, []string{"ship"}, p.ended(saga.Compensated).Kept, "nobody will undo it")
		assert.Equal(t, []string{"send", "pack", "a"}, p.undos())
	})
	t.Run("as failed, after its parent asked for the undo", func(t *testing.T) {
		p := dead(t, "undo pack")
		p.Resolve(p.child(), saga.EventSettle, "", failed)
		p.RunOut()
		assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
		assert.Equal(t, []saga.UndoResult{{Path: "ship", ByHand: true}, {Path: "a"}}, p.failure().Undone)
	})
	own := func(t *testing.T) *play { // a child that failed by itself, and cannot go back
		p := stage(t, order()).on("do send", errStop).on("undo pack", step.GiveUp(errBoom)).enter(world.Num(1))
		require.Equal(t, broker.Buried, p.child().State)
		return p
	}
	t.Run("as done, before its parent knew", func(t *testing.T) {
		p := own(t)
		p.Resolve(p.child(), saga.EventSettle, "", done)
		p.RunOut()
		p.endedWith(world.Num(42).Mix("b"))
	})
	t.Run("as done, and its parent goes back later", func(t *testing.T) {
		p := own(t)
		p.on("do b", errStop)
		p.Resolve(p.child(), saga.EventSettle, "", done)
		p.RunOut()
		assert.Equal(t, []string{"ship"}, p.ended(saga.Compensated).Kept)
		assert.Equal(t, []string{"pack", "a"}, p.undos())
	})
	t.Run("as failed, before its parent knew", func(t *testing.T) {
		p := own(t)
		p.Resolve(p.child(), saga.EventSettle, "", failed)
		p.RunOut()
		assert.Equal(t, []string{"ship/pack"}, p.ended(saga.Compensated).Kept)
	})
}

func TestParentThatAPersonEnded(t *testing.T) {
	f := root().Both("both", flow.Child(shipping()), flow.Child(flow.New[world.Num]("bill").Wait(paid, takeSignal)), sum).Then(act("b"))
	p := stage(t, f).enter(world.Num(1))
	p.Adopt(p.m())
	p.m().Owner.M.Break(errBoom)
	p.RunOut()
	p.ended(saga.DeadLetter)
	assert.Equal(t, broker.Held, p.Saga("m/both/ship").State, "a dead letter keeps its children")
	p.Resolve(p.m(), saga.EventSettle, "", saga.Note{Who: "ann", Out: []byte("1")})
	p.RunOut()
	p.ended(saga.Succeeded)
	assert.Equal(t, broker.Finished, p.Saga("m/both/ship").State, "what is done is released")
	assert.Equal(t, broker.Finished, p.Saga("m/both/bill").State, "what still runs goes back")
	assert.Empty(t, p.undos())
}

func TestChildWithAPivotIsThePivot(t *testing.T) {
	pay := flow.New[world.Num]("pay").Then(act("check")).Then(plain("charge").Pivot()).Then(plain("book"))
	f := root().Then(act("a")).Then(flow.Child(pay)).Then(plain("b"))
	t.Run("it fails before its pivot", func(t *testing.T) {
		p := stage(t, f).on("do charge", errStop).enter(world.Num(1))
		p.ended(saga.Compensated)
		assert.Equal(t, []string{"check", "a"}, p.undos())
	})
	t.Run("it is done, and the parent only goes forward", func(t *testing.T) {
		p := stage(t, f).on("do b", errStop).enter(world.Num(1))
		p.ended(saga.DeadLetter)
		assert.Empty(t, p.undos())
		assert.Equal(t, broker.Finished, p.Saga("m/pay").State, "nobody will undo it: it is not held")
	})
	t.Run("the parent is not cancelled while it runs", func(t *testing.T) {
		p := stage(t, f)
		p.when("do check", p.cancel).enter(world.Num(1))
		p.ended(saga.Succeeded)
		assert.Contains(t, p.journal(""), "denied")
	})
}

func TestChildAfterThePivotOnlyGoesForward(t *testing.T) {
	f := root().Then(plain("p").Pivot()).Then(flow.Child(flow.New[world.Num]("ship").Then(plain("pack")).Then(plain("send")).Deadline(time.Minute)))
	p := stage(t, f).on("do pack", errBoom, errBoom).on("do send", step.NotYet(time.Hour), errStop)
	p.enter(world.Num(1))
	assert.Equal(t, broker.Buried, p.child().State)
	assert.Equal(t, broker.Parked, p.m().State)
	p.Post("m/ship", saga.EventCancel, "", nil)
	p.Resolve(p.child(), saga.EventRelay, "", saga.Note{Who: "ann"})
	p.RunOut()
	p.ended(saga.Succeeded)
	assert.Equal(t, broker.Finished, p.child().State)
	var kinds []string
	for _, fact := range p.child().Facts {
		kinds = append(kinds, fact.Kind.String())
	}
	assert.Contains(t, kinds, "late")
	assert.Contains(t, kinds, "denied")
}

func TestChildAfterThePivotThatAPersonEndedAsFailed(t *testing.T) {
	f := root().Then(plain("p").Pivot()).Then(flow.Child(flow.New[world.Num]("ship").Then(plain("pack"))))
	p := stage(t, f).on("do pack", errStop).enter(world.Num(1))
	p.Resolve(p.child(), saga.EventSettle, "", saga.Note{Who: "ann", Err: []byte("written off")})
	p.RunOut()
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
	p.Start("main", "m", world.Num(1))
	for p.m().State != broker.Parked {
		p.Step()
	}
	p.Deliver("m", broker.Event{ID: "x", Kind: saga.EventReply, Name: "ship", Data: []byte("?")})
	p.Adopt(p.m())
	p.Drive(p.m())
	p.ended(saga.DeadLetter)
	assert.ErrorContains(t, p.failure().Cause, "an outcome")
}

func TestGrandchildren(t *testing.T) {
	deep := flow.New[world.Num]("deep").Then(act("x"))
	ship := flow.New[world.Num]("ship").Then(act("pack")).Then(flow.Child(deep))
	p := stage(t, root().Then(flow.Child(ship)).Then(act("b"))).on("do b", errStop).enter(world.Num(1))
	p.ended(saga.Compensated)
	assert.Equal(t, []string{"x", "pack"}, p.undos())
	for _, id := range p.IDs() {
		assert.Equal(t, broker.Finished, p.Saga(id).State, id)
	}
	p = stage(t, root().Then(flow.Child(ship)).Then(act("b"))).enter(world.Num(1))
	p.ended(saga.Succeeded)
	for _, id := range p.IDs() {
		assert.Equal(t, broker.Finished, p.Saga(id).State, id)
	}
}
