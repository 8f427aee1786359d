package bookshop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

const letter = "testdata/order-42.json"

// The dead letter of the guide: its release failed for good. With SKALD_UPDATE=1 it is made anew.
func TestTheLetterNeedsItsRepair(t *testing.T) {
	shop := New()
	down := errors.New("stock: connection refused")
	broken := flow.New[Request]("order").
		Then(step.Do("reserve", shop.reserve).
			Compensate(func(context.Context, step.Effect[Request, Request]) error { return down }).RetryUndo(step.Retry{Attempts: 1})).
		Then(step.Do("charge", shop.charge).Compensate(shop.refund).Refuses(ErrDeclined)).
		Delay("cooling-off", func(Request) time.Duration { return 24 * time.Hour }).
		Then(step.Do("ship", shop.ship).Pivot())
	if os.Getenv(sagatest.UpdateVariable) != "" {
		synctest.Test(t, func(t *testing.T) { makeLetter(t, broken) })
	}
	synctest.Test(t, func(t *testing.T) {
		r := sagatest.Replay(t, letter, broken, options)
		_, err := r.Result()
		require.ErrorContains(t, err, "connection refused", "what is not repaired stays a dead letter")
	})
}

func makeLetter(t *testing.T, order flow.Flow[Request, Request]) {
	time.Sleep(time.Until(time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)))
	b := inmem.New()
	engine := flow.NewEngine(b, flow.Options{Errors: Errors, Logger: slog.New(slog.DiscardHandler)})
	engine.Serve(order)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	future, err := order.Start(ctx, engine, Request{"Dune", "bob", 1200}, flow.ID("order-42"))
	require.NoError(t, err)
	_, err = future.Await(ctx)
	require.ErrorContains(t, err, "dead letter")
	x, err := flow.Export(ctx, b, "order-42")
	require.NoError(t, err)
	file, err := os.Create(letter)
	require.NoError(t, err)
	require.NoError(t, errors.Join(x.Write(file, flow.ExportOptions{Payloads: true}), file.Close()))
	cancel()
	require.NoError(t, <-ended)
}

// heard is a test that notes what it is told.
type heard struct {
	testing.TB
	said strings.Builder
}

func (h *heard) Helper()                           {}
func (h *heard) Errorf(format string, args ...any) { fmt.Fprintf(&h.said, format+"\n", args...) }

// renamed is the saga after somebody thought of a better name.
func (s *Shop) renamed() flow.Flow[Request, Request] {
	return flow.New[Request]("order").
		Then(step.Do("reserve", s.reserve).Compensate(s.release)).
		Then(step.Do("charge-card", s.charge).Compensate(s.refund).Refuses(ErrDeclined)).
		Delay("cooling-off", func(Request) time.Duration { return 24 * time.Hour }).
		Then(step.Do("ship", s.ship).Pivot())
}

// forgetful is the saga of somebody whose refund takes for granted that there was a payment.
func (s *Shop) forgetful() flow.Flow[Request, Request] {
	refund := func(ctx context.Context, e step.Effect[Request, Request]) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.money[e.In.Customer] += e.In.Cents
		delete(s.paid, step.InfoFrom(ctx).Saga)
		return nil
	}
	return flow.New[Request]("order").
		Then(step.Do("reserve", s.reserve).Compensate(s.release)).
		Then(step.Do("charge", s.charge).Compensate(refund).Refuses(ErrDeclined)).
		Delay("cooling-off", func(Request) time.Duration { return 24 * time.Hour }).
		Then(step.Do("ship", s.ship).Pivot())
}

// What the guide says that tests say is what they say.
func TestTheGuideShowsWhatTestsSay(t *testing.T) {
	t.Setenv(sagatest.UpdateVariable, "")
	page, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	for name, test := range map[string]func(testing.TB){
		"TestNamesOfOrder":      func(tb testing.TB) { sagatest.Golden(tb, New().renamed(), "testdata/order.golden") },
		"TestOrderIsCompatible": func(tb testing.TB) { sagatest.Compatible(tb, New().renamed(), "testdata/order.v1.json") },
	} {
		h := &heard{TB: t}
		test(h)
		require.NotEmpty(t, h.said.String())
		assert.Contains(t, string(page), strings.ReplaceAll(strings.TrimSpace(h.said.String()), t.Name(), name))
	}
	report := sagatest.Examine(t, (*Shop).forgetful, sagatest.World[*Shop, Request]{
		New: New, Input: func(*Shop) Request { return dune }, Snapshot: (*Shop).Books, Options: options,
		Invariants: []sagatest.Invariant[*Shop]{sagatest.Conserved("money", (*Shop).Money), sagatest.NothingHeld("stock", (*Shop).Held)},
	})
	require.NotEmpty(t, report.Failures)
	shown := 0
	for _, c := range report.Failures {
		if strings.Contains(string(page), c.Name) && strings.Contains(string(page), c.Mistake.Text) {
			shown++
		}
	}
	assert.Positive(t, shown, "the guide shows a cell that fails")
}

// Every block of Go in the guide stands in this package.
func TestTheGuidesCodeIsRun(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	code := ""
	for _, file := range []string{"shop.go", "shop_test.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code += string(text)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	require.Len(t, blocks, 7)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		assert.Contains(t, code, block)
	}
}
