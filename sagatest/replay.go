package sagatest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	sagas "github.com/skald-go/skald/internal/saga"
)

// Replayed is an exported saga that goes on in a test. Its methods are called by the goroutine of the test.
type Replayed[O any] struct {
	t        testing.TB
	ctx      context.Context
	recorder *Recorder
	engine   *flow.Engine
	future   flow.Future[O]
	id       string
	dead     chan flow.DeadLetter
	outline  *outline
}

// Replay lets a saga that was exported with its payloads (skald export --payloads, flow.Export) go on with the present code, inside a
// bubble of package testing/synctest:
//
//	synctest.Test(t, func(t *testing.T) {
//		r := sagatest.Replay(t, "testdata/order-42.json", shop.Order(), flow.Options{Errors: Errors})
//		_, err := r.Undid("reserve").Result()
//		…
//	})
//
// The saga stands on a broker in memory as it stood when it was exported, and it is that time: the bubble's clock is set to it, so that
// what was to wake an hour later does. Replay relays it if it, or a child of it, is a dead letter, and returns when nothing more happens without
// time going by. What ran when it was exported counts as interrupted.
//
// It fails the test at once if the file cannot be read, holds a saga of another flow or version, or has recorded what the present
// definition does not have; it says where, and what to do.
func Replay[I, O any](t testing.TB, file string, saga flow.Flow[I, O], opts flow.Options) *Replayed[O] {
	t.Helper()
	needBubble(t, "Replay")
	x, err := loadExport(file, saga.Name(), versionOf(saga))
	if err == nil {
		err = canGoOn(t.Context(), x, saga, opts)
	}
	if err != nil {
		t.Fatalf("sagatest: replay %s: %v", file, err)
	}
	time.Sleep(time.Until(x.At))
	r := &Replayed[O]{t: t, ctx: t.Context(), recorder: new(Recorder), id: x.ID(), dead: make(chan flow.DeadLetter, 1), outline: outlineOf(definitionOf(saga))}
	if err := r.begin(x, saga, opts); err != nil {
		t.Fatalf("sagatest: replay %s: %v", file, err)
	}
	r.future = saga.Attach(r.engine, r.id)
	synctest.Wait()
	return r
}

// needBubble fails the test if it is not in virtual time.
func needBubble(t testing.TB, call string) {
	t.Helper()
	if !isBubble() {
		t.Fatalf("sagatest: %s works in virtual time: call it inside synctest.Test(t, func(t *testing.T) { … })", call)
	}
	synctest.Wait()
}

func loadExport(file, name string, version int) (flow.Exported, error) {
	f, err := os.Open(file)
	if err != nil {
		return flow.Exported{}, err
	}
	defer f.Close()
	x, err := flow.ReadExport(f)
	if err != nil {
		return x, err
	}
	switch s := x.Sagas[0]; {
	case s.Flow != name:
		return x, fmt.Errorf("it holds a saga of %q, and not of %q: replay it with that flow", s.Flow, name)
	case s.Version != version:
		return x, fmt.Errorf("it holds a saga of %q in version %d, and this is version %d: replay it with the definition that has Version(%d)",
			name, s.Version, version, s.Version)
	}
	return x, nil
}

// canGoOn says where the present definition does not have what the saga or a child of it has recorded.
func canGoOn(ctx context.Context, x flow.Exported, saga flow.Definition, opts flow.Options) error {
	scratch := flow.Exported{At: x.At, Sagas: slices.Clone(x.Sagas)}
	for k := range scratch.Sagas { // of one that is buried, Snapshot tells why, and not whether it can be loaded
		scratch.Sagas[k].State, scratch.Sagas[k].Outcome = broker.Ready, nil
	}
	b := inmem.New()
	defer b.Close()
	if err := flow.Import(ctx, b, scratch); err != nil {
		return err
	}
	e := flow.NewEngine(b, opts)
	e.Serve(saga)
	for _, s := range x.Sagas {
		snap, err := e.Snapshot(ctx, s.ID)
		if err != nil {
			return err
		}
		if !misfit(snap.Err) {
			continue
		}
		return fmt.Errorf("the present definition of %q cannot go on with saga %q: %w.\nKeep the name in the present definition (As, or the flow's own name), "+
			"or give the present one another Version and serve both; sagatest.Compatible finds that before you deploy", s.Flow, s.ID, snap.Err)
	}
	return nil
}

// misfit says that a definition cannot load what a saga has recorded.
func misfit(err error) bool {
	_, foreign := errors.AsType[*sagas.ForeignError](err)
	_, broken := errors.AsType[*sagas.BrokenError](err)
	return foreign || broken
}

// begin imports the saga, runs an engine until the test ends, and relays what is a dead letter.
func (r *Replayed[O]) begin(x flow.Exported, saga flow.Definition, opts flow.Options) error {
	b := inmem.New()
	if err := flow.Import(r.ctx, b, x); err != nil {
		return err
	}
	r.engine = flow.NewEngine(b, r.options(opts))
	r.engine.Serve(saga)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	ended := make(chan error, 1)
	go func() { ended <- r.engine.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, b.Close()); err != nil {
			r.t.Errorf("sagatest: replay of saga %q: %v", r.id, err)
		}
	})
	for _, s := range x.Sagas {
		if s.State == broker.Buried {
			if err := r.engine.Relay(r.ctx, s.ID, flow.By{Who: "sagatest.Replay", Why: "replayed in a test"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// options are the user's, with a recorder that hears of every call.
func (r *Replayed[O]) options(o flow.Options) flow.Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.DecodeAll = true
	o.Interceptors = append(slices.Clone(o.Interceptors), r.recorder.Intercept)
	theirs := o.OnDeadLetter
	o.OnDeadLetter = func(ctx context.Context, d flow.DeadLetter) {
		if theirs != nil {
			theirs(ctx, d)
		}
		select {
		case r.dead <- d:
		default:
		}
	}
	return o
}

// After lets time pass.
func (r *Replayed[O]) After(d time.Duration) *Replayed[O] {
	time.Sleep(d)
	synctest.Wait()
	return r
}

// Signal gives the saga a signal, and lets it go on.
func (r *Replayed[O]) Signal[S any](signal flow.Signal[S], value S) *Replayed[O] {
	r.t.Helper()
	err := signal.Send(r.ctx, r.engine, r.id, value)
	if err == nil {
		err = r.outline.awaits("", signal)
	}
	if err != nil {
		r.t.Errorf("sagatest: replay of saga %q: %v", r.id, err)
	}
	synctest.Wait()
	return r
}

// Result lets the saga go on to its end, however long that takes, and gives its output or its error. A saga that needs a person again, or one
// of whose children does, has ended as far as that: the error is the *flow.Error of that dead letter. A saga that waits for a signal does not end
// by itself, which fails the test after 60 days.
func (r *Replayed[O]) Result() (O, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	var out O
	var err error
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		out, err = r.future.Await(ctx)
	}()
	select {
	case <-settled:
	case d := <-r.dead:
		r.dead <- d // for the next who asks
		cancel()
		<-settled
		return out, d.Err
	}
	if running, ok := errors.AsType[*flow.RunningError](err); ok {
		r.t.Fatalf("sagatest: replay of saga %q: it has not ended after %v: %v\n  executed:\n%v", r.id, patience, running, listOf(placed(r.Calls(), r.id)))
	}
	return out, err
}

// Snapshot is how the saga stands now. Of one that has ended, the broker has state, error and decisions, and no steps any more.
func (r *Replayed[O]) Snapshot() flow.Snapshot {
	r.t.Helper()
	snap, err := r.engine.Snapshot(r.ctx, r.id)
	if err != nil {
		r.t.Errorf("sagatest: replay of saga %q: %v", r.id, err)
	}
	return snap
}

// Calls gives what was executed since the saga goes on, in order.
func (r *Replayed[O]) Calls() []Call { return r.recorder.Calls() }

// Ran lets the saga go on to its end, and expects that just these steps were done in the replay, in that order.
func (r *Replayed[O]) Ran(paths ...string) *Replayed[O] {
	r.t.Helper()
	r.expect("steps that were done in the replay", paths, false)
	return r
}

// Undid lets the saga go on to its end, and expects that just these steps were undone in the replay, in that order.
func (r *Replayed[O]) Undid(paths ...string) *Replayed[O] {
	r.t.Helper()
	r.expect("steps that were undone in the replay", paths, true)
	return r
}

func (r *Replayed[O]) expect(what string, want []string, undo bool) {
	r.t.Helper()
	_, _ = r.Result()
	if got := pathsOf(placed(r.Calls(), r.id), undo); !slices.Equal(want, got) {
		r.t.Errorf("sagatest: %s:%s\n  executed:\n%v", what, sideways(want, got), listOf(placed(r.Calls(), r.id)))
	}
}
