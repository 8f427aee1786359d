package saga

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The versions of a header: sagas that other services start have more to say.
const (
	headerVersion       = 1
	headerVersionRemote = 2
)

// Header is what a saga knows from its start, beside its input.
type Header struct {
	Started time.Time
	Headers map[string]string
	Parent  string // ID of the saga that this one is a part of
	Service string // of the parent, if it is not this saga's own
	Expects string // plan.Contract of the parent, if Service is set
	Path    string // where in the parent
	Forward bool   // the parent is past its pivot: so is this saga
	Input   []byte
	Claims  []string // what the saga, or the root that it is a part of, claims
	Waits   bool     // it does not hold all of its claims yet: the broker tells, the record does not
}

// Append encodes h, the record that a broker keeps of a saga.
func (h *Header) Append(dst []byte) []byte {
	version := byte(headerVersion)
	if h.Service != "" {
		version = headerVersionRemote
	}
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, h.Started.UnixNano())
	dst = binary.AppendUvarint(dst, uint64(len(h.Headers)))
	for k, v := range h.Headers {
		dst = putString(dst, k)
		dst = putString(dst, v)
	}
	dst = putString(dst, h.Parent)
	dst = putString(dst, h.Path)
	dst = append(dst, flag(h.Forward))
	if h.Service != "" {
		dst = putString(putString(dst, h.Service), h.Expects)
	}
	dst = putBytes(dst, h.Input)
	for _, claim := range h.Claims {
		dst = putString(dst, claim)
	}
	return dst
}

// DecodeHeader reads what Append wrote. Input is a part of record.
func DecodeHeader(record []byte) (Header, error) {
	r := reader{data: record}
	version := r.byte()
	if version != headerVersion && version != headerVersionRemote {
		return Header{}, fmt.Errorf("a saga's record of version %d, this is version %d", version, headerVersionRemote)
	}
	h := Header{Started: time.Unix(0, r.varint())}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		if h.Headers == nil {
			h.Headers = make(map[string]string, min(n, 16))
		}
		k := r.string()
		h.Headers[k] = r.string()
	}
	h.Parent, h.Path, h.Forward = r.string(), r.string(), r.byte() != 0
	if version == headerVersionRemote {
		h.Service, h.Expects = r.string(), r.string()
	}
	h.Input = r.bytes()
	for r.err == nil && len(r.data) > 0 {
		h.Claims = append(h.Claims, r.string())
	}
	if r.err != nil {
		return Header{}, fmt.Errorf("a saga's record: %w", r.err)
	}
	return h, nil
}
