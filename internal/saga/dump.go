package saga

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Dump writes down everything of m that a process which loads it has to know: tests compare it.
func (m *Machine) Dump(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rev=%d pivot=%s pivoted=%v late=%v settled=%v broken=%v\n", m.rev, pathOf(m.pivot), m.pivoted, m.late, m.settled != nil, m.broken)
	for _, s := range m.signals {
		fmt.Fprintf(&b, "signal %s %s %s taken=%v\n", s.id, s.name, s.data, s.taken)
	}
	fmt.Fprintf(&b, "waits=%v undos=%v\n", paths(m.waits), m.undos)
	halted := paths(m.halted)
	fmt.Fprintf(&b, "halted=%v\n", halted)
	m.root.walk(func(i *inst) { m.dump(&b, i, now) })
	return b.String()
}

func (m *Machine) dump(b *strings.Builder, i *inst, now time.Time) {
	fmt.Fprintf(b, "%v %s[%d]: phase=%d back=%d cancelled=%v own=%v proceeded=%v ended=%v halted=%v owed=%v kept=%v decided=%v attempts=%d pick=%d kids=%d out=%s",
		i.op.Kind, i.Path(), i.index, i.phase, i.back, i.cancelled, i.own, i.proceeded, i.ended, i.halted, i.owed, i.kept, i.decided, i.attempts, i.pick, len(i.kids), i.outData)
	if i.saved {
		fmt.Fprintf(b, " in=%s", i.inData)
	}
	if i.phase == open {
		fmt.Fprintf(b, " suspect=%v", i.suspect)
	}
	if m.wants(i) || m.isDue(i, now) || i.running && (i.phase == open) == (i.back == ahead && !i.cancelled) {
		fmt.Fprint(b, " wanted")
	}
	if t := i.trouble; t != nil {
		t.dump(b)
	}
	if err := m.errorOf(i); err != nil {
		fmt.Fprintf(b, " err=%v", err)
	}
	if err := m.undoErrorOf(i); err != nil {
		fmt.Fprintf(b, " undo err=%v", err)
	}
	fmt.Fprintln(b)
}

func (t *trouble) dump(b *strings.Builder) {
	if t.notYet {
		fmt.Fprintf(b, " since=%v", t.since.UnixNano())
	}
	if t.undos > 0 {
		fmt.Fprintf(b, " undos=%d", t.undos)
	}
	if len(t.fails) > 0 {
		fmt.Fprintf(b, " fails=%v", paths(t.fails))
	}
	if len(t.kept) > 0 {
		fmt.Fprintf(b, " kept=%v", t.kept)
	}
}

func paths(is []*inst) (names []string) {
	for _, i := range is {
		names = append(names, pathOf(i))
	}
	return names
}

func pathOf(i *inst) string {
	if i == nil {
		return "-"
	}
	return i.Path()
}

// Awaited gives the names of the signals that m waits for.
func (m *Machine) Awaited() (names []string) {
	for _, i := range m.waits {
		if i.phase == open && !i.cancelled {
			names = append(names, i.op.Signal)
		}
	}
	return names
}

func (m *Machine) isDue(i *inst, now time.Time) bool {
	for _, t := range m.timers {
		if t.inst == i && t.live() && !t.at.After(now) {
			return true
		}
	}
	return false
}

// Alarms gives the live timers of m.
func (m *Machine) Alarms(now time.Time) (all []string) {
	for _, t := range m.timers {
		if t.live() && t.at.After(now) && (t.inst != nil || !m.Compensating() && !m.late && m.root.phase != done) {
			all = append(all, fmt.Sprintf("%v %s", t.at.UnixNano(), pathOf(t.inst)))
		}
	}
	sort.Strings(all)
	return all
}
