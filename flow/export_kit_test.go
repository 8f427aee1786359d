package flow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// shooting is a broker that exports a saga after every commit of anybody.
type shooting struct {
	*inmem.Broker
	id    string
	mu    sync.Mutex
	shots []flow.Exported
}

func (b *shooting) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.Broker.Join(ctx, m)
	return shootingWorker{w, b}, err
}

func (b *shooting) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if w, ok := s.By.(shootingWorker); ok {
		s.By = w.Worker
	}
	defer b.shoot()
	return b.Broker.Start(ctx, s)
}

// shoot exports the saga, if it has begun, has not ended, and does not move.
func (b *shooting) shoot() {
	if x, err := flow.Export(context.Background(), b.Broker, b.id); err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shots = append(b.shots, x)
	}
}

type shootingWorker struct {
	broker.Worker
	b *shooting
}

func (w shootingWorker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	defer w.b.shoot()
	return w.Worker.Commit(ctx, t)
}

// file writes x with payloads.
func file(t require.TestingT, x flow.Exported) []byte {
	var b bytes.Buffer
	require.NoError(t, x.Write(&b, flow.ExportOptions{Payloads: true}))
	return b.Bytes()
}

// comparable is x without what is the store's own: since when it is where it is, whether somebody owns it, and how fine its clock is.
func comparable(x flow.Exported) (sagas []broker.Snapshot) {
	for _, s := range x.Sagas {
		if due := !s.Wake.IsZero() && !s.Wake.After(time.Now()); due && (s.State == broker.Parked || s.State == broker.Held) {
			s.State = broker.Ready // sooner or later
		}
		s.Since, s.Owner, s.Stranded, s.Wake = time.Time{}, "", false, s.Wake.UTC().Add(time.Millisecond-1).Truncate(time.Millisecond)
		if s.State == broker.Owned {
			s.State, s.Takeovers = broker.Ready, max(1, s.Takeovers)
		}
		if s.State == broker.Ready {
			s.Wake = time.Time{}
		}
		s.Journal = append([]broker.Entry{}, s.Journal...)
		for k := range s.Mail {
			s.Mail[k].At = s.Mail[k].At.UTC()
		}
		sagas = append(sagas, s)
	}
	return sagas
}

// roundTrip writes x, reads it, imports it into b, exports it from there, and compares.
func roundTrip(t require.TestingT, b broker.Broker, x flow.Exported) {
	read, err := flow.ReadExport(bytes.NewReader(file(t, x)))
	require.NoError(t, err)
	require.Equal(t, x.At, read.At)
	require.NoError(t, flow.Import(context.Background(), b, read))
	again, err := flow.Export(context.Background(), b, x.ID())
	require.NoError(t, err)
	require.Equal(t, comparable(x), comparable(again))
}

var errRandom = errors.New("random trouble")

// trouble makes attempts fail as a seed and the time say: half of them, in all ways.
func trouble(seed int) flow.Interceptor {
	return func(ctx context.Context, next func(context.Context) error) error {
		info := step.InfoFrom(ctx)
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s %d %t %d", seed, info.Path, info.Attempt, info.Undo, time.Now().Unix()/30)
		switch h.Sum64() >> 32 % 12 {
		case 0:
			return step.Refused(errRandom)
		case 1:
			return errRandom
		case 2:
			return errors.Join(next(ctx), errRandom)
		case 3:
			return step.NotYet(time.Minute)
		case 4:
			return step.Permanent(errRandom)
		case 5:
			panic("random panic")
		}
		return next(ctx)
	}
}

func randomStep(name string) step.Step[int, int] {
	return step.New(name, func(_ context.Context, in int) (int, error) { return in + 1, nil }).
		Compensate(func(context.Context, step.Effect[int, int]) error { return nil }).
		Retry(step.Retry{Attempts: 2, Delay: time.Minute}).RetryUndo(step.Retry{Attempts: 2, Delay: time.Minute})
}

var goAhead = flow.NewSignal[int]("go-ahead")

// randomFlow has a few parts of all kinds. children counts those that are flows of their own.
func randomFlow(t *rapid.T, name string, depth int, children *int) flow.Flow[int, int] {
	f := flow.New[int](name)
	sum := func(_, a, b int) int { return a + b }
	for i := range rapid.IntRange(1, 3).Draw(t, "parts") {
		name := fmt.Sprintf("n%d", i)
		kind := rapid.IntRange(0, 11).Draw(t, "kind")
		if depth == 0 && kind > 3 {
			kind = 0
		}
		part := func(name string) flow.Flow[int, int] { return randomFlow(t, name, depth-1, children) }
		switch kind {
		case 1:
			f = f.Delay(name, func(int) time.Duration { return time.Hour })
		case 2, 3:
			f = f.WaitFor(goAhead.As(name), time.Hour, func(a, b int) int { return a + b }, randomStep("late"))
		case 4:
			f = f.If(name, func(n int) bool { return n%2 == 0 }, part("even"), part("odd"))
		case 5, 6:
			f = f.Both(name, part("left"), part("right"), sum)
		case 7:
			f = f.Each(name, func(n int) []int { return []int{n, n + 1} }, part("item"), func(_ int, all []int) int { return all[0] })
		case 8:
			f = f.Race(name, part("one"), part("two"))
		case 9:
			f = f.Loop(name, 3, part("round"), func(n int) bool { return n%3 == 0 })
		case 10, 11:
			*children++
			f = f.Then(flow.Child(part(fmt.Sprintf("child%d", *children))))
		default:
			f = f.Then(randomStep(name))
		}
	}
	return f
}

// shotsOf runs a random saga, and exports it at some of the points that it comes to. One that ends with its first transition may have none.
func shotsOf(t *rapid.T) (f flow.Flow[int, int], o flow.Options, shots []flow.Exported) {
	f = randomFlow(t, "f", rapid.SampledFrom([]int{0, 1, 1, 1, 1, 1, 2}).Draw(t, "depth"), new(int))
	o = flow.Options{Interceptors: []flow.Interceptor{trouble(rapid.IntRange(0, 1000).Draw(t, "seed"))}}
	b := &shooting{Broker: inmem.New(), id: "s"}
	e := newEngine(b, o, f)
	stop := run(e)
	future, err := f.Start(context.Background(), e, 1, flow.ID("s"), flow.WithHeaders(flow.Headers{"user": "ada", "trace": "7"}))
	require.NoError(t, err)
	if rapid.Bool().Draw(t, "signal") {
		_ = goAhead.As("n0").Send(context.Background(), e, "s", 40)
		_ = goAhead.As("n1").Send(context.Background(), e, "s", 41)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*24*time.Hour)
	defer cancel()
	if rapid.Bool().Draw(t, "cancel") {
		time.AfterFunc(30*time.Minute, func() { _ = future.Cancel(ctx, "changed my mind") })
	}
	_, _ = future.Await(ctx)
	require.NoError(t, stop())
	b.shoot()
	for range min(4, len(b.shots)) {
		shots = append(shots, rapid.SampledFrom(b.shots).Draw(t, "shot"))
	}
	return f, o, shots
}
