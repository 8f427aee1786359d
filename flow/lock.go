package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Lock gives every saga of the flow the locks that keys names for its input: semantic locks, which keep other sagas away from what this one works on, and
// nobody else. A lock is held by one saga at a time, of whatever flow, on all engines of the broker. A saga takes its locks when it is started, in sorted
// order, so that no sagas wait for each other in a circle; one that another saga holds it waits for, in order of start. While it waits it holds no
// goroutine, no step of it begins, and its deadline and Cancel work. It gives them back when it has ended: done, undone, or settled by
// hand. A dead letter keeps them until a person has decided.
//
// keys is a pure function. A key is 1 to 255 bytes of printable text, and a saga has at most 64; otherwise Start answers ErrKey. With no key the
// saga locks nothing.
//
// The locks of a tree of sagas belong to its root. A flow with locks that runs as a flow.Child uses those of its root: a lock that the root did not
// take is a refusal with ErrNotLocked, before the child begins. A saga that another service starts through a Ref cannot lock: its caller
// gets ErrContract.
func (f Flow[I, O]) Lock(keys func(I) []string) Flow[I, O] { return f.lock("Lock", keys, false) }

// LockOrRefuse is Lock, but a saga does not wait for its locks: Start takes all of them, or answers ErrLocked with the saga that holds one
// of them (a *LockedError) and stores nothing. A saga that a Schedule starts has nobody to tell, and waits.
func (f Flow[I, O]) LockOrRefuse(keys func(I) []string) Flow[I, O] {
	return f.lock("LockOrRefuse", keys, true)
}

func (f Flow[I, O]) lock(call string, keys func(I) []string, refuse bool) Flow[I, O] {
	at := f.at(call, "")
	at.checkFunc("keys", keys == nil)
	if s := f.def.Root.Settings; s != nil {
		switch {
		case s.Lock != nil:
			at.panicf("the flow has locks already: give all keys in one function")
		case refuse && s.KeyedBy != nil:
			at.panicf("the flow has KeyedBy, for which its sagas wait: use Lock")
		}
	}
	return f.set(func(s *plan.Settings) {
		s.Lock, s.Refuse = func(in any) []string { return keys(plan.Cast[I](in)) }, refuse
	})
}

// KeyedBy runs the sagas of the flow that have one key one after the other, in order of start. Each begins when the one before has ended, as Lock has it: a
// dead letter blocks its key until a person has decided, and Health says so. Sagas of other flows are not concerned.
//
// key is a pure function. A key is 1 to 255 bytes of printable text; otherwise Start answers ErrKey.
//
// It orders starts, so it has no meaning for a child: flow.Child panics.
func (f Flow[I, O]) KeyedBy(key func(I) string) Flow[I, O] {
	at := f.at("KeyedBy", "")
	at.checkFunc("key", key == nil)
	if s := f.def.Root.Settings; s != nil {
		switch {
		case s.KeyedBy != nil:
			at.panicf("the flow has a key already")
		case s.Refuse:
			at.panicf("the flow has LockOrRefuse, for which its sagas do not wait: use Lock")
		}
	}
	return f.set(func(s *plan.Settings) {
		s.KeyedBy = func(in any) string { return key(plan.Cast[I](in)) }
	})
}

// Claim is something that one saga holds at a time: a lock, or a key of KeyedBy.
type Claim struct {
	Key     string   // what the function of Lock or KeyedBy gave
	Flow    string   // of KeyedBy: whose sagas it orders; empty for a lock
	Holder  string   // ID of the saga that holds it; empty if nobody does
	Waiting []string // IDs of those that wait for it, in order, at most 100; only what Holder gives has them
}

// String names it, and the flow of KeyedBy.
func (c Claim) String() string {
	if c.Flow != "" {
		return fmt.Sprintf("key %q of %q", c.Key, c.Flow)
	}
	return fmt.Sprintf("lock %q", c.Key)
}

func (c Claim) name() string {
	if c.Flow != "" {
		return plan.KeyedClaim(c.Flow, c.Key)
	}
	return plan.LockClaim(c.Key)
}

func claimOf(name string) Claim {
	flow, key := plan.CutClaim(name)
	return Claim{Key: key, Flow: flow}
}

// LockedError says which saga holds a lock that another one was to take. It is ErrLocked.
type LockedError struct {
	Key    string
	Holder string // ID of the saga
}

// Error names both.
func (e *LockedError) Error() string {
	return fmt.Sprintf("flow: saga %q holds the lock %q", e.Holder, e.Key)
}

// Unwrap gives ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// asLocked gives the error of a start that was refused.
func asLocked(err error) error {
	var locked *broker.LockedError
	if !errors.As(err, &locked) {
		return ErrLocked
	}
	return &LockedError{Key: claimOf(locked.Key).Key, Holder: locked.Holder}
}

// mostWaiting is how many sagas that wait Holder gives.
const mostWaiting = 100

// Holder tells which saga holds a lock, and which wait for it.
func (e *Engine) Holder(ctx context.Context, lock string) (Claim, error) {
	return e.holder(ctx, Claim{Key: lock})
}

// Holder tells which saga of the flow holds a key of KeyedBy, and which wait for it.
func (f Flow[I, O]) Holder(ctx context.Context, e *Engine, key string) (Claim, error) {
	def, err := f.definition()
	if err != nil {
		return Claim{}, fmt.Errorf("flow: look up who holds %q: %w: %w", key, ErrZero, err)
	}
	return e.holder(ctx, Claim{Key: key, Flow: def.Name})
}

func (e *Engine) holder(ctx context.Context, c Claim) (Claim, error) {
	if e.isZero() {
		return Claim{}, fmt.Errorf("flow: look up who holds the %v: %w", c, ErrZero)
	}
	ids, err := e.broker.Claimants(ctx, c.name(), 1+mostWaiting)
	if err != nil {
		return Claim{}, fmt.Errorf("flow: look up who holds the %v: %w", c, err)
	}
	if len(ids) > 0 {
		c.Holder, c.Waiting = ids[0], ids[1:]
	}
	return c, nil
}

// addClaims tells what a saga that goes on holds, and waits for.
func (e *Engine) addClaims(ctx context.Context, snap *Snapshot, s broker.Snapshot) error {
	claims := claimed(s)
	waits := false
	for i := range claims {
		ids, err := e.broker.Claimants(ctx, claims[i].name(), 1)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			claims[i].Holder = ids[0]
		}
		waits = waits || claims[i].Holder != s.ID
	}
	snap.Claims = claims
	if waits && s.Waits && snap.State == StateRunning {
		snap.State = StateWaiting
	}
	return nil
}

// claimed gives what a saga claims that has not ended.
func claimed(s broker.Snapshot) []Claim {
	header, err := saga.DecodeHeader(s.Record.Record)
	if err != nil || s.State == broker.Finished {
		return nil
	}
	return claimsOf(header)
}

// claimsOf gives what a saga claims itself: a child uses what its root does.
func claimsOf(header saga.Header) (claims []Claim) {
	if header.Parent != "" {
		return nil
	}
	for _, name := range header.Claims {
		claims = append(claims, claimOf(name))
	}
	return claims
}

// WaitsFor gives what the saga waits for before it begins, if it does, with the saga that holds it.
func (s Snapshot) WaitsFor() (c Claim, waits bool) {
	i := slices.IndexFunc(s.Claims, func(c Claim) bool { return c.Holder != s.SagaID })
	if s.State != StateWaiting || i < 0 {
		return Claim{}, false
	}
	return s.Claims[i], true
}

// mostBlocking is how many dead letters Health looks at.
const mostBlocking = 100

// blocking gives the dead letters that hold keys which others wait for.
func (e *Engine) blocking(ctx context.Context) (errs []error) {
	looked := 0
	for s, err := range e.broker.List(ctx, broker.Filter{State: broker.Buried}) {
		if looked++; err != nil || looked > mostBlocking {
			return errs
		}
		for _, c := range claimed(s) {
			if c, err := e.holder(ctx, c); err == nil && c.Holder == s.ID && len(c.Waiting) > 0 {
				errs = append(errs, fmt.Errorf("flow: saga %q of %q is a dead letter, and saga %q waits for its %v: relay, skip or settle it",
					s.ID, s.Flow, c.Waiting[0], c))
			}
		}
	}
	return errs
}
