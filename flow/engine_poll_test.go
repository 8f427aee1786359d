package flow_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
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

		x, err := flow.Export(t.Context(), b, "s")
		require.NoError(t, err)
		var file bytes.Buffer
		require.NoError(t, x.Write(&file, flow.ExportOptions{Payloads: true}))
		require.Contains(t, file.String(), `"memoShows"`)
		x, err = flow.ReadExport(&file)
		require.NoError(t, err)
		elsewhere := inmem.New()
		require.NoError(t, flow.Import(t.Context(), elsewhere, x))
		copied, err := elsewhere.Lookup(t.Context(), "s", true)
		require.NoError(t, err)
		require.Equal(t, x.Sagas[0].Memo, copied.Memo)
		require.NotEmpty(t, copied.Memo)

		require.Equal(t, 23*60*60+1, must(await(t, future)))
	})
}
