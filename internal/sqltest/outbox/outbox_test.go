package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/outbox"
	"github.com/skald-go/skald/step"
)

func TestCommittedStartsAreMadeAndOthersAreNot(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		s.place(outbox.Table{}, "o-1", Request{"anna", 5})
		tx, err := s.Begin()
		require.NoError(t, err)
		id, err := outbox.Start(t.Context(), tx, s.order, Request{"ben", 7})
		require.NoError(t, err)
		require.NotEmpty(t, id, "an ID is made")
		require.NoError(t, tx.Rollback())

		e := s.engine(s.broker, true, flow.Options{})
		s.background(outbox.NewRelay(s.DB, e, s.options()).Serve(s.order).Run)
		s.drained(1)
		assert.Equal(t, map[string]int{"o-1": 1}, s.ran())
		assert.Equal(t, Request{"anna", 5}, s.in["o-1"])
		assert.Equal(t, outbox.Stats{}, s.stats())
		out, err := s.order.Attach(e, "o-1").Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Request{"anna", 5}, out)
	})
}

func TestAStartThatIsWrittenTwiceIsOneSaga(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		for range 2 {
			tx, err := s.Begin()
			require.NoError(t, err)
			_, err = outbox.Start(t.Context(), tx, s.order, Request{"anna", 5}, flow.ID("o-1"))
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), s.options()).Serve(s.order).Run)
		s.drained(1)
		assert.Equal(t, map[string]int{"o-1": 1}, s.ran())
	})
}

// user is a value of the context that travels.
type user struct{}

type userPropagator struct{}

func (userPropagator) Inject(ctx context.Context, h flow.Headers) {
	name, _ := ctx.Value(user{}).(string)
	h.Set("user", name) // also when nobody is known: who starts without the context of the row overwrites its header
}

func (userPropagator) Extract(ctx context.Context, h flow.Headers) context.Context {
	return context.WithValue(ctx, user{}, h.Get("user"))
}

func TestHeadersAndContextTravel(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		propagators := []flow.Propagator{userPropagator{}}
		table := outbox.Table{Propagators: propagators}
		tx, err := s.Begin()
		require.NoError(t, err)
		_, err = table.Start(context.WithValue(t.Context(), user{}, "anna"), tx, s.order, Request{}, flow.ID("o-1"), flow.WithHeaders(flow.Headers{"shop": "north"}))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		opts := s.options()
		opts.Table = table
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{Propagators: propagators}), opts).Serve(s.order).Run)
		s.drained(1)
		assert.Equal(t, map[string]string{"shop": "north", "user": "anna"}, s.runs[0].Headers)
	})
}

func TestACipherHidesInputs(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		cipher, err := flow.Cipher(nil, flow.Key{ID: "k1", Secret: []byte(strings.Repeat("s", 32))})
		require.NoError(t, err)
		table := outbox.Table{Codec: cipher}
		s.place(table, "o-1", Request{"card 4711", 5})
		var payload []byte
		require.NoError(t, s.QueryRow(`SELECT payload FROM skald_outbox`).Scan(&payload))
		assert.NotContains(t, string(payload), "4711")
		opts := s.options()
		opts.Table = table
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{Codec: cipher}), opts).Serve(s.order).Run)
		s.drained(1)
		assert.Equal(t, "card 4711", s.in["o-1"].Customer)
	})
}

// Several relays share the rows: each saga is started once, and those with one key in order.
func TestManyRelaysKeepTheOrderOfKeys(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		recorded := &starts{Broker: s.broker}
		var expected [5][]string
		const many = 150
		for n := range many {
			key := n % 6
			table, id := outbox.Table{}, fmt.Sprintf("o-%d-%d", key, n)
			if key < 5 {
				table, expected[key] = outbox.Keyed(fmt.Sprint("customer-", key)), append(expected[key], id)
			}
			s.place(table, id, Request{id, n})
		}
		opts := s.options()
		opts.Batch = 7
		s.engine(s.broker, true, flow.Options{})
		for range 4 {
			s.background(outbox.NewRelay(s.DB, s.engine(recorded, false, flow.Options{}), opts).Serve(s.order).Run)
		}
		s.drained(many)
		for id, n := range s.ran() {
			require.Equal(t, 1, n, id)
		}
		for key, ids := range expected {
			var got []string
			for _, id := range recorded.ids() {
				if strings.HasPrefix(id, fmt.Sprintf("o-%d-", key)) {
					got = append(got, id)
				}
			}
			assert.Equal(t, ids, got)
		}
	})
}

func TestRowsThatCannotBeStartedAreSetAside(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		e := s.engine(s.broker, true, flow.Options{MaxPayload: 1000})
		taken, err := s.order.Start(t.Context(), e, Request{"eve", 1}, flow.ID("taken"))
		require.NoError(t, err)
		_, err = taken.Await(t.Context())
		require.NoError(t, err)

		keyed := outbox.Keyed("anna")
		s.place(keyed, "taken", Request{"anna", 1})
		s.place(keyed, "garbage", Request{"anna", 2})
		s.place(keyed, "large", Request{strings.Repeat("x", 2000), 3})
		s.place(keyed, "fine", Request{"anna", 4})
		s.place(outbox.Table{}, "other", Request{"ben", 5})
		_, err = s.Exec(`UPDATE skald_outbox SET payload = headers WHERE saga = 'garbage'`)
		require.NoError(t, err)
		_, err = s.Exec(`UPDATE skald_outbox SET payload = $1 WHERE saga = 'garbage'`, []byte{0xc1})
		require.NoError(t, err)

		opts := s.options()
		opts.Attempts = 1
		relay := outbox.NewRelay(s.DB, e, opts).Serve(s.order)
		s.background(relay.Run)
		s.drained(3)
		assert.Equal(t, map[string]int{"taken": 1, "fine": 1, "other": 1}, s.ran())
		stuck, err := outbox.Table{}.Stuck(t.Context(), s.DB, 10)
		require.NoError(t, err)
		require.Len(t, stuck, 3)
		for i, says := range []string{"the id belongs to another saga", "decode", "MaxPayload is 1000"} {
			assert.Contains(t, stuck[i].Error, says)
			assert.Equal(t, "anna", stuck[i].Key)
			assert.Equal(t, 1, stuck[i].Attempts)
			assert.WithinDuration(t, time.Now(), stuck[i].Written, time.Minute)
		}
		assert.Equal(t, 3, s.stats().Stuck)

		// A person puts the one right and gives up the others.
		text, err := flow.MsgPack().Marshal(Request{"anna", 2})
		require.NoError(t, err)
		_, err = s.Exec(`UPDATE skald_outbox SET payload = $1 WHERE saga = 'garbage'`, text)
		require.NoError(t, err)
		n, err := outbox.Table{}.Requeue(t.Context(), s.DB, stuck[1].ID)
		require.NoError(t, err)
		assert.EqualValues(t, 1, n)
		n, err = outbox.Table{}.Discard(t.Context(), s.DB, stuck[0].ID, stuck[1].ID, stuck[2].ID)
		require.NoError(t, err)
		assert.EqualValues(t, 2, n, "what waits again is not discarded")
		relay.Wake()
		s.drained(4)
		assert.Equal(t, 1, s.ran()["garbage"])
	})
}

// A lock that is not waited for is the row's own matter, however long another saga holds it.
func TestALockThatIsHeldSetsItsRowsAsideAndNoOthers(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		e := s.engine(s.broker, true, flow.Options{})
		locked := flow.New[Request]("locked").LockOrRefuse(func(r Request) []string { return []string{r.Customer} }).
			Then(step.Do("book", s.book).ReadOnly()) // which nobody serves: the first saga keeps its lock
		_, err := locked.Start(t.Context(), e, Request{"room", 1})
		require.NoError(t, err)
		for n, customer := range []string{"room", "room", ""} {
			tx, err := s.Begin()
			require.NoError(t, err)
			_, err = outbox.Start(t.Context(), tx, locked, Request{customer, n})
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}
		s.place(outbox.Table{}, "fine", Request{"anna", 4})

		opts := s.options()
		opts.Attempts = 1
		s.background(outbox.NewRelay(s.DB, e, opts).Serve(s.order).Serve(locked).Run)
		s.drained(1)
		stuck, err := outbox.Table{}.Stuck(t.Context(), s.DB, 10)
		require.NoError(t, err)
		require.Len(t, stuck, 3)
		for i, says := range []string{`holds the lock "room"`, `holds the lock "room"`, "not a key"} {
			assert.Contains(t, stuck[i].Error, says)
		}
	})
}

func TestFlowsOfOthersAreLeftToThemAndSetAsideInTheEnd(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		other := flow.New[int]("other").Map(func(n int) int { return n })
		for n, id := range []string{"old", "young"} {
			tx, err := s.Begin()
			require.NoError(t, err)
			_, err = outbox.Start(t.Context(), tx, other, n, flow.ID(id))
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}
		s.place(outbox.Table{}, "old-order", Request{"anna", 1})
		_, err := s.Exec(`UPDATE skald_outbox SET written = $1 WHERE saga LIKE 'old%'`, time.Now().Add(-25*time.Hour).UnixMilli())
		require.NoError(t, err)
		assert.Greater(t, s.stats().Lag, 24*time.Hour)
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), s.options()).Serve(s.order).Run)
		s.eventually(func() bool { return len(s.ran()) == 1 && s.stats().Waiting == 1 }, "the order is started")
		stuck, err := outbox.Table{}.Stuck(t.Context(), s.DB, 10)
		require.NoError(t, err)
		require.Len(t, stuck, 1)
		assert.Equal(t, "old", stuck[0].Saga)
		assert.Equal(t, "outbox: no relay has served this flow for 24h0m0s", stuck[0].Error)
	})
}

// A start of which nobody knows, so long ago that its saga may be forgotten, is a person's.
func TestAStartThatMayBeForgottenIsNotMadeAgain(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		s.place(outbox.Table{}, "long-ago", Request{"anna", 1})
		s.place(outbox.Table{}, "just-now", Request{"anna", 2})
		for id, ago := range map[string]time.Duration{"long-ago": time.Hour + time.Minute, "just-now": time.Minute} {
			_, err := s.Exec(`UPDATE skald_outbox SET claim = 'dead', tried = $1 WHERE saga = $2`, time.Now().Add(-ago).UnixMilli(), id)
			require.NoError(t, err)
		}
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), s.options()).Serve(s.order).Run)
		s.drained(1)
		assert.Equal(t, map[string]int{"just-now": 1}, s.ran())
		stuck, err := outbox.Table{}.Stuck(t.Context(), s.DB, 10)
		require.NoError(t, err)
		require.Len(t, stuck, 1)
		assert.Contains(t, stuck[0].Error, "Options.Retention")
	})
}

func TestWakeIsSoonerThanPoll(t *testing.T) {
	s := open(t, sqltest.SQLite)
	opts := s.options()
	opts.Poll = time.Hour
	relay := outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), opts).Serve(s.order)
	s.background(relay.Run)
	s.place(outbox.Table{}, "o-1", Request{"anna", 1})
	s.eventually(func() bool { relay.Wake(); return s.stats().Waiting == 0 }, "the relay sleeps")
}

func TestMistakes(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		_, err := outbox.Start(t.Context(), s.DB, s.order, Request{})
		assert.ErrorContains(t, err, "a *sql.DB is no transaction")
		tx, err := s.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = outbox.Start(t.Context(), tx, s.order, Request{}, flow.ID("a/b"))
		assert.ErrorIs(t, err, flow.ErrID)
		_, err = outbox.Start(t.Context(), tx, flow.Flow[int, int]{}, 1)
		assert.ErrorIs(t, err, flow.ErrZero)
		_, err = outbox.Table{Name: "a b"}.Start(t.Context(), tx, s.order, Request{})
		assert.ErrorIs(t, err, outbox.ErrName)

		e := s.engine(s.broker, false, flow.Options{})
		relay := outbox.NewRelay(s.DB, e, s.options())
		assert.ErrorContains(t, relay.Run(t.Context()), "serves no flows")
		relay.Serve(s.order)
		assert.Panics(t, func() { relay.Serve(s.order) })
		ended, end := context.WithCancel(t.Context())
		end()
		assert.NoError(t, relay.Run(ended))
		assert.ErrorContains(t, relay.Run(ended), "called before")
		assert.Panics(t, func() { outbox.NewRelay(s.DB, e, outbox.Options{}) }, "no dialect")
		assert.Panics(t, func() { outbox.NewRelay(nil, e, s.options()) })
	})
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		db := k.Open(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { assert.NoError(t, outbox.Migrate(t.Context(), db, outbox.Dialect(k.Name))) })
		}
		all.Wait()
	})
}

func TestATableInASchema(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		s := open(t, k)
		if k.Name == "postgres" {
			_, err := s.Exec("CREATE SCHEMA main")
			require.NoError(t, err)
		}
		opts := s.options()
		opts.Table.Name = "main.starts"
		require.NoError(t, opts.Table.Migrate(t.Context(), s.DB, opts.Dialect))
		s.place(opts.Table, "o-1", Request{"anna", 1})
		s.background(outbox.NewRelay(s.DB, s.engine(s.broker, true, flow.Options{}), opts).Serve(s.order).Run)
		s.eventually(func() bool { return len(s.ran()) == 1 }, "it is started")
	})
}

var _ outbox.Statements = (*sql.Tx)(nil)
