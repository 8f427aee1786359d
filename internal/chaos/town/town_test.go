package town_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/chaos/town"
)

func found(t *testing.T, odds town.Odds) *town.Town {
	t.Helper()
	v, err := town.Found(filepath.Join(t.TempDir(), "town.db"), odds)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.Close()) })
	require.NoError(t, v.Settle(3, 3, 100, 100))
	return v
}

func call(step string, undo bool, op town.Op) town.Call {
	key := "ns/saga/" + step + "/do"
	if undo {
		key = "ns/saga/" + step + "/undo"
	}
	return town.Call{Key: key, Saga: "saga", Path: step, Undo: undo, Op: op}
}

func requireVerdict(t *testing.T, want town.Verdict, v *town.Town, c town.Call) {
	t.Helper()
	got, err := v.Ask(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func audit(t *testing.T, v *town.Town) []string {
	t.Helper()
	wrong, err := v.Audit(t.Context(), 3, 3, 100, 100)
	require.NoError(t, err)
	return wrong
}

var pay = town.Op{Ledger: "money", From: town.Citizen(0), To: town.Till, Amount: 60}

func TestAStepIsDoneOnceAndUndoneOnce(t *testing.T) {
	v := found(t, town.Odds{})
	for range 3 {
		requireVerdict(t, town.Done, v, call("pay", false, pay))
	}
	assert.Equal(t, []string{"money in the till: 60, not 0"}, audit(t, v))
	for range 2 {
		requireVerdict(t, town.Done, v, call("pay", true, town.Op{}))
	}
	assert.Empty(t, audit(t, v))
	repeats, late, err := v.Repeats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, repeats)
	assert.Zero(t, late)
}

func TestARefusalHasNoEffectAndStays(t *testing.T) {
	v := found(t, town.Odds{})
	requireVerdict(t, town.Done, v, call("first", false, pay))
	requireVerdict(t, town.Poor, v, call("second", false, pay))
	requireVerdict(t, town.Done, v, call("first", true, town.Op{}))
	requireVerdict(t, town.Poor, v, call("second", false, pay))
	assert.Empty(t, audit(t, v))
}

func TestWhatWasUndoneIsNotDoneLater(t *testing.T) {
	v := found(t, town.Odds{})
	requireVerdict(t, town.Done, v, call("pay", true, town.Op{}))
	requireVerdict(t, town.Late, v, call("pay", false, pay))
	assert.Empty(t, audit(t, v))
}

func TestAPetIsSoldToOneBuyerAtATime(t *testing.T) {
	v := found(t, town.Odds{})
	move := func(to int) town.Op { return town.Op{Pet: town.Pet(0), From: town.Citizen(0), To: town.Citizen(to)} }
	requireVerdict(t, town.Done, v, call("move", false, move(1)))
	other := call("move", false, move(2))
	other.Key, other.Saga = "ns/other/move/do", "other"
	requireVerdict(t, town.Taken, v, other)
	assert.Equal(t, []string{"pets about to be bought: 1, not 0"}, audit(t, v))
	requireVerdict(t, town.Done, v, call("free", false, town.Op{Pet: town.Pet(0), From: town.Citizen(1)}))
	assert.Empty(t, audit(t, v))
	requireVerdict(t, town.Done, v, call("free", true, town.Op{}))
	requireVerdict(t, town.Done, v, call("move", true, town.Op{}))
	owner, err := v.Owner(t.Context(), town.Pet(0))
	require.NoError(t, err)
	assert.Equal(t, town.Citizen(0), owner)
	assert.Empty(t, audit(t, v))
}

func TestATownThatIsOutOfOrderBeforeOrAfter(t *testing.T) {
	before := found(t, town.Odds{Before: 1000})
	_, err := before.Ask(t.Context(), call("pay", false, pay))
	require.ErrorIs(t, err, town.ErrDown)
	assert.Empty(t, audit(t, before))
	after := found(t, town.Odds{After: 1000, Slow: 1000, Slowness: time.Millisecond})
	_, err = after.Ask(t.Context(), call("pay", false, pay))
	require.ErrorIs(t, err, town.ErrDown)
	assert.Len(t, audit(t, after), 1)
}
