package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/outbox"
)

// flaky is a broker whose starts fail while fails says so, after they have happened or before.
type flaky struct {
	*starts
	fails func(id string) bool
	after bool
}

var errOutage = errors.New("connection refused")

func (b *flaky) Start(ctx context.Context, spec broker.Start) (broker.Started, error) {
	if !b.fails(spec.ID) {
		return b.starts.Start(ctx, spec)
	}
	if b.after {
		if _, err := b.starts.Start(ctx, spec); err != nil {
			return broker.Started{}, err
		}
	}
	return broker.Started{}, errOutage
}

// says counts the rows whose error has a text.
func (s *shop) says(text string) (n int) {
	require.NoError(s.t, s.QueryRow(`SELECT count(*) FROM skald_outbox WHERE error LIKE $1`, "%"+text+"%").Scan(&n))
	return n
}

func TestAnOutageSetsNothingAside(t *testing.T) {
	for _, after := range []bool{false, true} {
		sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
			s := open(t, k)
			var down atomic.Bool
			down.Store(true)
			b := &flaky{starts: &starts{Broker: s.broker}, fails: func(string) bool { return down.Load() }, after: after}
			const many = 30
			for n := range many {
				s.place(outbox.Keyed(fmt.Sprint(n%10)), fmt.Sprint("o-", n), Request{"anna", n})
			}
			opts := s.options()
			opts.Lease, opts.Attempts = 200*time.Millisecond, 1 // starts give up after half of it
			s.engine(s.broker, true, flow.Options{})
			s.background(outbox.NewRelay(s.DB, s.engine(b, false, flow.Options{}), opts).Serve(s.order).Run)
			s.eventually(func() bool { return s.says(errOutage.Error()) > 0 }, "the reason can be read")
			down.Store(false)
			s.drained(many)
			assert.Zero(t, s.stats().Stuck)
			assert.Len(t, b.ids(), many, "each once")
		})
	}
}

// One row whose start fails in a way that the relay does not know.
func TestARowThatFailsStrangelyStopsNobody(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		b := &flaky{starts: &starts{Broker: s.broker}, fails: func(id string) bool { return id == "strange" }}
		s.place(outbox.Table{}, "strange", Request{"eve", 0})
		opts := s.options()
		opts.Lease = 100 * time.Millisecond
		s.engine(s.broker, true, flow.Options{})
		s.background(outbox.NewRelay(s.DB, s.engine(b, false, flow.Options{}), opts).Serve(s.order).Run)
		for n := range 10 {
			s.place(outbox.Table{}, fmt.Sprint("o-", n), Request{"anna", n})
			s.eventually(func() bool { return s.stats().Waiting == 1 }, "the others go on")
		}
		assert.Zero(t, s.stats().Stuck)
		assert.NotContains(t, s.ran(), "strange")
	})
}
