package engines

import (
	"cmp"
	"flag"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/simulate/world"
)

var (
	lasting = flag.Duration("for", 0, "make runs for so long, instead of a few")
	from    = flag.Uint64("from", 0, "the first seed, instead of a random one")
	single  = flag.Uint64("seed", 0, "make only the run of this seed")
)

func TestEngines(t *testing.T) {
	seed, runs := cmp.Or(*single, *from, rand.Uint64N(1<<40)), 4
	if *single != 0 {
		runs = 1
	}
	var all world.Tally
	begin := time.Now()
	for k := 0; k < runs || time.Since(begin) < *lasting; k++ {
		c := Config{Seed: seed + uint64(k)}
		var tally *world.Tally
		var err error
		synctest.Test(t, func(*testing.T) { tally, err = Run(c) })
		require.NoError(t, err, "run %d, again: go test ./internal/simulate/engines -seed %d", k+1, c.Seed)
		all.Add(tally)
	}
	all.Report(t.Output(), time.Since(begin))
}
