package ledger

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) { brokers.Main(m, sqltest.Close) }

// store is a ledger whose accounts a test can look at and change.
type store interface {
	Ledger
	points(t require.TestingT, account string) int
	set(t require.TestingT, account string, points int)
	lines(t require.TestingT) int // of the journal
}

func eachStore(t *testing.T, test func(t *testing.T, s store)) {
	for name, open := range map[string]func(*testing.T) store{
		"sqlite":   func(t *testing.T) store { return openSQL(t, sqltest.SQLite) },
		"postgres": func(t *testing.T) store { return openSQL(t, sqltest.PostgreSQL) },
		"redis":    func(t *testing.T) store { return redisStore{OnRedis{redistest.Start(t).Client()}} },
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// everywhere runs test with each store and each broker.
func everywhere(t *testing.T, test func(t *testing.T, k brokers.Kind, s store)) {
	eachStore(t, func(t *testing.T, s store) {
		for _, k := range brokers.All() {
			t.Run("sagas in "+k.Name, func(t *testing.T) {
				for _, name := range []string{"anna", "ben"} {
					s.set(t, name, 100)
				}
				test(t, k, s)
			})
		}
	})
}

type sqlStore struct{ OnSQL }

func openSQL(t *testing.T, k sqltest.Kind) store {
	db := k.Open(t)
	require.NoError(t, barrier.Migrate(t.Context(), db, barrier.Dialect(k.Name)))
	_, err := db.Exec(Schema)
	require.NoError(t, err)
	return sqlStore{OnSQL{db}}
}

func (s sqlStore) points(t require.TestingT, account string) (n int) {
	require.NoError(t, s.DB.QueryRow(`SELECT points FROM account WHERE name = $1`, account).Scan(&n))
	return n
}

func (s sqlStore) set(t require.TestingT, account string, points int) {
	_, err := s.DB.Exec(`INSERT INTO account VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET points = $2`, account, points)
	require.NoError(t, err)
}

func (s sqlStore) lines(t require.TestingT) (n int) {
	require.NoError(t, s.DB.QueryRow(`SELECT count(*) FROM journal`).Scan(&n))
	return n
}

type redisStore struct{ OnRedis }

func (s redisStore) points(t require.TestingT, account string) int {
	n, err := s.Client.Get(context.Background(), "account:"+account).Int()
	if errors.Is(err, redis.Nil) {
		return 0
	}
	require.NoError(t, err)
	return n
}

func (s redisStore) set(t require.TestingT, account string, points int) {
	require.NoError(t, s.Client.Set(context.Background(), "account:"+account, points, 0).Err())
}

func (s redisStore) lines(t require.TestingT) (n int) {
	for _, key := range s.Client.Keys(context.Background(), "journal:*").Val() {
		n += int(s.Client.LLen(context.Background(), key).Val())
	}
	return n
}

// faulty is a ledger between which and its callers things go wrong.
type faulty struct {
	Ledger
	mu    sync.Mutex
	plans map[string][]plan // by "take", "undo take", …
	calls map[string]int
}

// plan is what goes wrong with one call.
type plan struct {
	twice bool          // it is delivered twice
	lose  bool          // it happens, and the reply is lost
	late  chan struct{} // it happens when this is closed, long after the caller has given up
	said  chan error    // gets what a late call was answered
}

func newFaulty(l Ledger) *faulty {
	return &faulty{Ledger: l, plans: map[string][]plan{}, calls: map[string]int{}}
}

func (f *faulty) next(ctx context.Context) plan {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := callOf(ctx)
	f.calls[name]++
	if len(f.plans[name]) == 0 {
		return plan{}
	}
	p := f.plans[name][0]
	f.plans[name] = f.plans[name][1:]
	return p
}

func (f *faulty) called(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[name]
}

func callOf(ctx context.Context) string {
	info := step.InfoFrom(ctx)
	if info.Undo {
		return "undo " + info.Path
	}
	return info.Path
}

func (f *faulty) Change(ctx context.Context, account string, points int) (int, error) {
	p := f.next(ctx)
	if p.late != nil {
		go func() {
			<-p.late
			_, err := f.Ledger.Change(context.WithoutCancel(ctx), account, points)
			p.said <- err
		}()
		<-ctx.Done()
		return 0, ctx.Err()
	}
	balance, err := f.Ledger.Change(ctx, account, points)
	if p.twice {
		balance, err = f.Ledger.Change(ctx, account, points)
	}
	if p.lose {
		return 0, ErrDown
	}
	return balance, err
}

// quick tries three times, and does not wait long.
func quick(s step.Step[Transfer, int]) step.Step[Transfer, int] {
	r := step.Retry{Attempts: 3, Delay: time.Millisecond}
	return s.Retry(r).RetryUndo(r)
}
