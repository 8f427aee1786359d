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
	full  atomic.Bool
}

var errOutage = errors.New("connection refused")

func (b *flaky) Start(ctx context.Context, spec broker.Start) (broker.Started, error) {
	if b.full.Load() {
		return broker.Started{}, broker.ErrOverload
	}
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

// A start that was certainly not made is no start that may be forgotten later.
func TestABrokerThatIsFullLeavesNoDoubt(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		b := &flaky{starts: &starts{Broker: s.broker}, fails: func(string) bool { return false }}
		b.full.Store(true)
		s.place(outbox.Table{}, "o-1", Request{"anna", 1})
		s.engine(s.broker, true, flow.Options{})
		s.background(outbox.NewRelay(s.DB, s.engine(b, false, flow.Options{}), s.options()).Serve(s.order).Run)
		s.eventually(func() bool { return s.says("too many sagas are waiting") > 0 }, "the reason can be read")
		var doubts int
		require.NoError(t, s.QueryRow(`SELECT count(*) FROM skald_outbox WHERE claim IS NULL AND tried IS NOT NULL`).Scan(&doubts))
		assert.Zero(t, doubts)
		b.full.Store(false)
		s.drained(1)
	})
}

func TestRowsThatOthersHoldArePassedOver(t *testing.T) {
	s := open(t, sqltest.PostgreSQL)
	s.place(outbox.Table{}, "held", Request{"anna", 1})
	s.place(outbox.Table{}, "free", Request{"anna", 2})
	tx, err := s.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec(`SELECT 1 FROM skald_outbox WHERE saga = 'held' FOR UPDATE`)
	require.NoError(t, err)
	s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), s.options()).Serve(s.order).Run)
	s.eventually(func() bool { return s.ran()["free"] == 1 }, "the free one is started")
	assert.Zero(t, s.ran()["held"])
	require.NoError(t, tx.Commit())
	s.drained(2)
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
