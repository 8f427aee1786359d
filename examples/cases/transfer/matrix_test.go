package transfer

import (
	"maps"
	"testing"

	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
	"github.com/skald-go/skald/step"
)

// ledger is two banks, where ada has 100 and ben 50.
func ledger() *Banks {
	return &Banks{Partners: partner.New(), Accounts: map[string]int{"ada": 100, "ben": 50}, Closed: map[string]bool{}, Retry: step.Retry{Attempts: 3}}
}

func (b *Banks) total() (sum int) {
	for _, balance := range b.Accounts {
		sum += balance
	}
	return sum
}

func matrixOfTransfers() sagatest.World[*Banks, Transfer] {
	return sagatest.World[*Banks, Transfer]{
		New:        ledger,
		Input:      func(*Banks) Transfer { return Transfer{From: "ada", To: "ben", Amount: 30} },
		Snapshot:   func(b *Banks) any { return maps.Clone(b.Accounts) },
		Invariants: []sagatest.Invariant[*Banks]{sagatest.Conserved("money", (*Banks).total)},
		Break: func(b *Banks, path string) func() {
			b.SetDown(path, true)
			return func() { b.SetDown(path, false) }
		},
		Options: flow.Options{Errors: Errors},
	}
}

func TestMatrixOneByOne(t *testing.T) {
	world := matrixOfTransfers()
	world.Meanwhile = func(b *Banks) { b.Accounts["ada"] += 5 }
	world.Pairs = sagatest.AllPairs()
	sagatest.Matrix(t, (*Banks).OneByOne, world)
}

func TestMatrixSideBySide(t *testing.T) { sagatest.Matrix(t, (*Banks).SideBySide, matrixOfTransfers()) }
