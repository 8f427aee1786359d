package payload

// canonical appends data to dst with all its maps sorted, for a comparison, or as it is if it cannot be read.
func (e *Encoder) canonical(dst, data []byte) []byte {
	d := decoder{data: data}
	out, err := dst, error(nil)
	for d.rest() > 0 {
		if out, err = e.canonicalValue(out, &d); err != nil {
			return append(dst, data...)
		}
	}
	return out
}

func (e *Encoder) canonicalValue(b []byte, d *decoder) ([]byte, error) {
	from := d.pos
	h, err := d.head()
	if err != nil {
		return b, err
	}
	d.pos += h.bytes
	b = append(b, d.data[from:d.pos]...)
	if h.kind == kindMap {
		return e.canonicalMap(b, d, h.values/2)
	}
	for range h.values {
		if b, err = e.canonicalValue(b, d); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (e *Encoder) canonicalMap(b []byte, d *decoder, n int) (_ []byte, err error) {
	first, foreign := len(e.entries), len(e.foreign)
	for range n {
		it := entry{from: len(b), key: len(b), foreign: foreign, foreignEnd: foreign}
		if b, err = e.canonicalValue(b, d); err != nil {
			return b, err
		}
		it.elem = len(b)
		if b, err = e.canonicalValue(b, d); err != nil {
			return b, err
		}
		it.end = len(b)
		e.entries = append(e.entries, it)
	}
	return e.arrange(b, first), nil
}
