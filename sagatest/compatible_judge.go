package sagatest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// incompatibility is a reason why some saga of the recorded definition cannot go on with the present one.
type incompatibility struct{ path, what, do string }

// judgement compares two definitions.
//
// A worker loads a saga by replaying its journal: each fact must be possible where it stands. So what was recorded after a part must still
// come after it, and nothing that is new may have to come before it.
type judgement struct {
	old, now record
	found    []incompatibility
	types    map[string]bool // pairs that were compared
}

// spot is what is true of a place in the recorded definition.
type spot struct {
	tail   bool // nothing is recorded after it but the way back
	before bool // something compensated comes before it: its undo can be recorded
	race   bool // it is in a race that something comes after: that waits for undos
}

// judge gives why sagas of old cannot go on with now; nothing if they can.
func judge(old, now record) []incompatibility {
	j := &judgement{old: old, now: now, types: map[string]bool{}}
	switch {
	case old.Flow != now.Flow:
		j.add("the flow", fmt.Sprintf("it was %q and is %q", old.Flow, now.Flow), "Sagas are found by the flow's name: keep it")
		return j.found
	case old.FlowVersion != now.FlowVersion:
		j.add("the flow", fmt.Sprintf("it was version %d and is version %d", old.FlowVersion, now.FlowVersion),
			"Sagas keep their version: test the definition that has it against this file, serve both, and record this one in a file of its own")
		return j.found
	}
	if now.UndoInOrder && !old.UndoInOrder {
		j.add("the flow", "UndoInOrder is new", "Sagas that go back may have undone in another order")
	}
	if now.StopAtFailed && !old.StopAtFailed {
		j.add("the flow", "StopUndoOnFailure is new", "Dead letters may have undone more than it allows")
	}
	j.typed("the input", old.In, now.In)
	j.sequence(old.Parts, now.Parts, spot{tail: true})
	return j.found
}

func (j *judgement) add(path, what, do string) {
	j.found = append(j.found, incompatibility{path, what, do})
}

// sequence compares parts that come one after the other.
func (j *judgement) sequence(old, now []part, at spot) {
	last, placed := -1, map[string]int{}
	for i, p := range now {
		placed[p.Path] = i
	}
	fresh := slices.DeleteFunc(slices.Clone(now), func(p part) bool { return indexOf(old, p.Path) >= 0 })
	for k, p := range old {
		i, ok := placed[p.Path]
		if !ok {
			fresh = j.gone(p, fresh)
			continue
		}
		if i < last {
			j.add(p.Path, "it comes earlier than before", "What is recorded after it would come before it: keep the order")
		}
		last = max(last, i)
		here := at
		here.tail = at.tail && k == len(old)-1
		j.part(p, now[i], here)
		at.before = at.before || compensated([]part{p})
	}
	for _, p := range fresh {
		if i := placed[p.Path]; i < last || !at.tail {
			j.add(p.Path, "it is new, and not at the end", "Sagas that have passed its place did not run it: add it at the end of the saga")
		}
	}
}

func indexOf(parts []part, path string) int {
	return slices.IndexFunc(parts, func(p part) bool { return p.Path == path })
}

// gone reports a part that is not in its sequence any more, and gives the new parts without the one that it may be now.
func (j *judgement) gone(p part, fresh []part) []part {
	if k := likely(p, fresh); k >= 0 {
		j.add(p.Path, fmt.Sprintf("it is gone; %q may be what it is called now", fresh[k].Path),
			fmt.Sprintf("A saga finds its %s by its path: %s", p.Kind, howToKeep(p, fresh[k])))
		return slices.Delete(fresh, k, k+1)
	}
	if where := findPart(j.now.Parts, p.Path); where != nil {
		j.add(p.Path, "it stands in another place", "What is recorded around it would not fit: keep it where it was")
		return fresh
	}
	j.add(p.Path, fmt.Sprintf("the %s is gone", p.Kind), "Sagas have recorded it: keep it until they have ended")
	return fresh
}

// howToKeep says how a part that was renamed gets its name back.
func howToKeep(was, is part) string {
	name := was.Path[strings.LastIndex(was.Path, "/")+1:]
	switch {
	case was.Kind == "wait" && was.Signal != is.Signal:
		return fmt.Sprintf("keep the name of the signal, flow.NewSignal[…](%q), by which the signals that have come are found as well", was.Signal)
	case was.Kind == "step", was.Kind == "child", was.Kind == "wait":
		return fmt.Sprintf("keep the name, say with .As(%q)", name)
	default:
		return fmt.Sprintf("keep the name, the first argument of what makes the %s: %q", was.Kind, name)
	}
}

// likely finds the new part that p was most likely renamed to: one of its kind, and of its name if it moved under another flow, or the one
// whose name is nearest.
func likely(p part, fresh []part) int {
	best, least := -1, 0
	for k, f := range fresh {
		if f.Kind != p.Kind {
			continue
		}
		if d := distance(p.Path, f.Path); best < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for k := range len(b) {
			change := before
			if a[i] != b[k] {
				change++
			}
			before = row[k+1]
			row[k+1] = min(change, row[k+1]+1, row[k]+1)
		}
	}
	return row[len(b)]
}

func findPart(parts []part, path string) *part {
	for i := range parts {
		if parts[i].Path == path {
			return &parts[i]
		}
		for _, side := range parts[i].Sides {
			if p := findPart(side, path); p != nil {
				return p
			}
		}
	}
	return nil
}

// compensated says that something in parts has an undo.
func compensated(parts []part) bool {
	return slices.ContainsFunc(parts, func(p part) bool {
		return p.Undo || p.Kind == "child" || slices.ContainsFunc(p.Sides, compensated)
	})
}

// part compares what a path names.
func (j *judgement) part(old, now part, at spot) {
	if old.Kind != now.Kind {
		j.add(old.Path, fmt.Sprintf("it was a %s and is a %s", old.Kind, now.Kind),
			"Give the new one another name, and keep the old one until its sagas have ended")
		return
	}
	if old.Kind != "child" || old.Child == now.Child {
		j.typed("the input of "+old.Path, old.In, now.In)
		j.typed("what is recorded at "+old.Path, old.Out, now.Out)
	}
	switch old.Kind {
	case "step":
		j.step(old, now, at)
	case "choice":
		j.choice(old, now, at)
	case "all":
		j.all(old, now, at)
	case "race":
		j.race(old, now, at)
	case "each":
		j.each(old, now, at)
	case "loop":
		at.tail = false
		at.before = at.before || compensated(old.Sides[0])
		j.sequence(old.Sides[0], now.Sides[0], at)
	case "wait":
		j.wait(old, now, at)
	case "child":
		j.child(old, now)
	}
}

func (j *judgement) step(old, now part, at spot) {
	switch {
	case old.Undo && !now.Undo:
		j.add(old.Path, "its compensation is gone", "Effects that sagas have had would stay: keep the compensation until they have ended")
	case !old.Undo && now.Undo && (at.before || at.race):
		j.add(old.Path, "its compensation is new", "Sagas that go back have passed it without an undo, and have undone what came before it or stands beside it")
	}
	if old.Pivot != now.Pivot {
		j.add(old.Path, "the pivot has moved", "Sagas may have passed the place after which they only go forward: keep it where it was")
	}
	if old.Pass && !now.Pass {
		j.add(old.Path, "it has an output now", "None was recorded where it ran before: give the step with an output another name")
	}
}

func (j *judgement) choice(old, now part, at spot) {
	if old.Optional && !now.Optional {
		j.add(old.Path, "it always takes an arm now", "Sagas have recorded that they took none: keep it optional")
	}
	for k, label := range old.Labels {
		i := slices.Index(now.Labels, label)
		if i < 0 {
			j.add(old.Path, fmt.Sprintf("the arm %q is gone; there are %s", label, quoted(now.Labels)),
				fmt.Sprintf("Sagas have recorded that they took it: keep the arm %q", label))
			continue
		}
		j.sequence(old.Sides[k], now.Sides[i], at)
	}
}

func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, fmt.Sprintf("%q", w))
	}
	return strings.Join(all, ", ")
}

// all compares parts side by side. They are found by their paths.
func (j *judgement) all(old, now part, at spot) {
	left := slices.Clone(now.Sides)
	for n, side := range old.Sides {
		if len(side) == 0 {
			continue
		}
		k := slices.IndexFunc(left, func(other []part) bool { return sharesPath(side, other) })
		if k < 0 { // all of it was renamed
			k = min(n, len(left)-1)
		}
		if k < 0 {
			j.add(old.Path, "one of its parts is gone", "Sagas have recorded it: keep it until they have ended")
			continue
		}
		beside := at
		beside.before = at.before || compensatedBeside(old.Sides, n)
		j.sequence(side, left[k], beside)
		left = slices.Delete(left, k, k+1)
	}
	if slices.ContainsFunc(left, func(side []part) bool { return len(side) > 0 }) && !at.tail {
		j.add(old.Path, "it has a part more", "Sagas that have passed it did not run that: add it at the end of the saga")
	}
}

// compensatedBeside says that a side other than the one numbered has an undo. When a step fails, its own undo runs before the other sides
// go back: so their undos tell that it had none.
func compensatedBeside(sides [][]part, except int) bool {
	for n, side := range sides {
		if n != except && compensated(side) {
			return true
		}
	}
	return false
}

func sharesPath(a, b []part) bool {
	return slices.ContainsFunc(a, func(p part) bool { return findPart(b, p.Path) != nil })
}

// race compares competitors. The winner is recorded by its number.
func (j *judgement) race(old, now part, at spot) {
	if len(old.Sides) != len(now.Sides) {
		j.add(old.Path, fmt.Sprintf("it had %d parts and has %d", len(old.Sides), len(now.Sides)),
			"Sagas have recorded who won, by its number: keep the parts as they were")
	}
	at.race = at.race || !at.tail
	at.tail = false
	for k, side := range old.Sides {
		if k < len(now.Sides) {
			j.sequence(side, now.Sides[k], at)
		}
	}
}

func (j *judgement) each(old, now part, at spot) {
	if now.Parallel > 0 && (old.Parallel == 0 || now.Parallel < old.Parallel) {
		j.add(old.Path, fmt.Sprintf("it has fewer items at once: %d", now.Parallel),
			"Sagas have begun more of them: leave the number, or make it larger")
	}
	if old.Parallel > 0 || now.Parallel > 0 || j.old.UndoInOrder {
		at.tail = false
	}
	at.before = at.before || compensated(old.Sides[0]) // in another item
	j.sequence(old.Sides[0], now.Sides[0], at)
}

func (j *judgement) wait(old, now part, at spot) {
	if old.Signal != now.Signal {
		j.add(old.Path, fmt.Sprintf("it waited for signal %q and waits for %q", old.Signal, now.Signal),
			"Signals that have come are found by that name: keep it")
	}
	if old.Within && !now.Within {
		j.add(old.Path, "it waits for ever now", "Sagas have recorded until when they wait: keep WaitFor")
		return
	}
	if len(old.Sides) > 0 && len(now.Sides) > 0 {
		j.sequence(old.Sides[0], now.Sides[0], at)
	}
}

// child compares the flows of children. One that is done is held until its parent has ended: so what is new at its end is not at the end.
func (j *judgement) child(old, now part) {
	if old.Child != now.Child || old.ChildV != now.ChildV {
		j.add(old.Path, fmt.Sprintf("its saga was one of %q, version %d, and is one of %q, version %d", old.Child, old.ChildV, now.Child, now.ChildV),
			"Children that have begun go on only where their own flow and version are served: keep it, or serve both")
		return
	}
	j.sequence(old.Sides[0], now.Sides[0], spot{})
}

// typed compares what codecs make of two types.
func (j *judgement) typed(where, old, now string) {
	pair := old + " → " + now
	if old == "" || now == "" || j.types[pair] {
		return
	}
	j.types[pair] = true
	a, b := j.old.Types[old], j.now.Types[now]
	if a == nil || b == nil {
		return
	}
	switch {
	case a.Kind != b.Kind:
		j.add(where, fmt.Sprintf("%s was written as %s and is read as %s", now, a.Kind, b.Kind), "Recorded values cannot be read: use a new field or step for it")
	case b.Bits < a.Bits:
		j.add(where, fmt.Sprintf("%s had %d bits and has %d", now, a.Bits, b.Bits), "A recorded number may not fit: keep the larger type")
	case a.Length != b.Length && b.Length > 0:
		j.add(where, fmt.Sprintf("%s had %d items and has %d", now, a.Length, b.Length), "Recorded values may not fit: use a slice, or a new field")
	default:
		j.typed(where, a.Key, b.Key)
		j.typed(where, a.Elem, b.Elem)
		j.fields(where, now, a, b)
	}
}

func (j *judgement) fields(where, name string, a, b *shape) {
	for _, field := range slices.Sorted(maps.Keys(a.Fields)) {
		now, ok := b.Fields[cmp.Or(b.names[field], field)]
		if !ok {
			j.add(where, fmt.Sprintf("%s has no field %q any more", name, field),
				fmt.Sprintf("What sagas have recorded there would be lost: keep the field, or name it as an alias of the new one: `msgpack:\"new,alias:%s\"`", field))
			continue
		}
		j.typed(where+", field "+field, a.Fields[field], now)
	}
}
