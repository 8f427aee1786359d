package flow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

var errNo = errors.New("no")

func TestSmoke(t *testing.T) {
	var undone []string
	inc := func(_ context.Context, i int) (int, error) { return i + 1, nil }
	a := step.New("a", inc).Compensate(func(_ context.Context, e step.Effect[int, int]) error {
		undone = append(undone, "a")
		require.Equal(t, 1, e.In)
		require.Equal(t, 2, e.Out)
		return nil
	})
	b := step.New("b", inc)
	c := step.New("c", func(_ context.Context, i int) (int, error) { return 0, step.Refused(errNo) })
	good := flow.New[int]("good").Then(a).Then(b)
	bad := flow.New[int]("bad").Then(a).Then(c)
	e := flow.NewEngine(inmem.New(), flow.Options{Errors: errcodec.New(errcodec.Sentinel("no", errNo))})
	e.Serve(good, bad)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	f, err := good.Start(ctx, e, 1)
	require.NoError(t, err)
	wait, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	out, err := f.Await(wait)
	require.NoError(t, err)
	require.Equal(t, 3, out)
	for range 3 {
		f, err = bad.Start(ctx, e, 1)
		require.NoError(t, err)
		_, err = f.Await(wait)
		require.ErrorIs(t, err, errNo)
		t.Log(err)
	}
	cancel()
	require.NoError(t, <-done)
	require.Len(t, undone, 3)
}
