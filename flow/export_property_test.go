package flow_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// Whatever a saga has come to, its export is the same saga elsewhere, and ends there.
func TestAnExportedSagaGoesOnElsewhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rapid.SyncTest(rt, func(rt *rapid.T) {
			f, o, shots := shotsOf(rt)
			for _, x := range shots {
				b := inmem.New()
				roundTrip(rt, b, x)
				goesOn(rt, b, o, f)
				require.NoError(rt, b.Close())
			}
		})
	})
}

// goesOn relays what needs a person, and runs the saga to its end, or until it needs one again.
func goesOn(t *rapid.T, b broker.Broker, o flow.Options, f flow.Flow[int, int]) {
	var log logs
	o.Logger = log.logger()
	e := newEngine(b, o, f)
	stop := run(e)
	settle()
	for s, err := range b.List(context.Background(), broker.Filter{State: broker.Buried}) {
		require.NoError(t, err)
		require.NoError(t, e.Relay(context.Background(), s.ID, ada))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*24*time.Hour)
	defer cancel()
	_, err := f.Attach(e, "s").Await(ctx)
	if _, open := err.(*flow.RunningError); open || ctx.Err() != nil {
		requireDeadChild(t, b)
	}
	stats, err := b.Stats(context.Background())
	require.NoError(t, err)
	require.NoError(t, stop())
	require.Zero(t, stats.Stranded, "%s", log.String())
}

// requireDeadChild says that a saga that does not end waits for a child that needs a person.
func requireDeadChild(t *rapid.T, b broker.Broker) {
	for s, err := range b.List(context.Background(), broker.Filter{State: broker.Buried}) {
		require.NoError(t, err)
		require.NotEmpty(t, s.Parent)
		return
	}
	require.Fail(t, "the saga does not end")
}

func TestAnExportComesBackFromRedis(t *testing.T) {
	client, spaces := redistest.Start(t).Client(), 0
	rapid.Check(t, func(rt *rapid.T) {
		if spaces >= 60 { // each costs a connection or two
			return
		}
		var shots []flow.Exported
		rapid.SyncTest(rt, func(rt *rapid.T) { _, _, shots = shotsOf(rt) })
		for _, x := range shots {
			spaces++
			b := redisx.New(client, redisx.Options{Namespace: fmt.Sprint("export-", spaces), Logger: slog.New(slog.DiscardHandler)})
			roundTrip(rt, b, x)
			require.ErrorIs(rt, flow.Import(context.Background(), b, x), flow.ErrConflict)
			require.NoError(rt, b.Close())
		}
	})
}
