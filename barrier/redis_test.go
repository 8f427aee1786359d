package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/step"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var (
	errPoor = errors.New("not enough money")

	take = barrier.NewScript(`-- KEYS: account; ARGV: amount
		local balance = tonumber(redis.call('GET', KEYS[1]) or '0')
		if balance < tonumber(ARGV[1]) then refuse('poor', 'there is ' .. balance) end
		return redis.call('DECRBY', KEYS[1], ARGV[1]) -- what is left`).Refuses("poor", errPoor)
	giveBack = barrier.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
)

// bank has one account, with 100 in it.
type bank struct {
	barrier.Redis
	t      testing.TB
	client *redis.Client
}

func open(t testing.TB) bank {
	client := redistest.Start(t).Client()
	require.NoError(t, client.Set(t.Context(), "anna", 100, 0).Err())
	return bank{barrier.Redis{Client: client}, t, client}
}

func (b bank) balance() int {
	b.t.Helper()
	n, err := b.client.Get(b.t.Context(), "anna").Int()
	require.NoError(b.t, err)
	return n
}

func (b bank) do(path string) (int, error) {
	return b.Do(doing(b.t, path), take, []string{"anna"}, 30).Int()
}

func (b bank) undo(path string) error {
	err := b.Do(undoing(b.t, path), giveBack, []string{"anna"}, 30).Err()
	if errors.Is(err, redis.Nil) { // there was nothing to undo
		return nil
	}
	return err
}

func doing(t testing.TB, path string) context.Context {
	return step.WithInfo(t.Context(), step.Info{Namespace: "test", Flow: "pay", Saga: "s-1", Path: path})
}

func undoing(t testing.TB, path string) context.Context {
	return step.WithInfo(t.Context(), step.Info{Namespace: "test", Flow: "pay", Saga: "s-1", Path: path, Undo: true})
}

func TestRedisRepeatGetsTheFirstResult(t *testing.T) {
	b := open(t)
	for range 2 {
		left, err := b.do("charge")
		require.NoError(t, err)
		assert.Equal(t, 70, left)
		assert.Equal(t, 70, b.balance())
	}
	require.NoError(t, b.client.Set(t.Context(), "anna", 0, 0).Err())
	left, err := b.do("charge")
	require.NoError(t, err, "the duplicate is seen before there is too little")
	assert.Equal(t, 70, left)
	require.NoError(t, b.client.Set(t.Context(), "anna", 70, 0).Err())

	for range 2 {
		require.NoError(t, b.undo("charge"))
		assert.Equal(t, 100, b.balance())
	}
	_, err = b.do("charge")
	require.ErrorIs(t, err, barrier.ErrUndone)
	assert.True(t, barrier.Settled(err))
	assert.Equal(t, 100, b.balance())
}

// An undo after one that answered Proceed takes back what that one left, once.
func TestRedisSecondUndo(t *testing.T) {
	b := open(t)
	again := func(path string) {
		ctx := step.WithInfo(t.Context(), step.Info{Namespace: "test", Saga: "s-1", Path: path, Undo: true, Again: true})
		if err := b.Do(ctx, giveBack, []string{"anna"}, 5).Err(); !errors.Is(err, redis.Nil) {
			require.NoError(t, err)
		}
	}
	_, err := b.do("charge")
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, b.undo("charge"))
	}
	for range 2 {
		again("charge")
		require.NoError(t, b.undo("charge"), "a late repeat of the first")
		require.Equal(t, 105, b.balance())
	}
	_, err = b.do("ship")
	require.NoError(t, err)
	again("ship")
	require.Equal(t, 80, b.balance(), "the first one had no barrier")
	require.NoError(t, b.undo("wrap"))
	again("wrap")
	require.Equal(t, 80, b.balance(), "nothing ever happened")
}

func TestRedisUndoOfWhatIsKnownNeedsARecord(t *testing.T) {
	b := open(t)
	for range 2 {
		err := b.Known(true).Do(undoing(t, "charge"), giveBack, []string{"anna"}, 30).Err()
		require.ErrorIs(t, err, barrier.ErrForgotten)
		assert.False(t, barrier.Settled(err))
	}
	_, err := b.do("charge")
	require.NoError(t, err)
	require.NoError(t, b.Known(true).Do(undoing(t, "charge"), giveBack, []string{"anna"}, 30).Err())
	assert.Equal(t, 100, b.balance())
	assert.ErrorIs(t, b.Known(false).Do(undoing(t, "ship"), giveBack, []string{"anna"}, 30).Err(), redis.Nil)
}

func TestRedisRefusalIsRepeated(t *testing.T) {
	b := open(t)
	require.NoError(t, b.client.Set(t.Context(), "anna", 10, 0).Err())
	for range 2 {
		_, err := b.do("charge")
		require.ErrorIs(t, err, errPoor)
		assert.True(t, barrier.Settled(err))
		assert.EqualError(t, err, "there is 10: not enough money")
		require.NoError(t, b.client.Set(t.Context(), "anna", 100, 0).Err()) // too late
	}
	require.NoError(t, b.undo("charge"))
	assert.Equal(t, 100, b.balance(), "there is nothing to undo")
}

func TestRedisRefusalsWithoutAnErrorAreTheirText(t *testing.T) {
	b := open(t)
	for body, text := range map[string]string{`refuse('poor', 'only 3')`: "poor: only 3", `refuse('poor')`: "poor"} {
		err := b.Do(doing(t, text), barrier.NewScript(body), []string{"anna"}).Err()
		assert.EqualError(t, err, text)
		assert.True(t, barrier.Settled(err))
	}
	err := b.Do(doing(t, "no text"), barrier.NewScript(`refuse('poor')`).Refuses("poor", errPoor).Refuses("x", nil), []string{"anna"}).Err()
	assert.EqualError(t, err, "not enough money")
}

func TestRedisSlowActionThatIsCancelledTwiceAndComesLate(t *testing.T) {
	b := open(t)
	for range 2 {
		require.NoError(t, b.undo("charge"))
	}
	for range 2 {
		_, err := b.do("charge")
		require.ErrorIs(t, err, barrier.ErrUndone)
		assert.True(t, barrier.Settled(err))
	}
	assert.Equal(t, 100, b.balance())
}

func TestRedisBarriersOfOneStepAreApart(t *testing.T) {
	b := open(t)
	for range 2 {
		for _, name := range []string{"ledger", "audit", ""} {
			require.NoError(t, b.Named(name).Do(doing(t, "charge"), take, []string{"anna"}, 30).Err())
		}
	}
	assert.Equal(t, 10, b.balance())
}

func TestRedisResultsComeBackAsTheyWere(t *testing.T) {
	b := open(t)
	for body, expected := range map[string]any{
		`return 42`:                             int64(42),
		`return 1.9`:                            int64(1),
		`return 'a\0b\255'`:                     "a\x00b\xff",
		`return ''`:                             "",
		`return true`:                           int64(1),
		`return {1, 'two', false, {3}}`:         []any{int64(1), "two", nil, []any{int64(3)}},
		`return {}`:                             []any{},
		`return redis.status_reply('FINE')`:     "FINE",
		`return redis.call('SET', KEYS[1], 7)`:  "OK",
		`return redis.call('HGETALL', KEYS[2])`: []any{},
	} {
		for range 2 {
			got, err := b.Do(doing(t, "step-"+fmt.Sprintf("%x", body)), barrier.NewScript(body), []string{"anna", "none"}).Result()
			require.NoError(t, err, body)
			assert.Equal(t, expected, got, body)
		}
	}
	for _, body := range []string{`return nil`, `return false`, ``, `return tostring`, `return redis.call('GET', 'none')`} {
		for range 2 {
			assert.ErrorIs(t, b.Do(doing(t, "nil-"+fmt.Sprintf("%x", body)), barrier.NewScript(body), []string{"anna"}).Err(), redis.Nil, body)
		}
	}
}

func TestRedisScriptThatFailsBeforeItWritesMayRunAgain(t *testing.T) {
	b := open(t)
	for _, body := range []string{
		`error('oh')`, `error()`, `error({})`, `return redis.error_reply('oh')`, `return redis.call('LPUSH', KEYS[1], 1)`,
		`return redis.pcall('LPUSH', KEYS[1], 1)`, `return nowhere`, `return redis.call('GET', KEYS[1]) + {}`,
	} {
		for range 2 {
			err := b.Do(doing(t, "charge"), barrier.NewScript(body), []string{"anna"}).Err()
			require.Error(t, err, body)
			require.NotErrorIs(t, err, barrier.ErrBroken, body)
			require.NotErrorIs(t, err, redis.Nil, body)
			require.False(t, barrier.Settled(err), body)
		}
	}
	require.Equal(t, []string{"anna"}, b.client.Keys(t.Context(), "*").Val(), "nothing is left")
	_, err := b.do("charge")
	require.NoError(t, err)

	for _, body := range []string{`error('oh')`, `refuse('no')`} {
		err := b.Do(undoing(t, "charge"), barrier.NewScript(body), []string{"anna"}).Err()
		require.Error(t, err, body)
		require.False(t, barrier.Settled(err), "an undo does not refuse")
	}
	require.NoError(t, b.undo("charge"))
	assert.Equal(t, 100, b.balance())
}

func TestRedisScriptThatBreaksOffIsNeverRunAgain(t *testing.T) {
	b := open(t)
	for n, body := range []string{
		`redis.call('DECRBY', KEYS[1], 1) error('oh')`,
		`redis.call('DECRBY', KEYS[1], 1) refuse('no', 'money')`,
		`redis.pcall('decrby', KEYS[1], 1) return redis.error_reply('oh')`,
	} {
		path := fmt.Sprint("charge-", n)
		for range 2 {
			err := b.Do(doing(t, path), barrier.NewScript(body), []string{"anna"}).Err()
			require.ErrorIs(t, err, barrier.ErrBroken)
			assert.Contains(t, err.Error(), `recorded at "skald:barrier:{anna}test/s-1/`+path)
			assert.False(t, barrier.Settled(err))
			assert.Equal(t, 99-n, b.balance())
		}
		err := b.undo(path)
		require.ErrorIs(t, err, barrier.ErrBroken, "an undo of who knows what is a person's")
		assert.Equal(t, 99-n, b.balance())
	}
	b.client.FlushDB(t.Context())
	_, err := b.do("charge")
	require.ErrorIs(t, err, errPoor)
}

func TestRedisRecordsEnd(t *testing.T) {
	b := open(t)
	_, err := b.do("charge")
	require.NoError(t, err)
	const record = "skald:barrier:{anna}test/s-1/charge"
	assert.InDelta(t, barrier.DefaultTTL, b.client.PTTL(t.Context(), record).Val(), float64(time.Minute))
	b.TTL, b.Prefix = time.Hour, "other:"
	require.NoError(t, b.undo("ship"))
	assert.InDelta(t, time.Hour, b.client.PTTL(t.Context(), "other:{anna}test/s-1/ship").Val(), float64(time.Minute))
	assert.Equal(t, time.Duration(-1), b.client.TTL(t.Context(), "anna").Val())
}

// Who may change the account and not write a record changes nothing.
func TestRedisRecordThatMayNotBeWrittenPreventsTheEffect(t *testing.T) {
	server := redistest.Start(t, redistest.User("app on >secret ~* +@all -set"))
	admin := server.Client()
	require.NoError(t, admin.Set(t.Context(), "anna", 100, 0).Err())
	opts := server.ClientOptions()
	opts.Username, opts.Password = "app", "secret"
	client := redis.NewClient(opts)
	defer client.Close()
	err := barrier.Redis{Client: client}.Do(doing(t, "charge"), take, []string{"anna"}, 30).Err()
	require.ErrorContains(t, err, "can't run this command")
	assert.Equal(t, "100", admin.Get(t.Context(), "anna").Val())
}

func TestRedisMistakesAreTold(t *testing.T) {
	b := open(t)
	never := barrier.NewScript(`redis.call('SET', 'called', 1)`)
	ctx := doing(t, "charge")
	assert.ErrorIs(t, b.Do(t.Context(), never, []string{"anna"}).Err(), barrier.ErrOutside)
	assert.ErrorIs(t, b.Named("a/b").Do(ctx, never, []string{"anna"}).Err(), barrier.ErrName)
	assert.ErrorContains(t, b.Do(ctx, never, nil).Err(), "without keys")
	assert.ErrorContains(t, b.Do(ctx, never, []string{"a}b"}).Err(), "hash tag")
	assert.ErrorContains(t, b.Do(ctx, never, []string{""}).Err(), "hash tag")
	assert.ErrorContains(t, b.Do(ctx, barrier.Script{}, []string{"anna"}).Err(), "NewScript")
	assert.ErrorContains(t, barrier.Redis{}.Do(ctx, never, []string{"anna"}).Err(), "Client")
	b.Prefix = "{x}"
	assert.ErrorIs(t, b.Do(ctx, never, []string{"anna"}).Err(), barrier.ErrName)
	assert.Zero(t, b.client.Exists(t.Context(), "called").Val())
}

func TestRedisConcurrentDuplicates(t *testing.T) {
	b := open(t)
	var all sync.WaitGroup
	for n := range 24 {
		all.Go(func() {
			if n%3 == 0 {
				assert.NoError(t, b.undo("charge"))
			} else if _, err := b.do("charge"); err != nil {
				assert.ErrorIs(t, err, barrier.ErrUndone)
			}
		})
	}
	all.Wait()
	assert.Equal(t, 100, b.balance())
}

// A record in another slot than the effect would be refused by the cluster.
func TestRedisClusterHasTheRecordBesideTheEffect(t *testing.T) {
	cluster := redistest.Cluster(t, 3, 0)
	client := redis.NewClusterClient(cluster.ClientOptions())
	t.Cleanup(func() { client.Close() })
	b := barrier.Redis{Client: client}
	for n := range 50 {
		for _, key := range []string{fmt.Sprint("a", n), fmt.Sprintf("{b%d}x", n), fmt.Sprintf("c%d{d}", n), fmt.Sprintf("e{f%d", n), fmt.Sprintf("{{g%d}}", n)} {
			require.NoError(t, b.Do(doing(t, key), giveBack, []string{key}, 1).Err(), key)
			require.NoError(t, b.Do(doing(t, key), giveBack, []string{key}, 1).Err(), key)
			require.Equal(t, "1", client.Get(t.Context(), key).Val())
		}
	}
}

// Whatever comes in whatever order: the balance is as if each action had run at most once, and undone iff it was undone.
func TestRedisModel(t *testing.T) {
	b := open(t)
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		require.NoError(r, b.client.Set(t.Context(), "anna", 100, 0).Err())
		state := map[string]string{}
		balance, n := 100, rapid.IntRange(1, 30).Draw(r, "calls")
		for range n {
			path := fmt.Sprint("charge-", round, "-", rapid.IntRange(0, 4).Draw(r, "step"))
			if rapid.IntRange(0, 2).Draw(r, "undo") == 0 {
				require.NoError(r, b.undo(path))
				switch state[path] {
				case "done":
					state[path], balance = "undone", balance+30
				case "":
					state[path] = "undone"
				}
			} else {
				_, err := b.do(path)
				switch {
				case state[path] == "" && balance >= 30:
					state[path], balance = "done", balance-30
				case state[path] == "":
					state[path] = "refused"
				}
				switch state[path] {
				case "done":
					require.NoError(r, err)
				case "refused":
					require.ErrorIs(r, err, errPoor)
				default:
					require.ErrorIs(r, err, barrier.ErrUndone)
				}
			}
			require.Equal(r, balance, b.balance())
		}
	})
}
