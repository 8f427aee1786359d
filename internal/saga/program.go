package saga

import (
	"sync"

	"github.com/skald-go/skald/internal/plan"
)

// Program is a definition made ready to run. It is immutable and shared by all runs.
type Program struct {
	Def      *plan.Def
	Remote   bool // there are calls of other services in it
	root     *op
	size     int           // number of ops
	contract func() string // what goes in and comes out
}

// op is a plan.Node in its place in one definition.
type op struct {
	*plan.Node
	up      *op
	kids    []*op
	pos     int    // in up.kids
	path    string // if not dynamic
	dynamic bool   // inside Each or Loop: the path depends on the run
	pivot   bool   // a pivot step, or a child with one
}

// Compile prepares a definition. The definition has been checked where it was made.
func Compile(def *plan.Def) *Program {
	p := &Program{Def: def}
	p.contract = sync.OnceValue(func() string { return plan.Contract(def.Root.In, def.Root.Out) })
	p.root = p.compile(def.Root, nil, 0, "", false)
	return p
}

func (p *Program) compile(n *plan.Node, up *op, pos int, prefix string, dynamic bool) *op {
	p.size++
	p.Remote = p.Remote || n.Remote != nil
	o := &op{Node: n, up: up, pos: pos, dynamic: dynamic, pivot: isPivot(n)}
	if n.Name != "" {
		prefix = join(prefix, n.Name)
		o.path = prefix
	}
	dynamic = dynamic || n.Kind == plan.Each || n.Kind == plan.Loop
	for k, kid := range n.Kids {
		o.kids = append(o.kids, p.compile(kid, o, k, prefix, dynamic))
	}
	return o
}

func isPivot(n *plan.Node) bool {
	switch n.Kind {
	case plan.Step:
		return n.Step.Pivot
	case plan.Child:
		return n.Child != nil && hasPivot(n.Child.Root)
	default:
		return false
	}
}

func hasPivot(n *plan.Node) bool {
	if isPivot(n) {
		return true
	}
	for _, kid := range n.Kids {
		if hasPivot(kid) {
			return true
		}
	}
	return false
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "/" + name
}

// noArm is what arm gives for a label that the choice does not have.
const noArm = -2

// label names an arm of a choice as it is recorded: by its name, so that arms can be added.
func (o *op) label(pick int) string {
	if pick == plan.None {
		return ""
	}
	return o.Labels[pick]
}

func (o *op) arm(label string) int {
	if label == "" {
		return plan.None
	}
	for k, l := range o.Labels {
		if l == label {
			return k
		}
	}
	return noArm
}
