package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/skald-go/skald/internal/plan"
)

// Mermaid draws the flow as a Mermaid flowchart, which GitHub and many editors show: in solid arrows
// the way forward, in dotted red ones the way back, from each step to its undo and from there to the
// undo that follows. Maps are not drawn, and children as one box.
func (f Flow[I, O]) Mermaid() string {
	f.at("Mermaid", "")
	m := &mermaid{}
	start := m.node(`(["%s"])`, f.def.Name)
	end, _ := m.draw(f.def.Root, []tail{{from: start}}, []string{settled})
	m.join(end, m.node(`(["%s"])`, "done"))
	if len(m.dotted) > 0 {
		m.line(`%s(["undone"]):::undo`, settled)
	}
	return "flowchart TD\n" + m.nodes.String() + m.arrows.String() + m.styles()
}

// mermaid draws the nodes in the order of the flow, and apart from them the arrows: an arrow within
// a subgraph would drag both of its ends in.
type mermaid struct {
	nodes, arrows strings.Builder
	depth         int // of subgraphs
	ids, groups   int
	drawn         int      // arrows
	dotted        []string // numbers of the arrows that lead to undos
	upward        []string // numbers of those from undo to undo
}

const settled = "undone" // ID of the end of the way back

// tail is an arrow that has no end yet; undo is that of the step which it leaves.
type tail struct{ from, label, undo string }

// draw adds n, where the arrows in lead to, and gives the arrows that leave it. undos are those that
// run after everything behind n is undone, before n and behind it.
func (m *mermaid) draw(n *plan.Node, in []tail, undos []string) ([]tail, []string) {
	switch n.Kind {
	case plan.Step, plan.Child:
		return m.leaf(n, in, undos)
	case plan.Seq:
		return m.sequence(n, in, undos)
	case plan.Join:
		return m.draw(n.Kids[0], in, undos)
	case plan.Choice:
		return m.choice(n, in, undos)
	case plan.All:
		return m.fork(n, n.Name+": side by side", "all of them", in, undos)
	case plan.Each:
		return m.fork(n, eachLabel(n), "all of them", in, undos)
	case plan.Race:
		return m.fork(n, n.Name+": a race", "the first of them", in, undos)
	case plan.Loop:
		return m.loop(n, in, undos)
	case plan.Delay:
		return m.then(in, m.node(`("delay: %s")`, n.Name)), undos
	case plan.Wait:
		return m.wait(n, in, undos)
	default: // Map
		return in, undos
	}
}

func (m *mermaid) leaf(n *plan.Node, in []tail, undos []string) ([]tail, []string) {
	shape := `["%s"]`
	switch {
	case n.Remote != nil:
		shape = `[["` + escape(n.Remote.Service) + `: %s"]]`
	case n.Kind == plan.Child:
		shape = `[["saga: %s"]]`
	case n.Step.Pivot:
		shape = `{{"pivot: %s"}}:::pivot`
	}
	out := m.then(in, m.node(shape, n.Name))
	if _, ok := first(n, "", isUndone); !ok && n.Remote == nil {
		return out, undos
	}
	back := m.node(`["%s"]:::undo`, "undo: "+n.Name)
	m.dotted = append(m.dotted, m.arrow(out[0].from, "-.->", back))
	for _, next := range undos {
		if next == settled {
			m.dotted = append(m.dotted, m.arrow(back, "-.->", next))
		} else {
			m.upward = append(m.upward, m.arrow(next, "<-.->", back))
		}
	}
	out[0].undo = back
	return out, []string{back}
}

func (m *mermaid) sequence(n *plan.Node, in []tail, undos []string) ([]tail, []string) {
	if n.Name != "" {
		m.groups++
		m.line(`subgraph g%d["%s"]`, m.groups, escape(n.Name))
		m.depth++
		defer func() {
			m.depth--
			m.line("end")
		}()
	}
	for _, kid := range n.Kids {
		in, undos = m.draw(kid, in, undos)
	}
	return in, undos
}

func (m *mermaid) choice(n *plan.Node, in []tail, undos []string) (out []tail, back []string) {
	from := m.then(in, m.node(`{"%s"}`, n.Name))[0].from
	for i, kid := range n.Kids {
		tails, more := m.draw(kid, []tail{{from: from, label: n.Labels[i]}}, undos)
		out, back = append(out, tails...), union(back, more)
	}
	if n.Optional {
		out, back = append(out, tail{from: from, label: "no"}), union(back, undos)
	}
	return out, back
}

func (m *mermaid) fork(n *plan.Node, label, until string, in []tail, undos []string) (out []tail, back []string) {
	from := m.then(in, m.node(`[/"%s"\]`, label))
	for _, kid := range n.Kids {
		tails, more := m.draw(kid, from, undos)
		out, back = append(out, tails...), union(back, more)
	}
	return m.then(out, m.node(`[\"%s"/]`, until)), back
}

func eachLabel(n *plan.Node) string {
	if n.Parallel == 0 {
		return n.Name + ": every item"
	}
	return fmt.Sprintf("%s: every item, %d at a time", n.Name, n.Parallel)
}

func (m *mermaid) loop(n *plan.Node, in []tail, undos []string) ([]tail, []string) {
	body := fmt.Sprintf("n%d", m.ids+1)
	out, undos := m.draw(n.Kids[0], in, undos)
	until := m.then(out, m.node(`{"%s"}`, n.Name))[0].from
	m.join([]tail{{from: until, label: fmt.Sprintf("again, max %d", n.Max)}}, body)
	return []tail{{from: until, label: "enough"}}, undos
}

func (m *mermaid) wait(n *plan.Node, in []tail, undos []string) ([]tail, []string) {
	label := "signal: " + n.Name
	if n.Signal != n.Name {
		label = fmt.Sprintf("signal: %s (%s)", n.Signal, n.Name)
	}
	out := m.then(in, m.node(`[/"%s"/]`, label))
	if len(n.Kids) == 0 {
		return out, undos
	}
	late, more := m.draw(n.Kids[0], []tail{{from: out[0].from, label: "not within " + n.Within.String()}}, undos)
	return append(out, late...), union(undos, more)
}

// node adds a node and gives its ID.
func (m *mermaid) node(shape, label string) string {
	m.ids++
	id := fmt.Sprintf("n%d", m.ids)
	m.line("%s"+shape, id, escape(label))
	return id
}

// then leads arrows to a node, and gives the one that leaves it.
func (m *mermaid) then(in []tail, to string) []tail {
	m.join(in, to)
	return []tail{{from: to}}
}

func (m *mermaid) join(in []tail, to string) {
	for _, t := range in {
		label := ""
		if t.label != "" {
			label = fmt.Sprintf(`|"%s"|`, escape(t.label))
		}
		m.arrow(t.from, "-->"+label, to)
		if t.undo != "" {
			m.arrow(t.undo, "~~~", to)
		}
	}
}

// arrow gives the number of the arrow, as links are styled by it.
func (m *mermaid) arrow(from, line, to string) string {
	fmt.Fprintf(&m.arrows, "    %s %s %s\n", from, line, to)
	m.drawn++
	return strconv.Itoa(m.drawn - 1)
}

func (m *mermaid) line(format string, args ...any) {
	m.nodes.WriteString(strings.Repeat("    ", m.depth+1))
	fmt.Fprintf(&m.nodes, format+"\n", args...)
}

// styles colors the way back. Mermaid places nodes by the direction of arrows. So that each undo comes
// to stand beside its step, and not all of them below all steps, arrows from undo to undo are declared
// the other way round, with one of two heads hidden, and an unseen link holds what follows the step.
func (m *mermaid) styles() string {
	text := "    classDef pivot stroke-width:3px\n"
	text += "    classDef undo fill:#fdecea,stroke:#c0392b,color:#7b241c\n"
	if len(m.dotted) > 0 {
		text += "    linkStyle " + strings.Join(m.dotted, ",") + " stroke:#c0392b\n"
	}
	if len(m.upward) > 0 {
		text += "    linkStyle " + strings.Join(m.upward, ",") + " stroke:#c0392b,marker-end:none\n"
	}
	return text
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a[:len(a):len(a)], s)
		}
	}
	return a
}

// lookalikes stand for what would end a quoted label, and for what is markup in one.
var lookalikes = strings.NewReplacer(`"`, "”", "`", "’", "<", "‹", ">", "›", "#", "＃", "&", "＆")

func escape(label string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, lookalikes.Replace(label))
}
