package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// Codec turns the values of a saga into bytes and back: its input, the outputs of its steps, its
// result and its signals. All engines that share a broker need the same one. A Codec is used by
// many goroutines at once.
type Codec interface {
	// Marshal encodes v. Equal values give equal bytes: keys of maps are sorted, and nothing is
	// random. A repeated Start is told from a conflicting one by the bytes of its input.
	Marshal(v any) ([]byte, error)
	// Unmarshal decodes data into v, a pointer to a zero value of the type that was encoded. v
	// keeps nothing of data. A text of its error that quotes data ends up in logs.
	Unmarshal(data []byte, v any) error
}

// MsgPack is the default Codec: MessagePack as github.com/vmihailenco/msgpack/v5 writes it, structs
// as maps, so that fields can be added. It reads struct tags named msgpack.
func MsgPack() Codec { return msgPack{} }

// JSON is the Codec for those who want to read what is stored. It is encoding/json.
func JSON() Codec { return jsonCodec{} }

type msgPack struct{}

func (msgPack) Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.SetSortMapKeys(true)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

func (msgPack) Unmarshal(data []byte, v any) error { return msgpack.Unmarshal(data, v) }

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// payloads is how an engine uses its Codec.
type payloads struct {
	codec Codec
	keys  *keyring // nil: what the codec writes is stored as it is
}

// newPayloads takes nil for MsgPack.
func newPayloads(c Codec) *payloads {
	switch c := c.(type) {
	case nil:
		return &payloads{codec: MsgPack()}
	case *sealing:
		return &payloads{codec: c.inner, keys: c.keys}
	default:
		return &payloads{codec: c}
	}
}

// Append encodes v, a value of t, at the end of dst, sealed if the codec is a cipher.
func (p *payloads) Append(dst []byte, t *plan.Type, v any) ([]byte, error) {
	plain, err := p.plain(t, v)
	if err != nil {
		return dst, err
	}
	return p.sealed(dst, plain, sealedValue)
}

// AppendDigest is Append and Digest of one value that is encoded only once.
func (p *payloads) AppendDigest(dst []byte, t *plan.Type, v any) ([]byte, [32]byte, error) {
	plain, err := p.plain(t, v)
	if err != nil {
		return dst, [32]byte{}, err
	}
	dst, err = p.sealed(dst, plain, sealedValue)
	return dst, sha256.Sum256(plain), err
}

// Digest tells values apart: it is the SHA-256 of the plain bytes of v, with all maps sorted.
func (p *payloads) Digest(t *plan.Type, v any) ([32]byte, error) {
	plain, err := p.plain(t, v)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(plain), nil
}

// Decode reads what Append wrote. The value is a T, not a pointer to it, and keeps nothing of data.
func (p *payloads) Decode(t *plan.Type, data []byte) (v any, err error) {
	defer caughtPanic(&err, "decode", t)
	if data, err = p.opened(data, sealedValue); err != nil {
		return nil, fmt.Errorf("decode %v: %w", t, err)
	}
	return t.Decode(p.codec, data)
}

// Seal encrypts bytes that are no value of a Codec, encoded errors, and appends them to dst. It
// copies them if the codec is no cipher.
func (p *payloads) Seal(dst, plain []byte) ([]byte, error) { return p.sealed(dst, plain, sealedBytes) }

// Open reads what Seal wrote. The result may be part of data.
func (p *payloads) Open(data []byte) ([]byte, error) { return p.opened(data, sealedBytes) }

// seals says whether the codec is a cipher.
func (p *payloads) seals() bool { return p.keys != nil }

func (p *payloads) plain(t *plan.Type, v any) (data []byte, err error) {
	defer caughtPanic(&err, "encode", t)
	return t.Encode(p.codec, v)
}

func (p *payloads) sealed(dst, plain []byte, kind byte) ([]byte, error) {
	if !p.seals() {
		return append(dst, plain...), nil
	}
	return p.keys.seal(dst, plain, kind), nil
}

func (p *payloads) opened(data []byte, kind byte) ([]byte, error) {
	if !p.seals() {
		return data, nil
	}
	return p.keys.open(data, kind)
}

// caughtPanic turns a panic of a user's codec or marshaller into an error.
func caughtPanic(err *error, doing string, t *plan.Type) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s %v: %w", doing, t, step.NewPanic(p, debug.Stack()))
	}
}
