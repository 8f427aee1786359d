package sagatest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

// variant is a purchase with a mistake in it.
type variant struct {
	mistake string
	saga    func(t *town) flow.Flow[wish, string]
	world   func(w *sagatest.World[*town, wish])
	step    string   // that the report names
	says    string   // of the mistake
	cells   []string // that find it, among others
}

// changing makes a saga of the parts that change made of the good ones.
func changing(change func(t *town, p *parts)) func(t *town) flow.Flow[wish, string] {
	return func(t *town) flow.Flow[wish, string] {
		p := t.parts()
		change(t, &p)
		return p.flow()
	}
}

var variants = []variant{{
	mistake: "an undo that is not idempotent",
	saga: changing(func(t *town, p *parts) {
		p.charge = p.charge.Compensate(func(_ context.Context, e step.Effect[wish, int]) error {
			return t.pay(e.In.Who, "shop", e.In.Price, e.Known)
		})
	}),
	step: "charge", says: "the undo of charge is not idempotent",
	cells: []string{"charge/undo-runs-twice", "charge/undo-loses-reply", "charge/undo-worker-dies-before-commit"},
}, {
	mistake: "a step that is not idempotent",
	saga: changing(func(t *town, p *parts) {
		p.charge = step.New("charge", func(ctx context.Context, w wish) (int, error) {
			return t.once(ctx, keyOf(ctx)+time.Now().String()+strings.Repeat("+", len(t.replies)), func() (int, error) {
				t.Points[w.Who] -= w.Price
				t.Points["shop"] += w.Price
				return t.Points[w.Who], nil
			})
		}).Compensate(func(_ context.Context, e step.Effect[wish, int]) error { return t.payOnce(e.In, "refund") }).Refuses(errPoor).Retry(twice)
	}),
	step: "charge", says: "step charge is not idempotent",
	cells: []string{"charge/runs-twice", "charge/worker-dies-before-commit", "charge/lost-reply"},
}, {
	mistake: "an undo that assumes the effect",
	saga: changing(func(t *town, p *parts) {
		p.charge = p.charge.Compensate(func(_ context.Context, e step.Effect[wish, int]) error { return t.payOnce(e.In, "refund") })
	}),
	step: "charge", says: "the undo of charge assumes the effect, although Known is false",
	cells: []string{"charge/fails-before", "charge/panics"},
}, {
	mistake: "an undo that fails if nothing happened",
	saga: changing(func(t *town, p *parts) {
		p.deliver = p.deliver.Compensate(func(ctx context.Context, e step.Effect[held, string]) error {
			if t.Stables[e.In.Wish.Who] == 0 && len(t.undone) == 0 {
				return step.GiveUp(errors.New("shop: there is no such pet in the stable"))
			}
			return t.takeBack(ctx, e)
		})
	}),
	step: "deliver", says: "the undo of deliver fails when nothing happened: it assumes the effect",
	cells: []string{"deliver/fails-before"},
}, {
	mistake: "a forgotten compensation",
	saga: changing(func(t *town, p *parts) {
		p.charge = step.New("charge", t.charge).Refuses(errPoor)
	}),
	step: "charge", says: "a forgotten compensation",
	cells: []string{"charge/lost-reply", "deliver/refused"},
}, {
	mistake: "a step that says ReadOnly and has an effect",
	saga: changing(func(t *town, p *parts) {
		p.charge = step.New("charge", t.charge).Refuses(errPoor).ReadOnly()
	}),
	step: "charge", says: "step charge says that it is ReadOnly, and has an effect",
	cells: []string{"charge/lost-reply", "deliver/refused", "announce/refused"},
}, {
	mistake: "a key that step and undo share",
	saga: changing(func(t *town, p *parts) {
		p.reserve = p.reserve.Compensate(func(ctx context.Context, e step.Effect[wish, hold]) error {
			_, err := t.once(ctx, strings.TrimSuffix(keyOf(ctx), "/undo")+"/do", func() (hold, error) {
				t.Stock[e.In.Pet]++
				return hold{}, nil
			})
			return err
		})
	}),
	step: "reserve", says: "it uses the idempotency key of the step",
	cells: []string{"charge/refused", "deliver/lost-reply"},
}, {
	mistake: "an effect after the pivot that can be refused",
	saga: func(t *town) flow.Flow[wish, string] {
		p := t.parts()
		return flow.New[wish]("buy").
			Also(p.reserve, func(w wish, h hold) held { return held{w, h} }).
			Also(p.announceOf(), func(h held, _ string) held { return h }).
			Also(step.New("pay", func(ctx context.Context, h held) (int, error) { return t.charge(ctx, h.Wish) }).Refuses(errPoor), func(h held, _ int) held { return h }).
			Map(func(h held) string { return h.Hold.Number })
	},
	world: func(w *sagatest.World[*town, wish]) { w.Invariants = w.Invariants[:1] }, // nothing is delivered
	step:  "pay", says: "pay was refused after the pivot",
	cells: []string{"pay/refused"},
}, {
	mistake: "a refusal after an effect",
	saga: changing(func(t *town, p *parts) {
		p.charge = step.New("charge", func(ctx context.Context, w wish) (int, error) {
			left, err := t.charge(ctx, w)
			if err == nil && t.noReceipts {
				err = step.Refused(errors.New("shop: no paper for the receipt"))
			}
			return left, err
		}).Compensate(t.refund)
	}),
	world: func(w *sagatest.World[*town, wish]) {
		w.Break = func(t *town, path string) func() { t.noReceipts = true; return func() { t.noReceipts = false } }
		w.Skip = map[string]string{"reserve/participant-fails": "its participant has no receipts", "deliver/participant-fails": "as well", "announce/participant-fails": "as well"}
	},
	step: "charge", says: "step charge refused after it had changed something: Points[ada]: 60, was 100",
	cells: []string{"charge/participant-fails"},
}, {
	mistake: "the end of the context told as a refusal",
	saga: changing(func(t *town, p *parts) {
		p.charge = step.New("charge", func(ctx context.Context, w wish) (int, error) {
			left, err := t.charge(ctx, w)
			if ctx.Err() != nil {
				err = step.Refused(ctx.Err())
			}
			return left, err
		}).Compensate(t.refund)
	}),
	step: "charge", says: "step charge marks the end of its context as a refusal",
	cells: []string{"charge/times-out"},
}, {
	mistake: "an undo that uses Out although Known is false",
	saga: changing(func(t *town, p *parts) {
		p.reserve = p.reserve.Compensate(func(ctx context.Context, e step.Effect[wish, hold]) error {
			return t.back(ctx, func() {
				if pet, ok := strings.CutPrefix(e.Out.Number, "hold of a "); ok {
					t.Stock[pet]++
				}
			})
		})
	}),
	step: "reserve", says: "its undo does nothing, or needs Out, when Known is false",
	cells: []string{"reserve/lost-reply"},
}, {
	mistake: "a swallowed error",
	saga: changing(func(t *town, p *parts) {
		p.deliver = step.New("deliver", func(ctx context.Context, h held) (string, error) {
			_, _ = t.deliver(ctx, h)
			return h.Hold.Number, nil
		}).Compensate(t.takeBack)
	}),
	step: "deliver", says: "it swallows an error",
	cells: []string{"deliver/participant-fails"},
}, {
	mistake: "an undo that restores what it remembers of the world",
	saga: changing(func(t *town, p *parts) {
		before := 0
		p.reserve = step.New("reserve", func(ctx context.Context, w wish) (hold, error) {
			before = t.Stock[w.Pet]
			return t.reserve(ctx, w)
		}).Compensate(func(ctx context.Context, e step.Effect[wish, hold]) error {
			return t.back(ctx, func() { t.Stock[e.In.Pet] = before })
		}).Refuses(errSoldOut)
	}),
	step: "reserve", says: "the undo of reserve restores what",
	cells: []string{"reserve/others-act", "reserve/runs-twice-then-undone"},
}, {
	mistake: "a step that ignores its context",
	saga: changing(func(t *town, p *parts) {
		p.deliver = step.New("deliver", func(ctx context.Context, h held) (string, error) {
			time.Sleep(2 * time.Minute) // the carrier takes its time
			return t.deliver(ctx, h)
		}).Compensate(t.takeBack).Timeout(5 * time.Minute)
	}),
	step: "deliver", says: "it ignores its context",
	cells: []string{"deliver/times-out"},
}, {
	mistake: "a refusal that is not registered",
	saga: changing(func(t *town, p *parts) {
		p.deliver = p.deliver.Refuses(errFull)
	}),
	step: "deliver", says: `the refusal "shop: the stable is full" of step deliver is not registered in Options.Errors`,
	cells: []string{"deliver/refused"},
}, {
	mistake: "a repeat that is refused",
	saga: changing(func(t *town, p *parts) {
		p.reserve = step.New("reserve", func(ctx context.Context, w wish) (hold, error) {
			if _, found := t.replies[keyOf(ctx)]; found {
				return hold{}, errSoldOut
			}
			return t.reserve(ctx, w)
		}).Compensate(t.release).Refuses(errSoldOut)
	}),
	step: "reserve", says: "step reserve is not idempotent: when it runs again it answers shop: sold out",
	cells: []string{"reserve/worker-dies-before-commit"},
}}

var errFull = errors.New("shop: the stable is full")

// pay moves points each time that it is asked to.
func (t *town) pay(who, from string, points int, really bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if really {
		t.Points[who] += points
		t.Points[from] -= points
	}
	return nil
}

// payOnce pays back once, whether anything was paid or not.
func (t *town) payOnce(w wish, key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.undone[key] {
		t.undone[key] = true
		t.Points[w.Who] += w.Price
		t.Points["shop"] -= w.Price
	}
	return nil
}

func (p parts) announceOf() flow.Flow[held, string] {
	return flow.New[held]("tell").Map(func(h held) string { return h.Hold.Number }).Then(p.announce)
}

func TestTheMatrixFindsAndNamesMistakes(t *testing.T) {
	for _, v := range variants {
		t.Run(v.mistake, func(t *testing.T) {
			world := buying()
			if v.world != nil {
				v.world(&world)
			}
			report := sagatest.Examine(t, v.saga, world)
			require.NotEmpty(t, report.Failures, "%v", report)
			found := map[string]sagatest.Cell{}
			for _, c := range report.Failures {
				found[c.Name] = c
				assert.Equal(t, v.step, c.Mistake.Step, "%s: %s\n%s", c.Name, c.Mistake.Text, c.Broken)
			}
			for _, name := range v.cells {
				assert.Contains(t, found, name)
				assert.Contains(t, found[name].Mistake.Text, v.says, name)
			}
			assert.True(t, strings.Contains(report.String(), v.says))
			assert.LessOrEqual(t, len(report.Mistakes()), 3, "one mistake is told as one, with its consequences")
		})
	}
}
