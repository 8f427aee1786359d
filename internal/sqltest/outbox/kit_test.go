package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/outbox"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(sqltest.Close(), goleak.Find()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Request is the input of an order.
type Request struct {
	Customer string
	Cents    int
}

// shop is a database with orders, and a place where their sagas run.
type shop struct {
	t      testing.TB
	k      sqltest.Kind
	source string
	*sql.DB
	broker broker.Broker
	order  flow.Flow[Request, Request]

	mu   sync.Mutex
	runs []step.Info // of the step of every saga
	in   map[string]Request
}

func open(t testing.TB, k sqltest.Kind) *shop {
	s := &shop{t: t, k: k, source: k.Source(t), broker: inmem.New(), in: map[string]Request{}}
	t.Cleanup(func() { assert.NoError(t, s.broker.Close()) })
	s.DB = k.Connect(t, s.source)
	require.NoError(t, outbox.Migrate(t.Context(), s.DB, outbox.Dialect(k.Name)))
	_, err := s.Exec(`CREATE TABLE orders (id TEXT PRIMARY KEY)`)
	require.NoError(t, err)
	s.order = flow.New[Request]("order").Then(step.Do("book", s.book).ReadOnly())
	return s
}

func (s *shop) book(ctx context.Context, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := step.InfoFrom(ctx)
	s.runs, s.in[info.Saga] = append(s.runs, info), r
	return nil
}

// ran counts how often each saga's step ran.
func (s *shop) ran() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, info := range s.runs {
		counts[info.Saga]++
	}
	return counts
}

// place writes an order and the start of its saga in one transaction.
func (s *shop) place(table outbox.Table, id string, r Request, opts ...flow.StartOption) {
	s.t.Helper()
	tx, err := s.Begin()
	require.NoError(s.t, err)
	defer tx.Rollback()
	_, err = tx.Exec(`INSERT INTO orders VALUES ($1)`, id)
	require.NoError(s.t, err)
	got, err := table.Start(s.t.Context(), tx, s.order, r, append(opts, flow.ID(id))...)
	require.NoError(s.t, err)
	require.Equal(s.t, id, got)
	require.NoError(s.t, tx.Commit())
}

func (s *shop) options() outbox.Options {
	return outbox.Options{Dialect: outbox.Dialect(s.k.Name), Logger: slog.New(slog.DiscardHandler), Poll: 20 * time.Millisecond}
}

// engine makes an engine; it runs sagas until the test ends if runs says so.
func (s *shop) engine(b broker.Broker, runs bool, opts flow.Options) *flow.Engine {
	opts.Logger = slog.New(slog.DiscardHandler)
	e := flow.NewEngine(b, opts)
	if runs {
		e.Serve(s.order)
		s.background(e.Run)
	}
	return e
}

// background runs something until the test ends, or until stop is called.
func (s *shop) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(s.t, <-ended)
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) stats() outbox.Stats {
	stats, err := outbox.Table{}.Stats(s.t.Context(), s.DB)
	require.NoError(s.t, err)
	return stats
}

func (s *shop) eventually(happened func() bool, what string) {
	s.t.Helper()
	require.Eventually(s.t, happened, time.Minute, 2*time.Millisecond, what)
}

// drained waits until nothing waits, and every saga that was started has run.
func (s *shop) drained(sagas int) {
	s.t.Helper()
	s.eventually(func() bool { return s.stats().Waiting == 0 }, "rows wait")
	s.eventually(func() bool { return len(s.ran()) >= sagas }, "sagas wait")
}

// starts is a broker that records the IDs of sagas in the order in which they were first started.
type starts struct {
	broker.Broker
	mu    sync.Mutex
	first []string
	call  func(func() error) error // made around each start; may be nil
}

func (b *starts) Start(ctx context.Context, spec broker.Start) (started broker.Started, err error) {
	start := func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		started, err = b.Broker.Start(ctx, spec)
		if err == nil && !started.Existed {
			b.first = append(b.first, spec.ID)
		}
		return err
	}
	if b.call == nil {
		return started, start()
	}
	err = b.call(start)
	return started, err
}

func (b *starts) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.first...)
}
