package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
)

func keyed(key string, locks ...string) *plan.Def {
	return &plan.Def{Name: "order", Root: &plan.Node{Settings: &plan.Settings{
		KeyedBy: func(any) string { return key },
		Lock:    func(any) []string { return locks },
	}}}
}

func TestClaimsAreSortedAndTheKeyComesFirst(t *testing.T) {
	claims, err := keyed("zoe", "b", "a/1", "b").Claims(nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"key/order/zoe", "lock/a/1", "lock/b"}, claims)
	assert.True(t, slices.IsSorted(claims))
	for claim, want := range map[string][2]string{"key/order/zoe/1": {"order", "zoe/1"}, "lock/a/1": {"", "a/1"}} {
		flow, key := plan.CutClaim(claim)
		assert.Equal(t, want, [2]string{flow, key})
	}
}

func TestAFlowWithoutKeysClaimsNothing(t *testing.T) {
	for _, settings := range []*plan.Settings{nil, {}} {
		claims, err := (&plan.Def{Root: &plan.Node{Settings: settings}}).Claims(nil)
		require.NoError(t, err)
		assert.Empty(t, claims)
	}
}

func TestWhatIsNoKeyIsNamed(t *testing.T) {
	many := make([]string, plan.MaxClaims+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for want, def := range map[string]*plan.Def{
		`KeyedBy gave "": a key is not empty`:                          keyed(""),
		`Lock gave "a\n": it contains U+000A, which cannot be printed`: keyed("k", "a\n"),
		`Lock gave "\xff": it is not valid UTF-8`:                      keyed("k", "\xff"),
		"it has 256 bytes, more than 255":                              keyed("k", strings.Repeat("x", 256)),
		"a saga may have 64 keys, and this one has 66":                 keyed("k", many...),
		"the function of Lock panicked: no input": {Name: "order", Root: &plan.Node{Settings: &plan.Settings{
			Lock: func(any) []string { panic("no input") },
		}}},
	} {
		_, err := def.Claims(nil)
		assert.ErrorContains(t, err, want)
	}
}
