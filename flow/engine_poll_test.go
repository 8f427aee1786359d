package flow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// A step that asks each second for 23 hours makes no longer a record than one that asks for a minute.
func TestAStepThatIsAskedForADayStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began, asked := newBroker(), time.Now(), 0
		f := flow.New[int]("poll").Then(step.New("ask", func(context.Context, int) (int, error) {
			asked++
			if time.Since(began) < 23*time.Hour {
				return 0, step.NotYet(time.Second)
			}
			return asked, nil
		}))
		e := running(t, b, flow.Options{}, f)
		future := start(t, f, e, 1, flow.ID("s"))
		time.Sleep(22 * time.Hour)
		s, err := b.Lookup(t.Context(), "s", true)
		require.NoError(t, err)
		require.Less(t, len(s.Journal), 30)
		require.Less(t, len(s.Memo), 200)
		snap := must(e.Snapshot(t.Context(), "s"))
		require.WithinDuration(t, began.Add(22*time.Hour), snap.Steps[0].Next, 2*time.Second)
		require.Equal(t, 23*60*60+1, must(await(t, future)))
	})
}
