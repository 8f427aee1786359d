package errcodec

import "slices"

// node is one error of the tree that is being encoded. The nodes of a tree
// stand in one slice, each before what is below it.
type node struct {
	err     error
	entry   *Entry // how to send it, if it is registered
	opaque  *Opaque
	text    string
	note    string
	payload []byte
	is, as  []int // nodes that tell what its Is and As methods answer
	end     int   // index behind the last node below
	dropped int   // causes that are not among the nodes
	how     how
	class   byte
	shape   byte
	extras  byte
	foreign bool // code of an unregistered type is at work here or below
	endless bool // a cycle begins here or below
	cut     bool // not everything below was visited
}

// visit appends err and everything below it, and returns its index.
func (e *encoding) visit(err error) int {
	i := len(e.nodes)
	e.nodes = append(e.nodes, node{err: err})
	e.room--
	if err != nil {
		e.enter(i, err)
	}
	e.nodes[i].end = len(e.nodes)
	return i
}

// enter keeps the path, which is where cycles are noticed.
func (e *encoding) enter(i int, err error) {
	id := identityOf(err)
	if slices.Contains(e.path, id) {
		e.nodes[i].how, e.nodes[i].endless = howCycle, true
		return
	}
	e.path = append(e.path, id)
	e.classify(i, err)
	e.path = e.path[:len(e.path)-1]
}

// classify finds out what err is, and visits its causes.
func (e *encoding) classify(i int, err error) {
	if nilPointer(err) {
		e.visitForeign(i, err)
		return
	}
	info, sentinel := e.codec.find(err)
	n := &e.nodes[i]
	n.how, n.entry = info.how, info.entry
	if sentinel != nil {
		n.how, n.class, n.entry = howSentinel, classSentinel, sentinel
		e.visitTrusted(i, err)
		return
	}
	switch info.how {
	case howForeign:
		e.visitForeign(i, err)
	case howTyped:
		n.class = classTyped
		e.visitTrusted(i, err)
	case howPlain, howJoin:
		n.class = classPlain
		e.attach(i, causesOf(err))
	case howKept:
		e.visitKept(i, err.(*kept))
	case howOpaque:
		e.visitOpaque(i, opaqueOf(err))
	}
}

// visitTrusted is for registered types, which do not block but may panic.
func (e *encoding) visitTrusted(i int, err error) {
	c, why := trustedCauses(err)
	e.nodes[i].note = why
	e.attach(i, c)
}

func trustedCauses(err error) (c causes, why string) {
	defer func() {
		if p := recover(); p != nil {
			why = "Unwrap " + panicked + describe(p)
		}
	}()
	return causesOf(err), ""
}

func (e *encoding) visitForeign(i int, err error) {
	n := &e.nodes[i]
	n.how, n.class, n.foreign = howForeign, classForeign, true
	c, note := e.guard.causes(err)
	n.note = note
	e.attach(i, c)
}

func (e *encoding) visitKept(i int, k *kept) {
	e.nodes[i].err, e.nodes[i].text = k.err, k.text
	e.classify(i, k.err)
	if e.nodes[i].shape == shapeLeaf {
		e.attach(i, k.causes)
	}
}

// visitOpaque leaves alone what is below an opaque error if that can be sent
// as it came.
func (e *encoding) visitOpaque(i int, o *Opaque) {
	n := &e.nodes[i]
	n.opaque, n.class, n.extras, n.note = o, o.class, o.extras, o.note
	if o.name == cutName {
		e.room += o.nodes
	}
	if e.passes(len(o.text)+len(o.body)) && o.nodes-1 <= e.room {
		e.room -= o.nodes - 1
		return
	}
	n.how = howOpened
	n.payload = []byte(o.payload)
	e.attach(i, o.causes)
}

// attach visits the causes of node i for which there is room.
func (e *encoding) attach(i int, c causes) {
	e.nodes[i].shape = c.kind
	switch c.kind {
	case shapeOne:
		e.below(i, c.one)
	case shapeMany:
		for j, cause := range c.many {
			if e.full(cause) {
				e.drop(i, c.many[j:]...)
				return
			}
			e.below(i, cause)
		}
	}
}

func (e *encoding) below(i int, cause error) {
	if e.full(cause) {
		e.drop(i, cause)
		return
	}
	child := e.visit(cause)
	n, c := &e.nodes[i], &e.nodes[child]
	n.foreign = n.foreign || c.foreign
	n.endless = n.endless || c.endless
	n.cut = n.cut || c.cut
}

// full reports whether there is no room for err. What stands for errors that
// were cut elsewhere needs none, or it would be cut by the next process.
func (e *encoding) full(err error) bool {
	if e.room > 0 {
		return false
	}
	o, ok := err.(*Opaque)
	return !ok || o == nil || o.name != cutName
}

func (e *encoding) drop(i int, rest ...error) {
	e.nodes[i].cut = true
	e.nodes[i].dropped = len(rest)
	e.overflow = append(e.overflow, rest...)
}
