package sagatest

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// node is a place of a saga where something can go wrong. Its path starts with that of the child around it, if there is one.
type node struct {
	path string
	undo bool
}

// String names it for people.
func (n node) String() string {
	if n.undo {
		return "undo " + n.path
	}
	return n.path
}

func (n node) compare(o node) int { return strings.Compare(n.path, o.path) }

// nodeOf is the node that an attempt of a saga, or of one of its children, belongs to.
func nodeOf(info step.Info, root string) node {
	return node{plan.Under(inside(info.Saga, root), info.Path), info.Undo}
}

// inside is the path of a child in the saga that is its root.
func inside(id, root string) string { return strings.TrimPrefix(strings.TrimPrefix(id, root), "/") }

var numbers = regexp.MustCompile(`(\[)\d+(\])|(#)\d+`)

// outline is what a flow consists of, with the flows that are children in it.
type outline struct {
	nodes    map[string]*plan.Node // by path, without the numbers of items and rounds
	order    []string              // the paths, in the order of definition
	parallel map[string]bool       // what runs side by side starts with one of these
	after    map[string]bool       // steps that come after a pivot
	owner    map[string]string     // the path of the child that a path is in
	past     bool
}

func outlineOf(def *plan.Def) *outline {
	o := &outline{nodes: map[string]*plan.Node{}, parallel: map[string]bool{}, after: map[string]bool{}, owner: map[string]string{}}
	o.add(def, "")
	return o
}

func (o *outline) add(def *plan.Def, outer string) {
	for path, n := range def.Nodes() {
		at := plan.Under(outer, path)
		o.nodes[at] = n
		o.order = append(o.order, at)
		o.owner[at] = outer
		switch n.Kind {
		case plan.All, plan.Each, plan.Race:
			o.parallel[at] = true
		case plan.Child:
			if n.Child != nil {
				o.add(n.Child, at)
			}
		case plan.Step:
			o.after[at] = o.past
			o.past = o.past || n.Step.Pivot
		}
	}
}

// at gives the node of the definition that a path in a saga belongs to.
func (o *outline) at(path string) *plan.Node {
	return o.nodes[numbers.ReplaceAllString(path, "$1$2$3")]
}

// step gives what the step at a path knows of itself, or nil.
func (o *outline) step(path string) *plan.StepSpec {
	if n := o.at(path); n != nil {
		return n.Step
	}
	return nil
}

// awaits says why the saga, or its child at a path, never takes a signal.
func (o *outline) awaits[S any](child string, signal flow.Signal[S]) error {
	sent := flow.New[S]("sent").Wait(signal, func(s, _ S) S { return s }).Plan().Node
	for sent.Kind != plan.Wait {
		sent = sent.Kids[0]
	}
	child = numbers.ReplaceAllString(child, "$1$2$3")
	var names []string
	for _, path := range o.order {
		n := o.nodes[path]
		switch {
		case n.Kind != plan.Wait || o.owner[path] != child:
		case n.Signal != sent.Signal:
			names = append(names, fmt.Sprintf("%q", n.Signal))
		case n.Letter.Go != sent.Letter.Go:
			return fmt.Errorf("signal %q carries a %v, and the saga waits at %s for one that carries a %v", n.Signal, sent.Letter, path, n.Letter)
		default:
			return nil
		}
	}
	return fmt.Errorf("the saga never waits for signal %q; it waits for: %s", sent.Signal, cmp.Or(strings.Join(names, ", "), "none"))
}

func (o *outline) isAfterPivot(path string) bool {
	return o.after[numbers.ReplaceAllString(path, "$1$2$3")]
}

// sideBySide says that two paths are in different branches of something that runs them at once.
func (o *outline) sideBySide(a, b string) bool {
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for k := 0; k < min(len(as), len(bs)); k++ {
		if as[k] == bs[k] {
			continue
		}
		common := strings.Join(as[:k], "/")
		items := numbers.ReplaceAllString(as[k], "$1$2$3") == numbers.ReplaceAllString(bs[k], "$1$2$3")
		return o.parallel[numbers.ReplaceAllString(common, "$1$2$3")] || items && strings.Contains(as[k], "[")
	}
	return false
}

// raced says that a path is in a race, whose losers are undone.
func (o *outline) raced(path string) bool {
	for at, n := range o.nodes {
		if n.Kind == plan.Race && strings.HasPrefix(numbers.ReplaceAllString(path, "$1$2$3"), at+"/") {
			return true
		}
	}
	return false
}
