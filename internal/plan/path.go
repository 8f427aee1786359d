package plan

import "iter"

// Under is the path of something called name inside what has the path outer, which may be empty.
func Under(outer, name string) string {
	switch {
	case name == "":
		return outer
	case outer == "":
		return name
	default:
		return outer + "/" + name
	}
}

// Inside is the path that everything in the node starts with, if the node's own path is path: the
// items of an Each and the rounds of a Loop stand there without their numbers.
func (n *Node) Inside(path string) string {
	switch n.Kind {
	case Each:
		return path + "[]"
	case Loop:
		return path + "#"
	default:
		return path
	}
}

// Nodes gives all nodes that have a name with their paths, in the order of definition.
func (d *Def) Nodes() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) { d.Root.visit("", yield) }
}

func (n *Node) visit(outer string, yield func(string, *Node) bool) bool {
	path := Under(outer, n.Name)
	if n.Name != "" && !yield(path, n) {
		return false
	}
	for _, kid := range n.Kids {
		if !kid.visit(n.Inside(path), yield) {
			return false
		}
	}
	return true
}
