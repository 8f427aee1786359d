package saga_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// asked is a saga in which a, and b beside it, were asked 50 times each, and have not come to an end yet.
func asked(t *testing.T, end ...error) *play {
	p := stage(t, root().Both("both", act("a"), act("b").Retry(step.Retry{Attempts: 1000}), sum).Then(act("c")))
	for range 50 {
		p.on("do both/a", step.NotYet(time.Minute)).on("do both/b", errBoom)
	}
	p.on("do both/a", end...)
	return p
}

// A step that is asked for days makes neither a long journal nor a slow load; what is known of it stands in the memo, until it ends.
func TestWhatIsAskedAgainAndAgainStandsInTheMemo(t *testing.T) {
	p := asked(t)
	most, longest := 0, 0
	p.when("do c", func() {
		assert.Empty(t, p.m().Memo, "both have ended")
		most, longest = len(p.m().Journal), len(p.journal("both/a"))
	})
	p.enter(world.Num(1))
	p.ended(saga.Succeeded)
	assert.Equal(t, 51, p.the("do both/b").What.Number)
	assert.Less(t, most, 40)
	assert.Less(t, longest, 20)
	assert.Len(t, p.Effects(), 3)
}

func TestWhatIsAskedAgainAndAgainMayGoBack(t *testing.T) {
	p := asked(t, errStop)
	for range 45 {
		p.on("undo both/b", errBoom, step.NotYet(time.Minute))
	}
	p.enter(world.Num(1))
	p.ended(saga.DeadLetter) // the undo has ten attempts
	p.byHand(saga.EventRelay, "")
	p.ended(saga.DeadLetter)
	require.Less(t, len(p.m().Journal), 60)
	for range 3 {
		p.byHand(saga.EventRelay, "")
	}
	p.ended(saga.Compensated)
	assert.Empty(t, p.Effects())
}
