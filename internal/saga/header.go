package saga

import (
	"encoding/binary"
	"fmt"
	"time"
)

const headerVersion = 1

// Header is what a saga knows from its start, beside its input.
type Header struct {
	Started time.Time
	Headers map[string]string
	Parent  string // ID of the saga that this one is a part of
	Path    string // where in the parent
	Forward bool   // the parent is past its pivot: so is this saga
	Input   []byte
}

// Append encodes h, the record that a broker keeps of a saga.
func (h *Header) Append(dst []byte) []byte {
	dst = append(dst, headerVersion)
	dst = binary.AppendVarint(dst, h.Started.UnixNano())
	dst = binary.AppendUvarint(dst, uint64(len(h.Headers)))
	for k, v := range h.Headers {
		dst = putString(dst, k)
		dst = putString(dst, v)
	}
	dst = putString(dst, h.Parent)
	dst = putString(dst, h.Path)
	dst = append(dst, flag(h.Forward))
	return putBytes(dst, h.Input)
}

// DecodeHeader reads what Append wrote. Input is a part of record.
func DecodeHeader(record []byte) (Header, error) {
	r := reader{data: record}
	if v := r.byte(); v != headerVersion {
		return Header{}, fmt.Errorf("a saga's record of version %d, this is version %d", v, headerVersion)
	}
	h := Header{Started: time.Unix(0, r.varint())}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		if h.Headers == nil {
			h.Headers = make(map[string]string, min(n, 16))
		}
		k := r.string()
		h.Headers[k] = r.string()
	}
	h.Parent, h.Path, h.Forward, h.Input = r.string(), r.string(), r.byte() != 0, r.bytes()
	if r.err != nil {
		return Header{}, fmt.Errorf("a saga's record: %w", r.err)
	}
	return h, nil
}
