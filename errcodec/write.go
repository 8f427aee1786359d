package errcodec

import (
	"encoding/binary"
	"fmt"
	"reflect"
)

// page is how much goes into one attempt to write an error.
type page struct {
	bytes  int      // of the whole
	fields int      // bytes of one error's
	keep   int      // nodes
	lost   []*Entry // sentinels of the others
	short  []string // texts, if those of the nodes are too long
}

// fit writes the tree to the end of dst. If that is larger than it may be,
// long texts and fields and the last nodes are left out until it is not.
func (e *encoding) fit(dst []byte) []byte {
	most := e.codec.limits.Bytes
	p := page{bytes: most, fields: most, keep: len(e.nodes), lost: e.lost}
	for cut := most / 8; !e.write(p); cut /= 2 {
		if cut < 16 {
			return appendMessage(dst, clip(e.nodes[0].text, most/2))
		}
		p.short = e.shorten(cut)
		p.fields, p.keep = cut*2, max(1, min(p.keep, cut/4))
		p.lost = e.losses(p.keep, cut/8)
	}
	return append(dst, e.out...)
}

// losses lists sentinels that are not among the nodes that are kept.
func (e *encoding) losses(keep, most int) []*Entry {
	lost := e.lost
	for _, n := range e.nodes[keep:] {
		if n.how == howSentinel {
			lost = remember(lost, n.entry)
		}
	}
	return lost[:min(len(lost), most)]
}

// write fills e.out with a page, and reports whether it is small enough.
func (e *encoding) write(p page) bool {
	w := writer{e: e, page: p}
	text := w.text(0)
	if len(text) > p.bytes {
		return false
	}
	w.out = appendString(append(e.out[:0], magic, version), text)
	w.node(0, text, 0, true)
	e.out = w.out
	return len(w.out) <= p.bytes
}

// writer writes one page.
type writer struct {
	page
	e   *encoding
	out []byte
}

func (w *writer) text(i int) string {
	if w.short != nil {
		return w.short[i]
	}
	return w.e.nodes[i].text
}

// node writes node i as a cause of one whose text is parent, in which the
// texts of causes before it end at from. It returns where its own ends.
func (w *writer) node(i int, parent string, from int, last bool) int {
	n := &w.e.nodes[i]
	if n.err == nil || len(w.out) > w.bytes {
		w.out = append(w.out, classNil)
		return from
	}
	text := w.text(i)
	if n.how == howOpaque && w.passes(n.opaque, text) {
		o := n.opaque
		from = w.head(o.class|o.causes.kind, o.extras, text, parent, from, last)
		w.out = append(w.out, o.body...)
		return from
	}
	from = w.head(w.classOf(n)|n.shape, w.extrasOf(n), text, parent, from, last)
	if n.class != classPlain {
		w.name(n, text)
	}
	w.causes(i, n, text)
	return from
}

// passes reports whether o is sent on as it came: texts of what is below it
// are parts of its own.
func (w *writer) passes(o *Opaque, text string) bool {
	return len(o.body) <= w.fields && (len(text) == len(o.text) || o.nodes == 1)
}

// head writes what comes before everything else in a node.
func (w *writer) head(head, extras byte, text, parent string, from int, last bool) int {
	at := len(w.out)
	w.out = append(w.out, head)
	if extras != 0 {
		w.out[at] |= hasExtras
		w.out = append(w.out, extras)
	}
	w.out, from = appendText(w.out, at, text, parent, from, last)
	return from
}

// classOf is the node's class, unless its fields are too large to be sent.
func (w *writer) classOf(n *node) byte {
	if n.how == howOpaque || len(n.payload) > w.fields {
		return classForeign
	}
	return n.class
}

func (w *writer) noteOf(n *node) string {
	if n.note == "" && n.class != w.classOf(n) {
		return errTooLarge.Error()
	}
	return n.note
}

func (w *writer) extrasOf(n *node) byte {
	if n.class == classPlain || n.class == classSentinel {
		return 0
	}
	extras := n.extras &^ (extraNote | extraAnswers)
	if w.noteOf(n) != "" {
		extras |= extraNote
	}
	if w.count(n.is)+w.count(n.as) > 0 {
		extras |= extraAnswers
	}
	return extras
}

// count says how many of these nodes are kept.
func (w *writer) count(nodes []int) (kept int) {
	for _, i := range nodes {
		if i < w.keep {
			kept++
		}
	}
	return kept
}

// name writes the key or kind, and all that belongs to it.
func (w *writer) name(n *node, text string) {
	class, extras := w.classOf(n), w.extrasOf(n)
	w.out = appendString(w.out, nameOf(n, class))
	if class == classTyped {
		w.out = binary.AppendUvarint(w.out, uint64(len(n.payload)))
		w.out = append(w.out, n.payload...)
	}
	if extras&extraNote != 0 {
		w.out = appendString(w.out, w.noteOf(n))
	}
	if extras&extraAnswers != 0 {
		w.list(n.is, text)
		w.list(n.as, text)
	}
}

func nameOf(n *node, class byte) string {
	switch {
	case n.opaque != nil:
		return n.opaque.name
	case class == classForeign:
		return clip(reflect.TypeOf(n.err).String(), kindBytes)
	}
	return n.entry.key
}

func (w *writer) list(nodes []int, text string) {
	w.out = binary.AppendUvarint(w.out, uint64(w.count(nodes)))
	for _, i := range nodes {
		if i < w.keep {
			w.node(i, text, 0, true)
		}
	}
}

// causes writes the causes that are kept, and one error in place of the others.
func (w *writer) causes(i int, n *node, text string) {
	if n.shape == shapeLeaf {
		return
	}
	kept, dropped := 0, n.dropped
	for c := i + 1; c < n.end; c = w.e.nodes[c].end {
		if c < w.keep {
			kept++
		} else {
			dropped++
		}
	}
	if n.shape == shapeMany {
		w.out = binary.AppendUvarint(w.out, uint64(kept+min(dropped, 1)))
	}
	from := 0
	for c := i + 1; c < n.end && c < w.keep; c = w.e.nodes[c].end {
		from = w.node(c, text, from, w.e.nodes[c].end == n.end)
	}
	if dropped > 0 {
		w.cut(dropped)
	}
}

// cutName is the kind of what stands for errors that are not sent.
const cutName = "errcodec.cut"

// cut stands for errors that are not sent. The first one answers for all
// sentinels that were lost anywhere.
func (w *writer) cut(errs int) {
	text := fmt.Sprintf("errcodec: causes cut here: %d", errs)
	var extras byte
	if len(w.lost) > 0 {
		extras = extraAnswers
	}
	w.head(classForeign|shapeLeaf, extras, text, "", 0, true)
	w.out = appendString(w.out, cutName)
	if extras != 0 {
		w.out = binary.AppendUvarint(w.out, uint64(len(w.lost)))
		for _, entry := range w.lost {
			w.head(classSentinel|shapeLeaf, 0, entry.text, "", 0, true)
			w.out = appendString(w.out, entry.key)
		}
		w.out = append(w.out, 0)
		w.lost = nil
	}
}
