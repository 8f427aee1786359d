package errcodec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
)

// decoding takes one message apart.
type decoding struct {
	reader
	codec *Codec
	depth int
	nodes int
	from  *fieldReader // nil until there are fields to read
}

// fieldReader gives fields to entries.
type fieldReader struct {
	strings.Reader
	dec *msgpack.Decoder
}

func newFieldReader() any { return &fieldReader{dec: msgpack.NewDecoder(nil)} }

func decode(c *Codec, data string) (err error) {
	defer func() {
		if p := recover(); p != nil { // a defect of this package
			err = &Unreadable{data: data, why: "decoding panicked: " + describe(p)}
		}
	}()
	d := decoding{reader: reader{data: data}, codec: c}
	text, err := d.message()
	if d.from != nil {
		d.from.Reset("")
		c.readers.Put(d.from)
	}
	if d.bad != "" {
		return &Unreadable{data: data, text: text, why: d.bad}
	}
	return err
}

// message returns the text as well, which every version of the format shows.
func (d *decoding) message() (string, error) {
	if d.byte() != magic {
		d.fail("the first byte is not that of an error")
		return "", nil
	}
	v := d.byte()
	text := d.string()
	if v != version && d.bad == "" {
		d.fail(fmt.Sprintf("it is in version %d of the format, and this program knows version %d", v, version))
		return text, nil
	}
	_, err := d.node(text)
	if d.pos != len(d.data) {
		d.fail("something follows the error")
	}
	if err == nil {
		d.fail("there is no error in it")
	}
	return text, err
}

// node returns an error, and the text that it was sent with: the same that it
// has, unless the program's texts changed since.
func (d *decoding) node(parent string) (string, error) {
	if d.depth++; d.depth > mostNodes {
		d.fail("it is too deep")
	}
	text, err := d.oneNode(parent)
	d.depth--
	return text, err
}

func (d *decoding) oneNode(parent string) (string, error) {
	d.nodes++
	head := d.byte()
	if head&classMask == classNil {
		if head != classNil {
			d.fail("a nil has more than one byte")
		}
		return "", nil
	}
	var extras byte
	if head&hasExtras != 0 {
		extras = d.byte()
	}
	text := d.text(head&textMask, parent)
	return text, d.body(head, extras, text)
}

func (d *decoding) body(head, extras byte, text string) error {
	switch head & classMask {
	case classPlain:
		if extras != 0 {
			d.fail("a plain error has extras")
		}
		return plain(text, d.causes(head, text))
	case classSentinel, classTyped, classForeign:
		return d.named(head, extras, text)
	}
	d.fail("there is an unknown class of errors")
	return nil
}

// plain makes what errors.New, %w and errors.Join are decoded to.
func plain(text string, c causes) error {
	switch c.kind {
	case shapeOne:
		return &wrapped{text: text, cause: c.one}
	case shapeMany:
		return &joined{text: text, causes: c.many}
	}
	return errors.New(text)
}

// causes reads what follows everything else in a node.
func (d *decoding) causes(head byte, text string) causes {
	switch head & shapeMask {
	case shapeLeaf:
		return causes{}
	case shapeOne:
		_, one := d.node(text)
		return causes{one: one, kind: shapeOne}
	case shapeMany:
		return causes{many: d.list(text), kind: shapeMany}
	}
	d.fail("there is an unknown shape of causes")
	return causes{}
}

// list grows as it is read: the number it begins with may be a lie.
func (d *decoding) list(text string) []error {
	n := d.uvarint()
	if n > len(d.data)-d.pos {
		d.fail("there are more causes than data")
	}
	if d.bad != "" || n == 0 {
		return nil
	}
	list := make([]error, 0, min(n, 8))
	for ; n > 0 && d.bad == ""; n-- {
		_, err := d.node(text)
		list = append(list, err)
	}
	return list
}

// named reads an error that has a key or a kind.
func (d *decoding) named(head, extras byte, text string) error {
	start, nodes := d.pos, d.nodes
	n := named{class: head & classMask, extras: extras, text: text}
	d.parts(&n, head)
	if d.bad != "" {
		return nil
	}
	entry, known := d.codec.keys[n.name]
	switch {
	case n.class == classForeign:
		return d.opaque(&n, start, nodes, "")
	case !known:
		return d.opaque(&n, start, nodes, fmt.Sprintf("the key %q is not registered here", n.name))
	case n.class == classSentinel && entry.kind == kindSentinel:
		return entry.sentinel
	case n.class == classTyped && entry.kind == kindType:
		why, err := d.typed(entry, &n)
		if why != "" {
			return d.opaque(&n, start, nodes, why)
		}
		return err
	}
	return d.opaque(&n, start, nodes, fmt.Sprintf("the key %q is that of %s here", n.name, entry.name()))
}

func (d *decoding) parts(n *named, head byte) {
	n.name = d.string()
	if n.extras&^extraMask != 0 {
		d.fail("there are unknown extras")
	}
	if n.class == classTyped {
		n.payload = d.string()
	}
	if n.extras&extraNote != 0 {
		n.note = d.string()
	}
	if n.extras&extraAnswers != 0 {
		n.is = d.list(n.text)
		n.as = d.list(n.text)
	}
	n.causes = d.causes(head, n.text)
}

func (d *decoding) opaque(n *named, start, nodes int, why string) error {
	o := &Opaque{named: *n, why: why, body: d.data[start:d.pos], nodes: d.nodes - nodes + 1}
	return o.asError()
}

// typed has the entry rebuild an error, and says why it could not.
func (d *decoding) typed(entry *Entry, n *named) (why string, result error) {
	defer func() {
		if p := recover(); p != nil {
			why = fmt.Sprintf("decoding %v panicked: %s", entry.typ, describe(p))
		}
	}()
	if !wellFormed(n.payload) {
		return fmt.Sprintf("the fields of %v are no msgpack values", entry.typ), nil
	}
	if d.from == nil {
		d.from = d.codec.readers.Get().(*fieldReader)
	}
	d.from.Reset(n.payload)
	d.from.dec.Reset(&d.from.Reader)
	result, err := entry.decode(d.from.dec, n.causes)
	switch {
	case err != nil:
		return fmt.Sprintf("decoding %v: %s", entry.typ, clip(err.Error(), noteBytes)), nil
	case result == nil || entry.isNil(result):
		return fmt.Sprintf("decoding %v gave nil", entry.typ), nil
	case entry.leaf && n.causes.kind != shapeLeaf && causesOf(result).kind == shapeLeaf:
		return "", &kept{text: n.text, err: result, causes: n.causes}
	case !entry.leaf && n.causes.incomplete():
		if _, why = textOf(result); why != "" { // many a wrapper needs its cause
			why = fmt.Sprintf("(%v).Error %s", entry.typ, why)
		}
	}
	return why, result
}
