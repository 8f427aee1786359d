package engines

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// town is all participants. What they answer follows from the seed, the saga, the path and the attempt.
type town struct {
	seed  uint64
	books *books
	write func(ctx context.Context, info step.Info) // sends a signal to the saga of an attempt

	mu    sync.Mutex
	calm  map[string]bool // sagas, with their children, in which nothing goes wrong any more
	met   map[string]int  // how many faults a saga has met, with its children
	came  map[string]int  // how many attempts of steps
	errs  map[string]bool // texts of all errors that were answered
	wrong []string        // what must not be
}

func newTown(seed uint64, b *books) *town {
	return &town{seed: seed, books: b, calm: map[string]bool{}, met: map[string]int{}, came: map[string]int{}, errs: map[string]bool{}}
}

// root is the saga with which a family began.
func root(id string) string {
	first, _, _ := strings.Cut(id, "/")
	return first
}

// soothe lets nothing go wrong any more in the family of a saga.
func (t *town) soothe(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calm[root(id)] = true
}

// intercept stands between engines and the functions of the flows, as the participants do.
func (t *town) intercept(ctx context.Context, next func(context.Context) error) error {
	info := step.InfoFrom(ctx)
	var seen world.Seen
	if err := next(world.Watched(ctx, &seen)); err != nil {
		return err
	}
	random, fault := t.roll(info)
	b := t.books.of(info.Saga)
	if fault == world.UndoProceeds && b.isLoose() { // two workers may ask at once
		fault = ""
	}
	t.begins(b, info, seen, fault)
	if random.IntN(8) == 0 {
		t.write(ctx, info)
	}
	if random.IntN(4) == 0 {
		pause(ctx, time.Duration(random.IntN(60))*time.Millisecond)
	}
	return t.answers(ctx, b, info, seen, fault, random)
}

// pause waits, also beyond the end of ctx for a moment: participants do not stop at once.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// roll says what goes wrong with an attempt. Each saga meets a fault within its first attempts.
func (t *town) roll(info step.Info) (*rand.Rand, world.Fault) {
	h := fnv.New64a()
	fmt.Fprint(h, info.Saga, info.Path, info.Undo, info.Attempt)
	random := rand.New(rand.NewPCG(t.seed, h.Sum64()))
	t.mu.Lock()
	defer t.mu.Unlock()
	family := root(info.Saga)
	if !info.Undo {
		t.came[family]++
	}
	met := t.met[family]
	if t.calm[family] || met >= 8 || random.IntN(4) > 0 && (met > 0 || t.came[family] < 1+len(info.Path)%3) {
		return random, ""
	}
	t.met[family]++
	faults := []world.Fault{world.Refuses, world.FailsBefore, world.FailsAfter, world.FailsAfter, world.FailsForGood, world.Panics, world.AsksLater, world.IsCutOff}
	if info.Undo {
		faults = []world.Fault{world.UndoFails, world.UndoRepeats, world.UndoGivesUp, world.UndoLater, world.UndoProceeds}
	}
	return random, faults[random.IntN(len(faults))]
}

// begins writes an attempt down.
func (t *town) begins(b *book, info step.Info, seen world.Seen, fault world.Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event{attempt: true, path: info.Path, undo: info.Undo, late: b.loose, seen: seen, fault: fault})
	e := b.effect(info.Path)
	key := &e.do
	if info.Undo {
		key = &e.undo
	}
	switch {
	case *key == "":
		*key = info.Key()
	case *key != info.Key() && !info.Again:
		t.complain("%s %s: the idempotency key was %q, and is %q", info.Saga, info.Path, *key, info.Key())
	}
	if e.do == e.undo {
		t.complain("%s %s: do and undo have the key %q", info.Saga, info.Path, e.do)
	}
}

func (t *town) complain(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, fmt.Sprintf(format, args...))
}

// answers does what the fault says.
func (t *town) answers(ctx context.Context, b *book, info step.Info, seen world.Seen, fault world.Fault, random *rand.Rand) error {
	err := fmt.Errorf("%s: %s %d", fault, info.Path, info.Attempt)
	after := random.IntN(2) == 0
	switch fault {
	case "":
		b.takes(info)
		return nil
	case world.Refuses:
		err = step.Refused(err)
	case world.FailsBefore, world.UndoFails:
	case world.FailsAfter, world.UndoRepeats:
		b.takes(info)
	case world.FailsForGood, world.UndoGivesUp:
		if err = step.Permanent(err); info.Undo {
			err = step.GiveUp(err)
		}
		b.maybe(info, after)
	case world.Panics:
		b.maybe(info, after)
		t.note(fmt.Errorf("%v", err))
		panic(err)
	case world.AsksLater, world.UndoLater:
		return step.NotYet(100 * time.Millisecond)
	case world.IsCutOff: // it takes longer than it may
		<-ctx.Done()
		b.maybe(info, after)
		err = ctx.Err()
	case world.UndoProceeds:
		b.replaces(info)
		return &plan.Mark{Class: plan.Proceed, Out: world.Fallback(seen.In)}
	}
	t.note(err)
	return err
}

// note remembers an error that was answered.
func (t *town) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; err != nil; err = errors.Unwrap(err) {
		t.errs[err.Error()] = true
	}
}

func (b *book) maybe(info step.Info, really bool) {
	if really {
		b.takes(info)
	}
}

// takes lets the effect happen that an attempt asks for: a step that comes after its undo has none.
func (b *book) takes(info step.Info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.effect(info.Path)
	switch {
	case info.Undo && e.proceeded && !info.Again: // a repeat of the one that was answered
	case info.Undo:
		e.there, e.undone = false, true
	case !e.undone && !e.proceeded:
		e.there = true
	}
}

// replaces is what an undo does that answers Proceed.
func (b *book) replaces(info step.Info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.effect(info.Path)
	e.there, e.undone = true, false
}
