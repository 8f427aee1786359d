package docs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// Reminder is the flow of the README's test.
var Reminder = flow.New[string]("reminder").
	Delay("a-day", func(string) time.Duration { return 24 * time.Hour }).
	Then(step.New("remind", func(_ context.Context, who string) (string, error) { return "mail to " + who, nil }))

func TestReminder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual: a day passes at once
		engine := flow.NewEngine(inmem.New(), flow.Options{DecodeAll: true}) // values come as after a restart
		engine.Serve(Reminder)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- engine.Run(ctx) }()

		future, err := Reminder.Start(ctx, engine, "ada")
		require.NoError(t, err)
		sent, err := future.Await(ctx)
		require.NoError(t, err)
		require.Equal(t, "mail to ada", sent)

		cancel()
		require.NoError(t, <-ended) // no goroutine is left
	})
}
