package flow

import "github.com/skald-go/skald/internal/plan"

// checkDef panics if the definition as a whole breaks a rule.
func (p place) checkDef(def *plan.Def) {
	p.checkPaths(def)
	way{p}.through(def.Root, "", "")
}

func (p place) checkPaths(def *plan.Def) {
	kinds := map[string]plan.Kind{}
	for path, n := range def.Nodes() {
		if other, ok := kinds[path]; ok {
			p.panicf("two parts have the path %q, %s and %s: give one of them another name with As", path, word(other), word(n.Kind))
		}
		kinds[path] = n.Kind
	}
}

// word is how a part is called in messages.
func word(k plan.Kind) string {
	switch k {
	case plan.Seq:
		return "a flow"
	case plan.All:
		return "a group of parallel parts"
	case plan.Each:
		return "an each"
	default:
		return "a " + k.String()
	}
}

// way checks where pivots and undos stand, on every way that a saga may take.
type way struct{ at place }

// through follows the way through n, which stands inside outer. pivot is the path of the pivot that
// the saga has passed before n, or empty; the result is the same for what comes after n.
func (w way) through(n *plan.Node, outer, pivot string) string {
	path := plan.Under(outer, n.Name)
	switch n.Kind {
	case plan.Seq, plan.Join:
		for _, kid := range n.Kids {
			pivot = w.through(kid, path, pivot)
		}
		return pivot
	case plan.Step, plan.Child:
		return w.leaf(n, path, pivot)
	case plan.Choice:
		return w.arms(n, path, pivot)
	}
	w.noPivotIn(n, path)
	if n.Kind == plan.Race && pivot != "" {
		w.noRace(path, pivot)
	}
	for _, kid := range n.Kids {
		w.through(kid, n.Inside(path), pivot)
	}
	return pivot
}

func (w way) noRace(path, pivot string) {
	w.at.panicf("race %q comes after the pivot %q, where its losers could not be undone: put it before the pivot", path, pivot)
}

// leaf is a step, or a child, which stands for all of its parts.
func (w way) leaf(n *plan.Node, path, pivot string) string {
	_, turns := first(n, path, isPivot)
	race, races := first(n, path, isRace)
	switch undo, undoes := first(n, path, isUndone); {
	case turns && pivot == "":
		return path
	case turns:
		w.at.panicf("%q is a second pivot, after %q: a saga passes at most one", path, pivot)
	case undoes && pivot != "":
		w.at.panicf("%q has a compensation and comes after the pivot %q, where nothing is undone: leave it out, or put it before the pivot", undo, pivot)
	case races && pivot != "":
		w.noRace(race, pivot)
	}
	return pivot
}

// arms wants a pivot in every arm or in none.
func (w way) arms(n *plan.Node, path, pivot string) string {
	if n.Optional {
		w.noPivotIn(n, path)
	}
	var with, without []string
	for i, kid := range n.Kids {
		if w.through(kid, path, pivot) == pivot {
			without = append(without, n.Labels[i])
		} else {
			with = append(with, n.Labels[i])
		}
	}
	if len(with) == 0 {
		return pivot
	}
	if len(without) > 0 {
		w.at.panicf("arm %q of choice %q has a pivot and arm %q has none: give every arm one, or put the pivot after the choice", with[0], path, without[0])
	}
	return path
}

func (w way) noPivotIn(n *plan.Node, path string) {
	for _, kid := range n.Kids {
		if pivot, ok := first(kid, plan.Under(n.Inside(path), kid.Name), isPivot); ok {
			w.at.panicf("the pivot %q stands inside %s, %q: put it into the main sequence, or into every arm of an If or Switch there", pivot, word(n.Kind), path)
		}
	}
}

// first finds the first part for which is holds in n, which has that path; also inside children.
func first(n *plan.Node, path string, is func(*plan.Node) bool) (string, bool) {
	switch {
	case is(n):
		return path, true
	case n.Kind == plan.Child && n.Child != nil:
		return first(n.Child.Root, path, is)
	}
	for _, kid := range n.Kids {
		if found, ok := first(kid, plan.Under(n.Inside(path), kid.Name), is); ok {
			return found, true
		}
	}
	return "", false
}

func isPivot(n *plan.Node) bool  { return n.Kind == plan.Step && n.Step.Pivot }
func isUndone(n *plan.Node) bool { return n.Kind == plan.Step && n.Step.Undo != nil }
func isRace(n *plan.Node) bool   { return n.Kind == plan.Race }
