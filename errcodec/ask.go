package errcodec

import (
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
)

const (
	noteBytes = 256 // of what went wrong
	kindBytes = 256 // of a type's name
	mostIs    = 32  // answers of one Is method
	panicked  = "Error panicked: "
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
		is, as := e.include(n.opaque.is), e.include(n.opaque.as)
		e.nodes[i].is, e.nodes[i].as = is, as
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
	switch {
	case n.text != "": // it was kept
	case !e.askable(n):
		n.text = unasked(n)
	case n.foreign:
		n.text, n.note = e.guard.text(n.err)
	default:
		n.text, n.note = textOf(n.err)
	}
	if n.note != "" && n.text == "" {
		n.text = fmt.Sprintf("(%T).%s", n.err, n.note)
	}
	if strings.HasPrefix(n.note, panicked) {
		n.class = classForeign // it would panic there as well
		return
	}
	e.askFields(n)
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

// statement is what a foreign error says about itself. Said counts what is
// there already, in case that the error then falls silent.
type statement struct {
	said   atomic.Int32
	text   string
	extras byte
	is     []error
	as     []error
}

const (
	saidText = 1 + iota
	saidExtras
	saidIs
	saidAs
)

func (e *encoding) askForeign(i int) {
	n := &e.nodes[i]
	if !e.askable(n) {
		n.text = unasked(n)
		return
	}
	s, err, curious := &statement{}, n.err, !e.answering
	answers := e.codec.answers
	why := e.guard.run(func() { s.make(err, answers, curious) })
	said := s.said.Load()
	switch {
	case said >= saidText:
		n.text = s.text
	case nilPointer(err):
		n.text, n.note = fmt.Sprintf("<nil %T>", err), "Error "+why
	default:
		n.text, n.note = fmt.Sprintf("(%T).Error %s", err, why), "Error "+why
	}
	if said >= saidExtras {
		n.extras = s.extras
	}
	if said >= saidIs && curious {
		is := e.include(s.is)
		e.nodes[i].is = is
	}
	if said >= saidAs && curious {
		as := e.include(s.as)
		e.nodes[i].as = as
	}
}

func (s *statement) make(err error, answers answerers, curious bool) {
	s.text = err.Error()
	s.said.Store(saidText)
	s.extras = timeouts(err)
	s.said.Store(saidExtras)
	if !curious {
		return
	}
	s.is = answers.is(err)
	s.said.Store(saidIs)
	s.as = answers.as(err)
	s.said.Store(saidAs)
}

func timeouts(err error) (extras byte) {
	if t, ok := err.(interface{ Timeout() bool }); ok {
		extras |= extraTimeout
		if t.Timeout() {
			extras |= extraTimedOut
		}
	}
	if t, ok := err.(interface{ Temporary() bool }); ok {
		extras |= extraTemporary
		if t.Temporary() {
			extras |= extraPassing
		}
	}
	return extras
}

// is lists the sentinels for which an Is method of err says yes.
func (a answerers) is(err error) (yes []error) {
	asker, ok := err.(interface{ Is(error) bool })
	if !ok {
		return nil
	}
	for _, entry := range a.sentinels {
		if asker.Is(entry.sentinel) {
			yes = append(yes, entry.sentinel)
		}
		if len(yes) == mostIs {
			break
		}
	}
	return yes
}

// as lists what an As method of err gives for the registered types.
func (a answerers) as(err error) (yes []error) {
	if _, ok := err.(interface{ As(any) bool }); !ok {
		return nil
	}
	for _, entry := range a.types {
		if as, ok := entry.as(err); ok && !entry.isNil(as) && reflect.TypeOf(as) != reflect.TypeOf(err) {
			yes = append(yes, as)
		}
	}
	return yes
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
