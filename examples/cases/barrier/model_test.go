package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/step"
)

// Whatever comes in whatever order, one after the other: every call is answered, and every account changed, as if each action had happened at most once and
// had been undone iff it was.
func TestModel(t *testing.T) {
	eachStore(t, func(t *testing.T, s store) {
		round := 0
		rapid.Check(t, func(r *rapid.T) {
			round++
			m := model{s: s, saga: fmt.Sprint("m-", round), balance: 100, states: map[string]string{}, results: map[string]int{}}
			s.set(r, "anna", 100)
			for range rapid.IntRange(1, 20).Draw(r, "calls") {
				m.call(r, rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(r, "step"), rapid.IntRange(0, 3).Draw(r, "kind"))
				require.Equal(r, m.balance, s.points(r, "anna"))
			}
		})
	})
}

// model knows what has happened.
type model struct {
	s       store
	saga    string
	balance int
	states  map[string]string
	results map[string]int
}

func stepOf(saga, path string, undo bool) context.Context {
	return step.WithInfo(context.Background(), step.Info{Namespace: "test", Saga: saga, Path: path, Undo: undo})
}

// call makes a call of kind 0, an undo, 1 and 2, an action, or 3, an action whose context ends before it begins.
func (m *model) call(r *rapid.T, path string, kind int) {
	ctx := stepOf(m.saga, path, kind == 0)
	switch kind {
	case 0:
		_, err := m.s.Change(ctx, "anna", 30)
		require.NoError(r, err)
		if m.states[path] == "done" {
			m.balance += 30
		}
		if m.states[path] != "refused" {
			m.states[path] = "undone"
		}
	case 3:
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := m.s.Change(ctx, "anna", -30)
		require.ErrorIs(r, err, context.Canceled)
	default:
		out, err := m.s.Change(ctx, "anna", -30)
		if m.states[path] == "" {
			m.first(path)
		}
		switch m.states[path] {
		case "done":
			require.NoError(r, err)
			require.Equal(r, m.results[path], out)
		case "refused":
			_, is := errors.AsType[*InsufficientPoints](err)
			require.True(r, is, "%v", err)
			require.True(r, barrier.Settled(err))
		default:
			require.ErrorIs(r, err, barrier.ErrUndone)
			require.True(r, barrier.Settled(err))
		}
	}
}

// first is an action that nothing came before.
func (m *model) first(path string) {
	if m.balance < 30 {
		m.states[path] = "refused"
		return
	}
	m.balance -= 30
	m.states[path], m.results[path] = "done", m.balance
}

// The same at once: actions, duplicates and undos of a few steps race, and afterwards every step is undone, whatever happened.
func TestRaces(t *testing.T) {
	eachStore(t, func(t *testing.T, s store) {
		round := 0
		rapid.Check(t, func(r *rapid.T) {
			if round++; round > 25 {
				return // each takes long
			}
			saga := fmt.Sprint("r-", round)
			s.set(r, "anna", 100)
			steps := []string{"a", "b", "c"}
			var all sync.WaitGroup
			failures := make(chan error, 100)
			for range rapid.IntRange(2, 12).Draw(r, "calls") {
				path, undo := rapid.SampledFrom(steps).Draw(r, "step"), rapid.IntRange(0, 2).Draw(r, "undo") == 0
				all.Go(func() {
					if err := change30(s, saga, path, undo); err != nil && !barrier.Settled(err) {
						failures <- fmt.Errorf("%s, undo %v: %w", path, undo, err)
					}
				})
			}
			all.Wait()
			close(failures)
			require.NoError(r, <-failures)
			require.Zero(r, (100-s.points(r, "anna"))%30)
			for _, path := range steps {
				require.NoError(r, change30(s, saga, path, true))
			}
			require.Equal(r, 100, s.points(r, "anna"))
		})
	})
}

func change30(s store, saga, path string, undo bool) error {
	points := -30
	if undo {
		points = 30
	}
	_, err := s.Change(stepOf(saga, path, undo), "anna", points)
	return err
}
