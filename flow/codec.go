package flow

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/skald-go/skald/internal/payload"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Codec turns the values of a saga into bytes and back: its input, the outputs of its steps, its
// result and its signals. All engines that share a broker need the same one, for as long as a saga
// is kept. A Codec is used by many goroutines at once.
type Codec interface {
	// Marshal encodes v, a value or, if its type marshals itself by methods of its pointer only, a
	// pointer to it. Equal values give equal bytes, with sorted keys and nothing random: by the
	// bytes of its input a repeated Start is told from a conflicting one.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into v, a pointer to a zero value of the type that was encoded. v
	// keeps nothing of data. An error whose text quotes data takes it into logs.
	Unmarshal(data []byte, v any) error
}

// MsgPack is the default Codec: MessagePack as github.com/vmihailenco/msgpack/v5 writes it, with its
// struct tags and the methods by which it lets types encode themselves. Structs are maps: a field
// can be added or left out later, and renamed with a tag like `msgpack:"new,alias:old"`.
//
// It sorts the keys of maps, but for those that a type writes by itself. It is stricter than the
// library when it reads: a number that does not fit its field, bytes after the value, and more than
// 10,000 levels of nesting are errors.
func MsgPack() Codec { return msgPack{} }

type msgPack struct{}

func (msgPack) Marshal(v any) ([]byte, error)      { return payload.Marshal(v) }
func (msgPack) Unmarshal(data []byte, v any) error { return payload.Unmarshal(data, v) }

// JSON is a Codec for those who want to read what is stored. It is encoding/json.
func JSON() Codec { return jsonCodec{} }

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (jsonCodec) Unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		kind, _, _ := strings.Cut(wrong.Value, " ") // its own text quotes numbers and keys of maps
		return fmt.Errorf("json: there is a value of kind %s at byte %d where a %v should be", kind, wrong.Offset, wrong.Type)
	}
	return err
}

// payloads is how an engine uses its Codec. Texts of its errors quote no payloads.
type payloads struct {
	codec Codec    // nil: MsgPack, compiled
	keys  *keyring // nil: what the codec writes is stored as it is
}

// newPayloads takes nil for MsgPack.
func newPayloads(c Codec) *payloads {
	p := &payloads{codec: c}
	if s, ok := c.(*sealing); ok {
		p.codec, p.keys = s.inner, s.keys
	}
	if _, ok := p.codec.(msgPack); ok {
		p.codec = nil
	}
	return p
}

// seals says whether the codec is a cipher.
func (p *payloads) seals() bool { return p.keys != nil }

// Append encodes v, a value of t, at the end of dst, sealed if the codec is a cipher.
func (p *payloads) Append(dst []byte, t *plan.Type, v any) ([]byte, error) {
	return p.encode(dst, t, v, nil)
}

// AppendDigest is Append, and tells values apart as well: the digest is the SHA-256 of the plain
// bytes of v, with all maps sorted. v is encoded only once.
func (p *payloads) AppendDigest(dst []byte, t *plan.Type, v any) (_ []byte, digest [32]byte, err error) {
	dst, err = p.encode(dst, t, v, &digest)
	return dst, digest, err
}

func (p *payloads) encode(dst []byte, t *plan.Type, v any, digest *[32]byte) (_ []byte, err error) {
	defer caughtPanic(&err, "encode")
	if p.codec != nil {
		plain, err := t.Encode(p.codec, v)
		if err != nil {
			return dst, err
		}
		if digest != nil {
			*digest = sha256.Sum256(plain)
		}
		return p.seal(dst, plain, sealedValue), nil
	}
	e := payload.NewEncoder()
	plain, err := e.Encode(t.Payload, v)
	if err == nil {
		dst = p.seal(dst, plain, sealedValue)
		if digest != nil {
			*digest = e.Digest()
		}
	}
	e.Free()
	return dst, err
}

// Decode reads what Append wrote. The value is of the type, not a pointer to it, and keeps nothing of data.
func (p *payloads) Decode(t *plan.Type, data []byte) (v any, err error) {
	defer caughtPanic(&err, "decode")
	if data, err = p.open(data, sealedValue); err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, err)
	}
	if p.codec != nil {
		return t.Decode(p.codec, data)
	}
	if v, err = t.Payload.Decode(data); err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, err)
	}
	return v, nil
}

// Seal appends bytes that no Codec wrote, encoded errors, to dst: encrypted if the codec is a cipher.
func (p *payloads) Seal(dst, plain []byte) ([]byte, error) {
	return p.seal(dst, plain, sealedBytes), nil
}

// Open reads what Seal wrote. The result may be part of data.
func (p *payloads) Open(data []byte) ([]byte, error) { return p.open(data, sealedBytes) }

func (p *payloads) seal(dst, plain []byte, kind byte) []byte {
	if !p.seals() {
		return append(dst, plain...)
	}
	return p.keys.seal(dst, plain, kind)
}

func (p *payloads) open(data []byte, kind byte) ([]byte, error) {
	if !p.seals() {
		return data, nil
	}
	return p.keys.open(data, kind)
}

// caughtPanic turns a panic of a user's codec or marshaller into an error.
func caughtPanic(err *error, doing string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %w", doing, step.NewPanic(p, debug.Stack()))
	}
}
