package world

import (
	"slices"
	"strconv"
	"strings"

	"github.com/skald-go/skald/internal/plan"
)

// place is where a path stands in a flow.
type place struct {
	node *plan.Node
	way  []turn // from the root
}

// turn is which of a node's parts the way goes through.
type turn struct {
	kind  plan.Kind
	index int
}

// locate finds a path below n, which stands inside prefix.
func locate(n *plan.Node, prefix, path string) (place, bool) {
	own := Under(prefix, n.Name)
	if n.Name != "" && own == path {
		return place{node: n}, true
	}
	for k, kid := range n.Kids {
		inside, index := own, k
		switch n.Kind {
		case plan.Each:
			inside, index = item(own, path, "[", "]")
		case plan.Loop:
			inside, index = item(own, path, "#", "")
		}
		if found, ok := locate(kid, inside, path); ok {
			found.way = append([]turn{{n.Kind, index}}, found.way...)
			return found, true
		}
	}
	return place{}, false
}

// item reads which item or round of own a path goes through.
func item(own, path, before, after string) (string, int) {
	rest, ok := strings.CutPrefix(path, own+before)
	if !ok {
		return own + before, -1
	}
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	index, _ := strconv.Atoi(rest[:digits])
	return own + before + rest[:digits] + after, index
}

// Under is the path of what has that name inside prefix.
func Under(prefix, name string) string {
	switch {
	case name == "":
		return prefix
	case prefix == "":
		return name
	default:
		return prefix + "/" + name
	}
}

// undoes says that what stands here is to be undone once it is done.
func (p place) undoes() bool {
	return p.node.Kind == plan.Child || p.node.Kind == plan.Step && p.node.Step.Undo != nil
}

// follows says that p is undone before q is: it comes later in a sequence, or stands after it side by side if those are undone in order.
func (p place) follows(q place, inOrder bool) bool {
	for k := range min(len(p.way), len(q.way)) {
		a, b := p.way[k], q.way[k]
		if a == b {
			continue
		}
		switch a.kind {
		case plan.Seq, plan.Loop:
			return a.index > b.index
		case plan.All, plan.Each:
			return inOrder && a.index > b.index && !races(q.way[k:]) // a race undoes its losers while the rest goes on
		}
		return false
	}
	return false
}

func races(way []turn) bool {
	return slices.ContainsFunc(way, func(t turn) bool { return t.kind == plan.Race })
}

// place finds a path of the saga. A flow remembers what was asked before.
func (w *World) place(s *Stored, path string) place {
	if p, ok := s.flow.places[path]; ok {
		return p
	}
	p, ok := locate(s.flow.Def.Root, "", path)
	if !ok {
		w.fail("%s: %q is nowhere in the flow", s.ID, path)
	}
	s.flow.places[path] = p
	return p
}
