package brokertest

import (
	"testing"

	"pgregory.net/rapid"
)

// realChecks is how often a property is checked where time is real: each check takes some of it.
const realChecks = 30

// property checks what operate looks at: as often as -rapid.checks says in virtual time, in bubbles, and at most realChecks times in real time.
func property(t *testing.T, virtual bool, operate func(rt *rapid.T)) {
	if virtual {
		rapid.Check(t, func(rt *rapid.T) { rapid.SyncTest(rt, operate) })
		return
	}
	checks, failed := 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > realChecks && !failed {
			return
		}
		well := false
		defer func() { failed = failed || !well }() // from then on rapid looks for a smaller failure
		operate(rt)
		well = true
	})
}
