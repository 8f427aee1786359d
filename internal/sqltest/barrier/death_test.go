package barrier_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/barrier"
	"github.com/skald-go/skald/internal/sqltest"
	"github.com/skald-go/skald/step"
)

// A process dies at its n-th statement or commit, for every n, before it is executed and after, so that the answer is lost. Another one makes the attempt
// again: there is one effect, or one refusal, and both attempts would have been told the same.
func TestAProcessMayDieAnywhere(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, k sqltest.Kind) {
		source := k.Source(t)
		live := openAt(t, k, source)
		do := func(b bank, path string) error { _, err := b.do(path); return err }
		for name, test := range map[string]struct {
			before, call func(b bank, path string) error
			refused      bool
			balance      int64
		}{
			"action":                 {call: do, balance: 70},
			"refusal":                {call: bank.refuse, refused: true, balance: 100},
			"undo":                   {before: do, call: bank.undo, balance: 100},
			"undo without an action": {call: bank.undo, balance: 100},
			"action after its undo":  {before: bank.undo, call: do, refused: true, balance: 100},
		} {
			deaths := 0
			for _, after := range []bool{false, true} {
				for at := 0; ; at++ {
					live.set(100)
					process := sqltest.NewProcess(at, after)
					path := fmt.Sprintf("%s-%d-%v", name, at, after)
					if test.before != nil {
						require.NoError(t, test.before(live, path))
					}
					died := test.call(bank{k.ConnectAs(t, source, process), t}, path)
					if !process.Dead() {
						break
					}
					deaths++
					require.Error(t, died, path)
					err := test.call(live, path)
					require.Equal(t, test.refused, barrier.Settled(err), "%s: %v", path, err)
					if !test.refused {
						require.NoError(t, err, path)
					}
					require.Equal(t, test.balance, live.balance(), path)
				}
			}
			t.Logf("%s: %d deaths", name, deaths)
			assert.GreaterOrEqual(t, deaths, 6, name)
		}
	})
}

// refuse takes 30 and refuses then.
func (b bank) refuse(path string) error {
	return guard.ExecTx(doing(b.t, path), b, func(tx *sql.Tx) error {
		if _, err := take(b.t.Context(), tx, 30); err != nil {
			return err
		}
		return step.Refused(errPoor)
	})
}
