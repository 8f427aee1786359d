package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// The refusals of the shop.
var (
	errPoor    = errors.New("shop: not enough points")
	errSoldOut = errors.New("shop: sold out")
	errShop    = errcodec.New(errcodec.Sentinel("shop.poor", errPoor), errcodec.Sentinel("shop.sold-out", errSoldOut))
)

// town is the participants of a small pet shop: accounts, a stock of pets, stables and a carrier. Each does what it is asked once for
// every key, as good participants do.
type town struct {
	mu         sync.Mutex
	Points     map[string]int
	Stock      map[string]int
	Stables    map[string]int
	Parcels    map[string]int
	replies    map[string]any
	undone     map[string]bool
	down       string // path of the step whose participant fails
	noReceipts bool
}

func newTown() *town {
	return &town{
		Points: map[string]int{"ada": 100, "shop": 0}, Stock: map[string]int{"cat": 3}, Stables: map[string]int{}, Parcels: map[string]int{},
		replies: map[string]any{}, undone: map[string]bool{},
	}
}

// books is what the participants hold.
type books struct{ Points, Stock, Stables, Parcels map[string]int }

func (t *town) Books() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return books{maps.Clone(t.Points), maps.Clone(t.Stock), maps.Clone(t.Stables), maps.Clone(t.Parcels)}
}

func (t *town) AllPoints() (sum int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.Points {
		sum += n
	}
	return sum
}

func (t *town) AllCats() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Stock["cat"] + t.Stables["ada"]
}

var errDown = errors.New("shop: connection refused")

// once does work at most once for a key, and not if its undo came before.
func (t *town) once[O any](ctx context.Context, key string, work func() (O, error)) (O, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var none O
	if info := step.InfoFrom(ctx); t.down != "" && t.down == info.Path {
		return none, errDown
	}
	if first, found := t.replies[key]; found {
		return first.(O), nil
	}
	if t.undone[key] {
		return none, errors.New("shop: it was undone before it came")
	}
	out, err := work()
	if err == nil {
		t.replies[key] = out
	}
	return out, err
}

// back takes something back at most once, if it happened.
func (t *town) back(ctx context.Context, work func()) error {
	info := step.InfoFrom(ctx)
	undo := info.Key()
	info.Undo = false
	do := info.Key()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, happened := t.replies[do]; happened && !t.undone[do] {
		work()
	}
	t.undone[do] = true
	t.replies[undo] = true
	return nil
}

// wish is what a customer wants.
type wish struct {
	Who, Pet string
	Price    int
}

// hold is a pet that is set aside.
type hold struct{ Number string }

// held is a wish whose pet is set aside.
type held struct {
	Wish wish
	Hold hold
}

func keyOf(ctx context.Context) string { return step.InfoFrom(ctx).Key() }

func (t *town) reserve(ctx context.Context, w wish) (hold, error) {
	return t.once(ctx, keyOf(ctx), func() (hold, error) {
		if t.Stock[w.Pet] == 0 {
			return hold{}, errSoldOut
		}
		t.Stock[w.Pet]--
		return hold{fmt.Sprintf("hold of a %s", w.Pet)}, nil
	})
}

func (t *town) release(ctx context.Context, e step.Effect[wish, hold]) error {
	return t.back(ctx, func() { t.Stock[e.In.Pet]++ })
}

func (t *town) charge(ctx context.Context, w wish) (int, error) {
	return t.once(ctx, keyOf(ctx), func() (int, error) {
		if t.Points[w.Who] < w.Price {
			return 0, errPoor
		}
		t.Points[w.Who] -= w.Price
		t.Points["shop"] += w.Price
		return t.Points[w.Who], nil
	})
}

func (t *town) refund(ctx context.Context, e step.Effect[wish, int]) error {
	return t.back(ctx, func() {
		t.Points[e.In.Who] += e.In.Price
		t.Points["shop"] -= e.In.Price
	})
}

func (t *town) deliver(ctx context.Context, h held) (string, error) {
	return t.once(ctx, keyOf(ctx), func() (string, error) {
		t.Stables[h.Wish.Who]++
		return h.Hold.Number, nil
	})
}

func (t *town) takeBack(ctx context.Context, e step.Effect[held, string]) error {
	return t.back(ctx, func() {
		if t.Stables[e.In.Wish.Who]--; t.Stables[e.In.Wish.Who] == 0 {
			delete(t.Stables, e.In.Wish.Who)
		}
	})
}

func (t *town) announce(ctx context.Context, number string) (string, error) {
	return t.once(ctx, keyOf(ctx), func() (string, error) {
		t.Parcels[number]++
		return number, nil
	})
}

var twice = step.Retry{Attempts: 2, Delay: time.Second}

// The steps of a purchase, each of which a broken variant replaces.
type parts struct {
	reserve  step.Step[wish, hold]
	charge   step.Step[wish, int]
	deliver  step.Step[held, string]
	announce step.Step[string, string]
}

func (t *town) parts() parts {
	return parts{
		reserve:  step.New("reserve", t.reserve).Compensate(t.release).Refuses(errSoldOut),
		charge:   step.New("charge", t.charge).Compensate(t.refund).Refuses(errPoor).Retry(twice),
		deliver:  step.New("deliver", t.deliver).Compensate(t.takeBack),
		announce: step.New("announce", t.announce).Pivot(),
	}
}

func (p parts) flow() flow.Flow[wish, string] {
	return flow.New[wish]("buy").
		Also(p.reserve, func(w wish, h hold) held { return held{w, h} }).
		Use(p.charge, func(h held) wish { return h.Wish }, func(h held, _ int) held { return h }).
		Then(p.deliver).
		Then(p.announce)
}

func (t *town) Buy() flow.Flow[wish, string] { return t.parts().flow() }
