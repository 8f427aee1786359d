package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

func TestTheSameStartIsTheSameSaga(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		f := flow.New[map[string]int]("f").Then(step.New("sum", func(_ context.Context, in map[string]int) (int, error) {
			calls.Add(1)
			return len(in), nil
		}))
		b := newBroker()
		e := running(t, b, flow.Options{}, f)
		client := newEngine(b, flow.Options{})
		many := func() map[string]int {
			in := map[string]int{}
			for i := range 20 {
				in[fmt.Sprint(i)] = i
			}
			return in
		}
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				at := e
				if i%2 == 0 {
					at = client
				}
				assert.Equal(t, 20, done(t, start(t, f, at, many(), flow.ID("s"))))
			})
		}
		all.Wait()
		require.Equal(t, 20, done(t, start(t, f, e, many(), flow.ID("s"))), "also after it has ended")
		require.EqualValues(t, 1, calls.Load())
		require.Equal(t, 1, stats(t, b).Finished)
	})
}

func TestAnotherStartWithTheIDIsAConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[int]("f").Then(adds("a", 1))
		e := running(t, newBroker(), flow.Options{}, f, f.Version(2))
		require.Equal(t, 2, done(t, start(t, f, e, 1, flow.ID("s"))))
		for name, again := range map[string]func() error{
			"input":   func() error { _, err := f.Start(t.Context(), e, 2, flow.ID("s")); return err },
			"version": func() error { _, err := f.Version(2).Start(t.Context(), e, 1, flow.ID("s")); return err },
			"flow":    func() error { _, err := f.As("g").Start(t.Context(), e, 1, flow.ID("s")); return err },
		} {
			err := again()
			require.ErrorIs(t, err, flow.ErrConflict, name)
			require.ErrorContains(t, err, `flow: start saga "s" of "`)
		}
		_, err := f.Start(t.Context(), e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"trace": "other"}))
		require.NoError(t, err, "headers are no part of what it is")
	})
}

func TestStartRefuses(t *testing.T) {
	plus := flow.New[int]("plus").Then(adds("a", 1))
	text := flow.New[string]("text")
	b := newBroker()
	e := newEngine(b, flow.Options{MaxPayload: 1000, MaxRecord: 4000})
	ctx := t.Context()
	for name, tt := range map[string]struct {
		start func() error
		is    error
		says  string
	}{
		"empty ID": {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("")); return err }, flow.ErrID,
			`flow: start a saga of "plus": flow: not an id: "": it is empty`},
		"slash": {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("a/b")); return err }, flow.ErrID,
			`flow: start a saga of "plus": flow: not an id: "a/b": it contains '/', which paths are made with`},
		"bracket": {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("a[1]")); return err }, flow.ErrID, `it contains '['`},
		"control": {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("a\nb")); return err }, flow.ErrID, `it contains U+000A, which cannot be printed`},
		"zero":    {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("a\x00")); return err }, flow.ErrID, `U+0000`},
		"UTF-8":   {func() error { _, err := plus.Start(ctx, e, 1, flow.ID("a\xff")); return err }, flow.ErrID, `it is not valid UTF-8`},
		"10 KB": {func() error { _, err := plus.Start(ctx, e, 1, flow.ID(strings.Repeat("x", 10<<10))); return err }, flow.ErrID,
			`it has 10240 bytes, more than 255`},
		"nil engine": {func() error { _, err := plus.Start(ctx, nil, 1); return err }, flow.ErrZero,
			`flow: start a saga of "plus" on an Engine that NewEngine did not make: flow: a zero value was used`},
		"zero engine": {func() error { _, err := plus.Start(ctx, new(flow.Engine), 1); return err }, flow.ErrZero, `"plus"`},
		"zero flow": {func() error { _, err := (flow.Flow[int, int]{}).Start(ctx, e, 1); return err }, flow.ErrZero,
			`flow: a zero flow.Flow[int,int] was used: make it with flow.New`},
		"too large": {func() error { _, err := text.Start(ctx, e, strings.Repeat("x", 2000), flow.ID("s")); return err }, flow.ErrTooLarge,
			`flow: start saga "s" of "text": flow: too large: the input has 2003 bytes, Options.MaxPayload is 1000`},
		"large headers": {func() error {
			_, err := text.Start(ctx, e, "x", flow.ID("s"), flow.WithHeaders(flow.Headers{"h": strings.Repeat("x", 4000)}))
			return err
		}, flow.ErrTooLarge, `input and headers have 40`},
		"not encodable": {func() error {
			_, err := flow.New[failing]("failing").Start(ctx, e, failing{}, flow.ID("s"))
			return err
		}, flow.ErrPayload, `flow: start saga "s" of "failing": flow: payload: encode the input, a flow_test.failing: `},
		"panics when it is encoded": {func() error {
			_, err := flow.New[failing]("failing").Start(ctx, e, failing{Panic: true}, flow.ID("s"))
			return err
		}, flow.ErrPayload, `panic: no bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.start()
			require.ErrorIs(t, err, tt.is)
			require.ErrorContains(t, err, tt.says)
			require.Less(t, len(err.Error()), 500)
			require.Zero(t, stats(t, b), "nothing was started")
		})
	}
}

func TestAnInputThatCannotBeReadBackIsRefusedByItsRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[*failing]("f")
		b := newBroker()
		e := running(t, b, flow.Options{}, f)
		_, err := f.Start(t.Context(), e, &failing{Write: true}, flow.ID("s"))
		require.ErrorIs(t, err, flow.ErrPayload)
		require.ErrorContains(t, err, "the input, a *flow_test.failing, cannot be read back")
		require.Zero(t, stats(t, b).Owned)
	})
}

// failing is a payload that cannot be encoded or decoded.
type failing struct{ Panic, Write bool }

func (f failing) MarshalText() ([]byte, error) {
	switch {
	case f.Panic:
		panic("no bytes")
	case f.Write:
		return []byte("bytes"), nil
	}
	return nil, errors.New("no bytes")
}

func (f *failing) UnmarshalText([]byte) error { return errors.New("no value") }

func TestStartBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(adds("a", 1))
		e := newEngine(b, flow.Options{}, f)
		future := start(t, f, e, 1)
		require.Equal(t, 1, stats(t, b).Ready)
		stop := run(e)
		require.Equal(t, 2, done(t, future))
		require.NoError(t, stop())
		_, err := f.Start(t.Context(), e, 1)
		require.ErrorIs(t, err, flow.ErrEnded)
		require.Equal(t, 2, done(t, future), "a result that was given stays")
		require.ErrorIs(t, e.Health(t.Context()), flow.ErrEnded)
	})
}

func TestStartWhileTheEngineDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g := newBroker(), newGate()
		f := flow.New[int]("f").Then(g.at("held"))
		e := newEngine(b, flow.Options{}, f)
		stop := run(e)
		settle()
		start(t, f, e, 1)
		settle()
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		settle()
		late := start(t, f, e, 5)
		settle()
		require.Equal(t, 1, stats(t, b).Ready, "it is stored, and left to others")
		g.open()
		require.NoError(t, <-ended)
		running(t, b, flow.Options{}, f)
		require.Equal(t, 6, done(t, late))
	})
}

func TestAnEngineThatIsNotRunStartsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker()
		f := flow.New[int]("f").Then(adds("a", 1))
		client := newEngine(b, flow.Options{})
		future := start(t, f, client, 1)
		running(t, b, flow.Options{}, f)
		require.Equal(t, 2, done(t, future))
		require.NoError(t, client.Health(t.Context()))
	})
}

func TestOverload(t *testing.T) {
	f := flow.New[int]("f").Then(adds("a", 1))
	b := inmem.New(inmem.Backlog(2))
	e := newEngine(b, flow.Options{})
	start(t, f, e, 1)
	start(t, f, e, 1)
	_, err := f.Start(t.Context(), e, 1, flow.ID("s"))
	require.ErrorIs(t, err, flow.ErrOverloaded)
	require.ErrorContains(t, err, `flow: start saga "s" of "f"`)
	require.Equal(t, 2, stats(t, b).Ready)
}

// The caller may use what it passed for something else as soon as Start has returned.
func TestAnInputIsTheSagasOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flow.New[[]int]("f").Delay("rest", func([]int) time.Duration { return time.Millisecond }).
			Then(step.New("sum", func(_ context.Context, in []int) (int, error) { return in[0] + in[1], nil }))
		e := running(t, newBroker(), flow.Options{}, f)
		in := []int{1, 2}
		future := start(t, f, e, in)
		in[0], in[1] = 100, 200
		require.Equal(t, 3, done(t, future))
	})
}

func TestStartIsRepeatedUntilTheBrokerAnswers(t *testing.T) {
	for name, rule := range map[string]brokerfault.Rule{
		"it fails":           {Method: brokerfault.Start, Try: 1, Fault: brokerfault.Fail},
		"its reply is lost":  {Method: brokerfault.Start, Try: 1, Fault: brokerfault.Lose},
		"it arrives twice":   {Method: brokerfault.Start, Fault: brokerfault.Repeat},
		"it is late":         {Method: brokerfault.Start, Fault: brokerfault.Delay},
		"its owner dies":     {Method: brokerfault.Start, Try: 1, Nth: 1, Fault: brokerfault.KillAfter},
		"its owner was dead": {Method: brokerfault.Start, Try: 1, Nth: 1, Fault: brokerfault.KillBefore},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokerfault.Wrap(newBroker(), brokerfault.Options{Rules: []brokerfault.Rule{rule}})
				var calls atomic.Int64
				f := flow.New[int]("f").Then(step.New("a", func(_ context.Context, in int) (int, error) {
					calls.Add(1)
					return in + 1, nil
				}))
				e := running(t, b, flow.Options{}, f)
				require.Equal(t, 2, done(t, start(t, f, e, 1, flow.ID("s"))))
				require.Equal(t, 2, done(t, start(t, f, newEngine(b, flow.Options{}), 1, flow.ID("s"))))
				require.EqualValues(t, 1, calls.Load())
			})
		})
	}
}

func TestAStartThatGivesUpSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokerfault.Wrap(newBroker(), brokerfault.Options{Rules: []brokerfault.Rule{{Method: brokerfault.Start, Fault: brokerfault.Fail}}})
		f := flow.New[int]("f").Then(adds("a", 1))
		_, err := f.Start(within(t, time.Second), newEngine(b, flow.Options{}), 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, brokerfault.ErrInjected)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = f.Start(ended, newEngine(newBroker(), flow.Options{}), 1)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, strings.Count(err.Error(), "context canceled"))
	})
}

func TestStartOnAClosedBroker(t *testing.T) {
	b := newBroker()
	require.NoError(t, b.Close())
	_, err := flow.New[int]("f").Start(t.Context(), newEngine(b, flow.Options{}), 1)
	require.ErrorIs(t, err, broker.ErrClosed)
}
