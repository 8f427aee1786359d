package redisx_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
	"github.com/skald-go/skald/step"
)

// rooms notes which sagas are in which rooms, and who was there first.
type rooms struct {
	mu      sync.Mutex
	inside  map[string]string
	order   []string
	clashes []string
}

type guest struct {
	Name  string
	Group string
	Rooms []string
}

func (r *rooms) come(_ context.Context, g guest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.order, g.Name) { // an attempt may be made twice
		r.order = append(r.order, g.Name)
	}
	for _, room := range g.Rooms {
		if other := r.inside[room]; other != "" && other != g.Name {
			r.clashes = append(r.clashes, fmt.Sprintf("%s meets %s in %s", g.Name, other, room))
		}
		r.inside[room] = g.Name
	}
	return nil
}

func (r *rooms) leave(_ context.Context, g guest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, room := range g.Rooms {
		if r.inside[room] == g.Name {
			r.inside[room] = ""
		}
	}
	return nil
}

// stay is a saga that waits twice inside: once on its worker, once parked.
func (r *rooms) stay() flow.Flow[guest, guest] {
	return flow.New[guest]("stay").
		KeyedBy(func(g guest) string { return g.Group }).
		Lock(func(g guest) []string { return g.Rooms }).
		Then(step.Do("come", r.come).ReadOnly().Retriable()).
		Delay("rest", func(guest) time.Duration { return 2 * time.Millisecond }).
		Delay("sleep", func(guest) time.Duration { return 150 * time.Millisecond }).
		Then(step.Do("leave", r.leave).ReadOnly().Retriable())
}

// Two engines, several partitions, and a server that is killed and comes back with what it wrote to disk.
func TestSagasKeepOutOfEachOthersWayWhenTheServerIsKilled(t *testing.T) {
	verifyNone(t)
	s := redistest.Start(t, redistest.AOF)
	r := &rooms{inside: map[string]string{}}
	f := r.stay()
	var engines []*flow.Engine
	for range 2 {
		engines = append(engines, work(t, newBroker(t, s.Client(), redisx.Options{Partitions: 4}), options(), f))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var futures []flow.Future[guest]
	for n := range 24 {
		g := guest{
			Name: fmt.Sprintf("%c%02d", 'a'+n%3, n), Group: fmt.Sprint("group ", n%3),
			Rooms: []string{fmt.Sprint("room ", n%5), fmt.Sprint("room ", n%7)},
		}
		future, err := f.Start(ctx, engines[n%2], g, flow.ID(g.Name))
		require.NoError(t, err)
		futures = append(futures, future)
		if n == 12 {
			s.Kill()
			s.Restart()
		}
	}
	for _, future := range futures {
		_, err := future.Await(ctx)
		require.NoError(t, err)
	}
	assert.Empty(t, r.clashes)
	for _, group := range []string{"a", "b", "c"} {
		order := slices.DeleteFunc(slices.Clone(r.order), func(name string) bool { return !strings.HasPrefix(name, group) })
		assert.True(t, slices.IsSorted(order), "in order of start: %v", order)
	}
	eventually(t, func() bool { return len(claimKeys(t, s.Client())) == 0 }, "nothing is left of claims")
}
