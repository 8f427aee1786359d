package saga_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
)

// TestDamagedJournals changes journals that machines wrote, in ways that keep them readable: entries are lost, doubled or moved, and
// tell of other things. A machine refuses such a journal or goes on with it; it never panics.
func TestDamagedJournals(t *testing.T) {
	prog, paths := saga.Compile(world.Erased(zoo())), zooPaths()
	refused, accepted := 0, 0
	var journals [][]broker.Entry
	for seed := range uint64(100) {
		journals = append(journals, zooJournal(t, seed))
	}
	for seed := range uint64(5000) {
		d := world.Seeded(seed, 0)
		journal := journals[seed%100]
		for range 1 + d.N(3) {
			journal = damage(d, journal, paths)
		}
		w := world.New(world.Loaded{}, t.Fatalf)
		rec := record(&w.Env)
		rec.Journal, rec.Takeovers = journal, d.N(2)
		m, err := saga.Load(&w.Env, prog, &rec, world.Epoch)
		var foreign *saga.ForeignError
		var broken *saga.BrokenError
		switch {
		case err == nil:
			accepted++
			data := make([]byte, 60)
			for k := range data {
				data[k] = byte(d.N(256))
			}
			goOn(t, m, data)
		case errors.As(err, &foreign), errors.As(err, &broken):
			refused++
		default:
			t.Fatalf("seed %d: %T: %v", seed, err, err)
		}
	}
	t.Logf("%d refused, %d accepted", refused, accepted)
	require.NotZero(t, refused)
	require.NotZero(t, accepted)
}

func damage(d world.Dice, journal []broker.Entry, paths []string) []broker.Entry {
	if len(journal) == 0 {
		return journal
	}
	journal = slices.Clone(journal)
	k, j := d.N(len(journal)), d.N(len(journal))
	switch d.N(5) {
	case 0:
		return slices.Delete(journal, k, k+1)
	case 1:
		return slices.Insert(journal, j, journal[k])
	case 2:
		journal[k], journal[j] = journal[j], journal[k]
	case 3:
		return journal[:k]
	default:
		journal[k] = lie(d, journal[k], paths)
	}
	return journal
}

// lie lets an entry tell something else.
func lie(d world.Dice, e broker.Entry, paths []string) broker.Entry {
	f, err := saga.DecodeFact(e, world.Epoch)
	if err != nil {
		return e
	}
	switch d.N(9) {
	case 0:
		f.Kind = saga.FactKind(1 + d.N(int(saga.Passed)))
	case 1:
		e.Path = world.Pick(d, paths...)
	case 2:
		f.Flag = !f.Flag
	case 3:
		f.Index = world.Pick(d, -1, 0, 1, 2, 1<<40)
	case 4:
		f.Attempts = world.Pick(d, 0, 1, 1<<40)
	case 5:
		f.Out = world.Pick(d, nil, []byte{}, []byte("1"), []byte("[1,2]"), []byte("?"))
	case 6:
		f.In = world.Pick(d, nil, []byte("1"), []byte("?"))
	case 7:
		f.Due = world.Pick(d, time.Time{}, world.Epoch.Add(-time.Hour), world.Epoch.Add(100*time.Hour))
	case 8:
		f.Text, f.ID = world.Pick(d, "", "yes", "paid", "x"), world.Pick(d, "", "signal-1", "x")
	}
	e.Data = f.Encode(world.Epoch)
	return e
}
