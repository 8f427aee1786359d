package redisx_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// Starts of one ID that go with one batch must be told apart: one of them is the first.
func TestStartsOfOneIDAtOnce(t *testing.T) {
	verifyNone(t)
	b := newBroker(t, redistest.Start(t).Client(), redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{{Flow: "other"}}, Lease: time.Minute})
	require.NoError(t, err)
	for name, by := range map[string]broker.Worker{"queued": nil, "owned": w} {
		t.Run(name, func(t *testing.T) {
			for round := range 20 {
				answers := make(chan error, 32)
				var group errgroup.Group
				for n := range cap(answers) {
					group.Go(func() error {
						start := broker.Start{ID: fmt.Sprint(name, round), Served: served, Digest: [32]byte{byte(n % 2)}, By: by}
						started, err := b.Start(t.Context(), start)
						if err == nil && started.Existed {
							err = errExisted
						}
						answers <- err
						return nil
					})
				}
				require.NoError(t, group.Wait())
				close(answers)
				first, existed, conflicts := 0, 0, 0
				for err := range answers {
					switch {
					case err == nil:
						first++
					case errors.Is(err, errExisted):
						existed++
					default:
						require.ErrorIs(t, err, broker.ErrConflict)
						conflicts++
					}
				}
				assert.Equal(t, []int{1, 15, 16}, []int{first, existed, conflicts})
			}
		})
	}
}

var errExisted = errors.New("it existed")

func TestAFlowThatCannotBeNamedInAQueueIsRefused(t *testing.T) {
	b := newBroker(t, redistest.Start(t).Client(), redisx.Options{})
	for _, name := range []string{"a\nb", "a\x00b"} {
		_, err := b.Start(t.Context(), broker.Start{ID: "x", Served: broker.Served{Flow: name}})
		require.ErrorContains(t, err, "line break or a zero byte")
	}
}
