package errcodec

import (
	"fmt"
	"strings"
)

const (
	noteBytes = 256 // of what went wrong
	kindBytes = 256 // of a type's name
)

// ask gets the texts and fields of the nodes beginning at from, causes first.
func (e *encoding) ask(from int) {
	for i := len(e.nodes) - 1; i >= from; i-- {
		if e.nodes[i].err == nil {
			continue
		}
		e.askNode(i)
		if e.codec.redact != nil {
			e.hide(&e.nodes[i])
		}
	}
}

func (e *encoding) askNode(i int) {
	n := &e.nodes[i]
	switch n.how {
	case howForeign:
		e.askForeign(i)
	case howTyped:
		e.askTyped(n)
	case howPlain:
		n.text = n.err.Error()
	case howJoin:
		n.text = e.joinText(i)
	case howSentinel:
		n.text = n.entry.text
	case howOpaque:
		n.text = n.opaque.text
	case howOpened:
		n.text = n.opaque.text
		e.answer(i, n.opaque.is, n.opaque.as)
	case howCycle:
		n.class, n.text = classForeign, fmt.Sprintf("errcodec: a cycle is cut here: this is the %T from above", n.err)
	}
}

// askable reports whether methods of the node that may call those of its
// causes come to an end.
func (e *encoding) askable(n *node) bool {
	return !n.endless && (!n.cut || e.finite)
}

func (e *encoding) askTyped(n *node) {
	var why string
	switch {
	case n.text != "": // it was kept
	case !e.askable(n):
		n.text = unasked(n)
	case n.foreign:
		n.text, why = e.guard.text(n.err)
	default:
		n.text, why = textOf(n.err)
	}
	if why != "" {
		n.silent(why)
	}
	if strings.HasPrefix(why, panicked) {
		n.class = classForeign // it would panic there as well
		return
	}
	e.askFields(n)
}

// silent gives a text to an error that has none.
func (n *node) silent(why string) {
	n.note = "Error " + why
	n.text = fmt.Sprintf("(%T).Error %s", n.err, why)
	if nilPointer(n.err) {
		n.text = fmt.Sprintf("<nil %T>", n.err)
	}
}

// askFields has the entry write the fields. If it fails, the error goes on as
// one of a foreign type.
func (e *encoding) askFields(n *node) {
	var why string
	if n.foreign {
		n.payload, why = e.guard.fields(n.entry, n.err, e.fields.most)
	} else {
		n.payload, why = e.fields.write(n.entry, n.err)
	}
	if why != "" {
		n.class, n.payload = classForeign, nil
		n.note = fmt.Sprintf("encoding %q %s", n.entry.key, why)
	}
}

// unasked is the text of an error that must not be asked for its own.
func unasked(n *node) string {
	return fmt.Sprintf("(%T).Error was not asked: its causes do not end", n.err)
}

// textOf asks err, which is trusted to return, and says what went wrong.
func textOf(err error) (text, why string) {
	defer func() {
		if p := recover(); p != nil {
			why = panicked + describe(p)
		}
	}()
	return err.Error(), ""
}

// joinText is what errors.Join says, made of the texts of the causes.
func (e *encoding) joinText(i int) string {
	n := &e.nodes[i]
	if n.dropped == 0 && i+1 < n.end && e.nodes[i+1].end == n.end {
		return e.nodes[i+1].text
	}
	start := len(e.arena)
	for c := i + 1; c < n.end && len(e.arena)-start <= e.codec.limits.Bytes; c = e.nodes[c].end {
		if c > i+1 {
			e.arena = append(e.arena, '\n')
		}
		e.arena = append(e.arena, e.nodes[c].text...)
	}
	if n.dropped > 0 {
		e.arena = fmt.Appendf(e.arena, "\n… and %d more", n.dropped)
	}
	return view(e.arena[start:])
}

func (e *encoding) askForeign(i int) {
	n := &e.nodes[i]
	if !e.askable(n) {
		n.text = unasked(n)
		return
	}
	s := &statement{err: n.err}
	if !e.answering {
		s.asked = e.codec.answers
	}
	why := e.guard.run(s.speak)
	said := s.said.Load()
	if said < saidText {
		n.silent(why)
		return
	}
	n.text = s.text
	if said >= saidExtras {
		n.extras = s.extras
	}
	if said >= saidIs {
		e.answer(i, s.is, nil)
	}
	if said >= saidAs {
		e.answer(i, nil, s.as)
	}
}

// answer adds nodes for what methods of node i answer.
func (e *encoding) answer(i int, is, as []error) {
	isNodes, asNodes := e.include(is), e.include(as)
	n := &e.nodes[i] // only now: include moves the nodes
	n.is, n.as = append(n.is, isNodes...), append(n.as, asNodes...)
}

// include adds nodes beside the tree.
func (e *encoding) include(errs []error) (indexes []int) {
	e.answering = true
	for _, err := range errs {
		if e.room <= 0 {
			break
		}
		i := e.visit(err)
		e.ask(i)
		indexes = append(indexes, i)
	}
	e.answering = false
	return indexes
}
