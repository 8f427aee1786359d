package saga

import (
	"slices"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// judge ends a race that somebody has won, or that nobody can win any more.
func (m *Machine) judge(race *inst, now time.Time) Fact {
	if race.pick == plan.None {
		m.doubt(race.boundary(), now)
		return Fact{Kind: Lost}
	}
	m.doubt(race, now)
	return Fact{Kind: Won, Index: int(race.pick)}
}

func (m *Machine) applyWon(race *inst, f *Fact) {
	race.decided, race.pick = true, int32(f.Index)
	for k, kid := range race.kids {
		if k != f.Index {
			m.cancel(kid)
		}
	}
	m.undoLosers(race)
}

// undoLosers undoes the parts that did not win.
func (m *Machine) undoLosers(race *inst) {
	for k := len(race.kids) - 1; k >= 0; k-- {
		kid := race.kids[k]
		if k == int(race.pick) || kid.back == undone {
			continue
		}
		if m.undo(kid); m.settings().UndoInOrder {
			break
		}
	}
	m.raceBack(race)
}

func (m *Machine) kidOfRaceBack(race *inst) {
	if race.decided && m.settings().UndoInOrder {
		m.undoLosers(race)
		return
	}
	m.raceBack(race)
}

// raceBack looks whether a race goes on: it is won when all losers are back, and lost when all parts are.
func (m *Machine) raceBack(race *inst) {
	switch {
	case race.cancelled || race.phase != open || !race.allBack() || m.owedIn(race):
	case race.decided:
		m.done(race)
	default:
		m.decideLater(race) // nobody is left to win
	}
}

// allBack says that all parts of a race but its winner are back.
func (race *inst) allBack() bool {
	for k, kid := range race.kids {
		if kid.back != undone && !(race.decided && k == int(race.pick)) {
			return false
		}
	}
	return len(race.kids) == len(race.op.kids)
}

// applyLost makes the failures of the parts those of the race.
func (m *Machine) applyLost(race *inst) {
	race.decided, race.back = true, undone
	t := race.boundary().ill()
	mark := len(t.fails)
	for _, kid := range race.kids {
		t.fails = append(t.fails, kid.fails()...)
	}
	slices.SortFunc(t.fails[mark:], func(a, b *inst) int { return a.trouble.order - b.trouble.order })
	m.fail(race)
}
