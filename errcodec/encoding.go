package errcodec

import "fmt"

// encoding turns one tree of errors into bytes, in three passes: visit finds
// the nodes, ask their texts and fields, write puts them down.
type encoding struct {
	codec     *Codec
	guard     guard
	nodes     []node
	path      []identity // from the root to the node being visited
	room      int        // for nodes
	overflow  []error    // what there was no room for
	finite    bool       // which was visited to its end
	lost      []*Entry   // sentinels among it
	answering bool       // nodes are being added for an Is or As method
	arena     []byte     // of texts that are made here
	fields    scribe
	out       []byte
}

func newEncoding(c *Codec) *encoding {
	return &encoding{codec: c, fields: newScribe(c.limits.Bytes)}
}

// append is the whole of Encode. Everything that may panic is protected where
// it is called; what is left would be a defect of this package, and even then
// the caller gets an error.
func (e *encoding) append(dst []byte, err error) (result []byte) {
	defer func() {
		if p := recover(); p != nil {
			result = appendMessage(dst, fmt.Sprintf("errcodec: encoding a %T panicked: %s", err, describe(p)))
		}
	}()
	if u, ok := err.(*Unreadable); ok && u != nil && e.passes(len(u.data)) {
		return append(dst, u.data...)
	}
	e.guard = guard{left: e.codec.limits.Patience}
	e.room = e.codec.limits.Nodes
	e.visit(err)
	if len(e.overflow) > 0 {
		e.exhaust()
	}
	e.ask(0)
	return e.fit(dst)
}

// passes reports whether what came as so many bytes may be sent on as it
// came: there is nothing to hide, and no risk that it must be shortened.
func (e *encoding) passes(size int) bool {
	return e.codec.redact == nil && size <= e.codec.limits.Bytes/8
}

// appendMessage writes an error that is nothing but a text.
func appendMessage(dst []byte, text string) []byte {
	dst = appendString(append(dst, magic, version), text)
	return append(dst, classPlain|textSame|shapeLeaf)
}

// reset lets go of everything, and reports whether e is worth keeping.
func (e *encoding) reset() bool {
	clear(e.nodes)
	e.nodes, e.path = e.nodes[:0], e.path[:0]
	e.arena, e.out, e.fields.buf = e.arena[:0], e.out[:0], e.fields.buf[:0]
	e.guard.timer, e.overflow, e.lost, e.finite, e.answering = nil, nil, nil, false, false
	return max(cap(e.arena), cap(e.out), cap(e.fields.buf)) <= 2*e.codec.limits.Bytes && cap(e.nodes) <= 1<<10
}
