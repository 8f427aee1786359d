package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/internal/chaos/sagas"
)

func testDeck(seed uint64, happened *[]string) *deck {
	var faults []fault
	for _, kind := range []string{"a", "b", "c", "d"} {
		faults = append(faults, fault{kind, func(_ context.Context, dice *rand.Rand) error {
			*happened = append(*happened, kind+time.Duration(dice.Int64N(1000)).String())
			return nil
		}})
	}
	return newDeck(seed, faults, slog.New(slog.DiscardHandler))
}

func TestASeedRepeatsTheFaultsAndTheirDice(t *testing.T) {
	draw := func(seed uint64) (happened []string) {
		d := testDeck(seed, &happened)
		for range 20 {
			f, dice := d.deal()
			assert.NoError(t, f.do(t.Context(), dice))
			d.count(f.kind)
		}
		assert.Equal(t, 5, d.least(), "each kind comes equally often")
		return happened
	}
	assert.Equal(t, draw(7), draw(7))
	assert.NotEqual(t, draw(7), draw(8))
}

func TestContradictions(t *testing.T) {
	job := sagas.Job{ID: "s", Transfer: &sagas.Transfer{}}
	both := map[string]bool{"s/withdraw": true, "s/deposit": true}
	undone := sagas.Outcome{End: "undone", Text: "…", Cause: "the last step is broken", Typed: true}
	for name, c := range map[string]struct {
		outcome      sagas.Outcome
		done, undone map[string]bool
		causes       map[string]bool
		wrong        int
	}{
		"done":                              {sagas.Outcome{End: "done"}, both, nil, nil, 0},
		"done, and an effect is missing":    {sagas.Outcome{End: "done"}, map[string]bool{"s/withdraw": true}, nil, nil, 1},
		"done, and an effect was undone":    {sagas.Outcome{End: "done"}, both, map[string]bool{"s/deposit": true}, nil, 1},
		"undone":                            {undone, both, both, nil, 0},
		"undone, and an effect is left":     {undone, both, map[string]bool{"s/deposit": true}, nil, 1},
		"undone for a reason nobody gave":   {sagas.Outcome{End: "undone", Cause: "a time-out"}, nil, nil, nil, 1},
		"undone, and the cause has changed": {undone, nil, nil, map[string]bool{"another": true}, 1},
		"a dead letter":                     {sagas.Outcome{End: "dead letter"}, nil, nil, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{job: job, outcome: &c.outcome, causes: c.causes}
			assert.Len(t, contradictions(s, c.done, c.undone), c.wrong)
		})
	}
}
