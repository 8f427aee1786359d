package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/outbox"
)

// A relay dies at its n-th call to the database or the broker, for every n, before the call does anything and after it has. Another one goes on: nothing is
// lost, nothing is started twice, and rows with one key are started in order.
func TestARelayMayDieAnywhere(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		deaths := 0
		for _, after := range []bool{false, true} {
			for at := 0; s.dies(t, at, after); at++ {
				deaths++
			}
		}
		t.Logf("%d deaths", deaths)
		assert.Greater(t, deaths, 20)
	})
}

// dies says whether the relay has died: it does not if it has fewer calls to make.
func (s *shop) dies(t *testing.T, at int, after bool) bool {
	prefix := fmt.Sprintf("d-%d-%v", at, after)
	var expected []string
	for n := range 8 {
		id := fmt.Sprint(prefix, "-", n)
		table := outbox.Table{}
		if n < 5 {
			table = outbox.Keyed("anna")
			expected = append(expected, id)
		}
		s.place(table, id, Request{id, n})
	}
	s.place(outbox.Table{}, prefix+"-large", Request{strings.Repeat("x", 5000), 0})

	memory := inmem.New()
	defer memory.Close()
	process := sqltest.NewProcess(at, after)
	recorded := &starts{Broker: memory, call: func(start func() error) error {
		err := process.Call(start)
		if errors.Is(err, sqltest.ErrDead) {
			return errors.Join(err, flow.ErrEnded) // it does not try again: nobody does who is dead
		}
		return err
	}}
	opts := s.options()
	opts.Attempts, opts.Batch = 1, 4
	limits := flow.Options{MaxPayload: 1000}
	ctx, cancel := context.WithCancel(t.Context())
	mortal := outbox.NewRelay(s.k.ConnectAs(t, s.source, process), s.engine(recorded, false, limits), opts).Serve(s.order)
	ended := make(chan error)
	go func() { ended <- mortal.Run(ctx) }()
	s.eventually(func() bool { return process.Dead() || s.stats().Waiting == 0 }, "the relay neither dies nor ends")
	cancel()
	require.NoError(t, <-ended)

	// What it had claimed is due when its lease ends.
	_, err := s.Exec(`UPDATE skald_outbox SET due = 0 WHERE claim IS NOT NULL`)
	require.NoError(t, err)
	recorded.call = nil
	stop := s.background(outbox.NewRelay(s.DB, s.engine(recorded, false, limits), opts).Serve(s.order).Run)
	s.eventually(func() bool { return s.stats().Waiting == 0 }, "the other relay does not end")
	stop()

	first := recorded.ids()
	require.Len(t, first, 8, "at %d, after %v: each is started once", at, after)
	var keyed []string
	for _, id := range first {
		if id <= expected[len(expected)-1] {
			keyed = append(keyed, id)
		}
	}
	require.Equal(t, expected, keyed, "at %d, after %v", at, after)
	stuck, err := outbox.Table{}.Stuck(t.Context(), s.DB, 10)
	require.NoError(t, err)
	require.Len(t, stuck, 1)
	require.Equal(t, prefix+"-large", stuck[0].Saga)
	_, err = outbox.Table{}.Discard(t.Context(), s.DB, stuck[0].ID)
	require.NoError(t, err)
	return process.Dead()
}
