package history_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/chaos/history"
)

// at makes an entry that takes one tick.
func at(tick int64, op history.Op, r history.Reply) history.Entry {
	if op.ID == "" {
		op.ID = "saga"
	}
	return history.Entry{Op: op, Reply: r, Call: 10 * tick, Return: 10*tick + 5}
}

func start(tick int64, by string, r history.Reply) history.Entry {
	return at(tick, history.Op{Method: "start", Worker: by}, r)
}

func receive(tick int64, worker string, rev uint64) history.Entry {
	e := at(tick, history.Op{Method: "receive", Worker: worker}, history.Reply{Rev: rev, Owned: true})
	e.Call = 0
	return e
}

func takeover(tick int64, worker string, rev uint64) history.Entry {
	e := receive(tick, worker, rev)
	e.Takeovers = 1
	return e
}

func commit(tick int64, worker string, rev uint64, next broker.Next) history.Entry {
	r := history.Reply{Rev: rev + 1, Owned: next == broker.Keep}
	return at(tick, history.Op{Method: "commit", Worker: worker, Rev: rev, Next: uint8(next)}, r)
}

func failed(e history.Entry) history.Entry {
	e.Reply = history.Reply{Err: "connection lost"}
	return e
}

func open(e history.Entry) history.Entry {
	e.Reply, e.Open = history.Reply{}, true
	return e
}

func TestHistories(t *testing.T) {
	owned, queued, existed := history.Reply{Owned: true}, history.Reply{}, history.Reply{Existed: true}
	for name, c := range map[string]struct {
		legal   bool
		entries []history.Entry
	}{
		"a saga from its start to its end": {true, []history.Entry{
			start(1, "a", owned), commit(2, "a", 1, broker.Keep), commit(3, "a", 2, broker.Finish), start(4, "", existed),
		}},
		"two starts that both began it":    {false, []history.Entry{start(1, "", queued), start(1, "", queued)}},
		"a start repeated inside one call": {true, []history.Entry{start(1, "a", existed), receive(2, "a", 1), commit(3, "a", 1, broker.Finish)}},
		"a takeover": {true, []history.Entry{
			start(1, "a", owned), commit(2, "a", 1, broker.Keep), receive(3, "b", 2), commit(4, "b", 2, broker.Finish),
		}},
		"a commit of a zombie": {false, []history.Entry{
			start(1, "a", owned), receive(2, "b", 1), commit(3, "b", 1, broker.Keep), commit(4, "a", 1, broker.Keep),
		}},
		"a zombie that goes on": {false, []history.Entry{
			start(1, "a", owned), receive(2, "b", 1), commit(3, "b", 1, broker.Keep), commit(4, "a", 2, broker.Keep),
		}},
		"an acknowledged commit that was lost": {false, []history.Entry{
			start(1, "a", owned), commit(2, "a", 1, broker.Keep), receive(3, "b", 1),
		}},
		"an unknown commit that was done": {true, []history.Entry{
			start(1, "a", owned), failed(commit(2, "a", 1, broker.Keep)), receive(3, "b", 2), commit(4, "b", 2, broker.Finish),
		}},
		"an unknown commit that was not": {true, []history.Entry{
			start(1, "a", owned), open(commit(2, "a", 1, broker.Keep)), receive(3, "b", 1), commit(4, "b", 1, broker.Finish),
		}},
		"an unknown commit that was done late": {false, []history.Entry{
			start(1, "a", owned), failed(commit(2, "a", 1, broker.Keep)), receive(3, "b", 1), receive(5, "c", 2),
		}},
		"a repeat of an unknown commit": {true, []history.Entry{
			start(1, "a", owned), failed(commit(2, "a", 1, broker.Keep)), commit(3, "a", 1, broker.Keep), commit(4, "a", 2, broker.Finish),
		}},
		"a saga handed out twice":                  {false, []history.Entry{start(1, "a", owned), receive(2, "a", 1)}},
		"a saga handed out again after a takeover": {true, []history.Entry{start(1, "a", owned), takeover(2, "a", 1), commit(3, "a", 1, broker.Finish)}},
		"a saga handed out after its end":          {false, []history.Entry{start(1, "a", owned), commit(2, "a", 1, broker.Finish), receive(3, "b", 2)}},
		"a parked saga that comes back":            {true, []history.Entry{start(1, "a", owned), commit(2, "a", 1, broker.Park), receive(3, "a", 2)}},
		"a commit of what was parked":              {false, []history.Entry{start(1, "a", owned), commit(2, "a", 1, broker.Park), commit(3, "a", 2, broker.Keep)}},
		"a saga that nobody started":               {false, []history.Entry{receive(1, "a", 1)}},
		"a start that nobody heard of":             {true, []history.Entry{failed(start(1, "", queued)), receive(2, "a", 1)}},
		"a lookup that sees an old revision": {false, []history.Entry{
			start(1, "a", owned), commit(2, "a", 1, broker.Keep), at(3, history.Op{Method: "lookup"}, history.Reply{Rev: 1}),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			legal, err := history.Check(c.entries)
			require.NoError(t, err)
			assert.Equal(t, c.legal, legal)
		})
	}
}

func TestAChildIsThereFromTheBeginning(t *testing.T) {
	child := receive(1, "a", 1)
	child.ID = "saga/child"
	legal, err := history.Check([]history.Entry{child})
	require.NoError(t, err)
	assert.True(t, legal)
}

func TestARecorderWritesWhatItSees(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log, err := history.Create(file)
	require.NoError(t, err)
	b := history.Record(inmem.New(), log, "here")
	defer b.Close()
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "a", Served: served, By: w})
	require.NoError(t, err)
	_, err = b.Start(t.Context(), broker.Start{ID: "b", Served: served})
	require.NoError(t, err)
	got, err := w.Receive(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	_, err = w.Commit(t.Context(), broker.Transition{ID: "a", Rev: 1, Next: broker.Finish, Keep: time.Minute})
	require.NoError(t, err)
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the caller has gone"))
	_, err = b.Lookup(ended, "a", false)
	require.Error(t, err)
	require.NoError(t, log.Close())

	cut, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = cut.WriteString(`{"N":99,"At":1,"Op":{"Met`) // the process was killed
	require.NoError(t, err)
	require.NoError(t, cut.Close())

	entries, err := history.Read(file)
	require.NoError(t, err)
	sagas := history.ByID(entries)
	require.Len(t, sagas["a"], 3)
	assert.Equal(t, "here/1", sagas["a"][0].Worker)
	assert.True(t, sagas["a"][0].Owned)
	assert.Equal(t, uint64(2), sagas["a"][1].Reply.Rev)
	assert.NotEmpty(t, sagas["a"][2].Err)
	require.Len(t, sagas["b"], 2)
	for _, of := range sagas {
		legal, err := history.Check(of)
		require.NoError(t, err)
		assert.True(t, legal, "%v", of)
	}
}
