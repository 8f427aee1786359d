package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/examples/petshop/trace"
	"github.com/skald-go/skald/flow"
)

func TestMain(m *testing.M) { brokers.Main(m) }

// noon is a shop in the middle of its day.
func noon() participants.State {
	return participants.State{
		Points: map[string]int{"ada": 4000, "bob": 4000},
		Stables: map[string]map[string]domain.Pet{
			"ada": {"mia": {ID: "mia", Kind: "owl", Level: 2}},
			"bob": {"tom": {ID: "tom", Kind: "cat", Level: 5}},
		},
		Offers: map[string]domain.Offer{
			"o-1": {ID: "o-1", Seller: "ada", Price: 1000, Status: domain.OnSale, Pet: domain.Pet{ID: "rex", Kind: "griffin", Level: 7}},
		},
		Backdrops: map[string]domain.Backdrop{"beach": {Name: "beach", Price: 250, Stock: 3}},
	}
}

// openAt starts a world that ends with the test.
func openAt(t *testing.T, k brokers.Kind, s participants.State, change ...func(*flow.Options)) *world {
	opts := shop.Options()
	opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	for _, c := range change {
		c(&opts)
	}
	w, err := open(k.Open(t), opts, s)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.close()) })
	return w
}

func decoding(all bool) func(*flow.Options) {
	return func(o *flow.Options) { o.DecodeAll = all }
}

// soon is a context for what must come at once: it ends only if that never comes.
func soon(t *testing.T) context.Context {
	ctx := trace.With(t.Context(), trace.Trace{ID: "trace-1", User: "user-1"})
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// requireWithinASecond says that act is done within a second, also on a busy machine: one time of five.
func requireWithinASecond(t *testing.T, act func()) {
	t.Helper()
	var took time.Duration
	for range 5 {
		start := time.Now()
		act()
		if took = time.Since(start); took < time.Second {
			return
		}
	}
	require.Less(t, took, time.Second)
}

// calls tells the requests that a saga made, without those that only read: "take-points", "undo
// take-points", with what became of it unless it was done.
func calls(w *world, saga string) []string {
	calls := []string{}
	for _, e := range w.town.Journal(saga) {
		if e.Verdict == participants.Read {
			continue
		}
		call := e.Step()
		if e.Undo() {
			call = "undo " + call
		}
		if e.Verdict != participants.Done {
			call += ": " + string(e.Verdict)
		}
		calls = append(calls, call)
	}
	return calls
}

// undosOf are the calls that take steps back.
func undosOf(steps []string) (undos []string) {
	for _, s := range slices.Backward(steps) {
		undos = append(undos, "undo "+s)
	}
	return undos
}

func onlyUndos(calls []string) (undos []string) {
	for _, c := range calls {
		if strings.HasPrefix(c, "undo ") {
			undos = append(undos, c)
		}
	}
	return undos
}

// late sends a request that was on its way for very long, and gives the problem that it is answered with.
func (w *world) late(t *testing.T, service, path, key, body string) (p domain.Problem) {
	r, err := http.NewRequestWithContext(soon(t), http.MethodPost, w.town.URL(service)+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+w.as("bob").Token)
	r.Header.Set(participants.KeyHeader, key)
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, domain.ProblemType, answer.Header.Get("Content-Type"))
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&p))
	return p
}
