// Package brokers names the brokers that the tests of the examples run on.
package brokers

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
)

// Kind is a kind of broker.
type Kind struct {
	Name    string
	Virtual bool // it waits on channels and timers only, so that its time may be virtual
	Open    func(testing.TB) broker.Broker
	Network func(testing.TB) Network
}

// Network connects services.
type Network interface {
	Service(name string) string                   // what a service is called here: no other test has one of that name
	Open(t testing.TB, name string) broker.Broker // for a process of the service
}

// All lists the kinds that there are.
func All() []Kind {
	return []Kind{
		{Name: "inmem", Virtual: true, Open: openInMem, Network: newNetwork},
		{Name: "redis", Open: openRedis, Network: newRedisNetwork},
	}
}

// Time is how long something takes, where time is virtual and where it is real.
func (k Kind) Time(virtual, real time.Duration) time.Duration {
	if k.Virtual {
		return virtual
	}
	return real
}

// Took asserts that something took so long: exactly where time is virtual, at least where it is real.
func (k Kind) Took(t testing.TB, expected, actual time.Duration, what ...any) {
	t.Helper()
	if k.Virtual {
		assert.Equal(t, expected, actual, what...)
	} else {
		assert.GreaterOrEqual(t, actual, expected, what...)
	}
}

// Eventually waits until happened is true, and fails the test if it never is.
func Eventually(t testing.TB, happened func() bool, what string) {
	t.Helper()
	require.Eventually(t, happened, time.Minute, time.Millisecond, what)
}

func openInMem(t testing.TB) broker.Broker {
	b := inmem.New()
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// network is an inmem.Network.
type network struct{ *inmem.Network }

func newNetwork(testing.TB) Network { return network{inmem.NewNetwork()} }

func (n network) Service(name string) string { return name }

func (n network) Open(_ testing.TB, name string) broker.Broker { return n.Broker(name) }

// Each runs test on all kinds of brokers, with and without decoding everything where that costs no time.
func Each(t *testing.T, test func(t *testing.T, k Kind, decodeAll bool)) {
	for _, k := range All() {
		t.Run(k.Name, func(t *testing.T) { test(t, k, false) })
		if k.Virtual {
			t.Run(k.Name+" decoding all", func(t *testing.T) { test(t, k, true) })
		}
	}
}

// Decoding runs test on all kinds of brokers, decoding everything: for tests of which there are many.
func Decoding(t *testing.T, test func(t *testing.T, k Kind, decodeAll bool)) {
	for _, k := range All() {
		t.Run(k.Name, func(t *testing.T) { test(t, k, true) })
	}
}

// Failing runs test on brokers whose calls fail, lose their replies or happen twice, from a seed that the
// test logs. Reads do not fail: who reads sees such errors, and what a saga does, does not.
func Failing(t *testing.T, test func(t *testing.T, k Kind, decodeAll bool)) {
	for _, k := range All() {
		failing := Kind{Name: k.Name + " that fails", Virtual: k.Virtual}
		failing.Open = func(t testing.TB) broker.Broker {
			return brokerfault.Wrap(k.Open(t), brokerfault.Options{
				Rules: []brokerfault.Rule{{Method: brokerfault.Lookup}, {Method: brokerfault.List}, {Method: brokerfault.Stats}},
				Odds:  brokerfault.Odds{brokerfault.Fail: 0.1, brokerfault.Lose: 0.1, brokerfault.Repeat: 0.1, brokerfault.Delay: 0.05},
				Logf:  t.Logf,
			})
		}
		t.Run(failing.Name, func(t *testing.T) { test(t, failing, true) })
	}
}

// InBubble is Each in bubbles of virtual time, where the broker allows it.
func InBubble(t *testing.T, test func(t *testing.T, k Kind, decodeAll bool)) {
	Each(t, func(t *testing.T, k Kind, decodeAll bool) {
		if !k.Virtual {
			t.Parallel()
			test(t, k, decodeAll)
			return
		}
		synctest.Test(t, func(t *testing.T) { test(t, k, decodeAll) })
	})
}

// Virtually is InBubble for tests of what only virtual time shows: only for the brokers that allow it.
func Virtually(t *testing.T, test func(t *testing.T, k Kind, decodeAll bool)) {
	Each(t, func(t *testing.T, k Kind, decodeAll bool) {
		if !k.Virtual {
			t.Skip("only virtual time shows it")
		}
		synctest.Test(t, func(t *testing.T) { test(t, k, decodeAll) })
	})
}

// Runner is Each, Decoding, Failing, InBubble or Virtually.
type Runner = func(*testing.T, func(t *testing.T, k Kind, decodeAll bool))

// Run runs an engine that serves flows until the test ends, or until stop is called.
func Run(t testing.TB, b broker.Broker, opts flow.Options, flows ...flow.Definition) (e *flow.Engine, stop func()) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	e = flow.NewEngine(b, opts)
	e.Serve(flows...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return e, stop
}
