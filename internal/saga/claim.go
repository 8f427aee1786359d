package saga

import (
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// A saga that does not hold its claims yet is barred: it takes mail, and its deadline can pass, but nothing of it begins.

// bar makes the root without beginning it.
func (m *Machine) bar() {
	i := m.alloc()
	i.op, i.index, i.pick = m.prog.root, -1, plan.None
	m.root, m.barred = i, true
}

func (m *Machine) unbar() {
	m.barred = false
	m.begun(m.root)
}

// granted lets the saga begin, unless it goes back or was settled while it waited.
func (m *Machine) granted(ev broker.Event, now time.Time) {
	if m.barred && m.root.back == ahead && m.settled == nil {
		m.record(nil, &Fact{Kind: Granted, ID: ev.ID}, now)
	}
}

// checkLocks says why the child at i cannot begin: what it locks is the root's, from the root's start on.
func (m *Machine) checkLocks(i *inst) error {
	locks, err := i.op.Child.Root.Settings.Locks(m.valueIn(i))
	if err != nil {
		return err
	}
	for _, claim := range locks {
		if !slices.Contains(m.header.Claims, claim) {
			_, key := plan.CutClaim(claim)
			return fmt.Errorf("%w: %q, which child %q locks: lock it where the root is defined", ErrNotLocked, key, i.Path())
		}
	}
	return nil
}
