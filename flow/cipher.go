package flow

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
)

// Key is an AES key under a name. However it is printed or logged, only the name shows.
type Key struct {
	ID     string // 1 to 255 bytes; stored in the clear with every value
	Secret []byte `json:"-"` // 16, 24 or 32 random bytes, for AES-128, AES-192 or AES-256
}

// Format writes the key's name, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "key %q", k.ID) }

// Cipher is a Codec that stores nothing readable: what inner, or MsgPack if it is nil, makes of a
// value is sealed with AES in Galois counter mode (NIST SP 800-38D). So are the errors that a saga
// records. IDs, names, headers and times stay readable, and so do the lengths of values. Give a
// Cipher to the engine as it is: if another Codec wraps it, errors are not sealed, and every
// repeated Start is a conflict.
//
// The first key seals, all of them open. To rotate, give all engines the new key as the last one,
// then as the first, and leave the old one out when no saga that it sealed is kept any more. Do so
// before a key has sealed 2^32 values: beyond that random nonces are not safe.
//
// Whoever can write to the store cannot make a value or change one, but can put one that was sealed
// in the place of another.
//
// Cipher answers an error if there is no key, if two have one ID, and for an ID or a secret of the
// wrong size.
func Cipher(inner Codec, keys ...Key) (Codec, error) {
	if _, ok := inner.(*sealing); ok {
		return nil, errors.New("flow: Cipher of a Cipher: give all keys to one")
	}
	if inner == nil {
		inner = MsgPack()
	}
	ring, err := newKeyring(keys)
	if err != nil {
		return nil, fmt.Errorf("flow: Cipher: %w", err)
	}
	return &sealing{inner: inner, keys: ring}, nil
}

// sealing is what Cipher gives. Engines take it apart; whoever else has it can use it as a Codec.
type sealing struct {
	inner Codec
	keys  *keyring
}

func (s *sealing) Marshal(v any) ([]byte, error) {
	plain, err := s.inner.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.keys.seal(nil, plain, sealedValue), nil
}

func (s *sealing) Unmarshal(data []byte, v any) error {
	plain, err := s.keys.open(data, sealedValue)
	if err != nil {
		return err
	}
	return s.inner.Unmarshal(plain, v)
}

// Sealed bytes are a header, a nonce, and what GCM makes of the plain bytes. The header is
// authenticated too: sealedMark, what the bytes are, the length of the key's ID, and the ID.
const (
	sealedMark  = 0xc1 // begins no msgpack and no JSON
	sealedValue = 1    // of a Codec
	sealedBytes = 2    // of payloads.Seal
)

type keyring struct {
	first *key
	byID  map[string]*key
}

type key struct {
	id   string
	aead cipher.AEAD // with a random nonce before what it seals
}

func newKeyring(keys []Key) (*keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("it needs a key")
	}
	ring := &keyring{byID: make(map[string]*key, len(keys))}
	for _, k := range keys {
		if err := ring.add(k); err != nil {
			return nil, fmt.Errorf("%v: %w", k, err)
		}
	}
	ring.first = ring.byID[keys[0].ID]
	return ring, nil
}

func (r *keyring) add(k Key) error {
	if n := len(k.ID); n == 0 || n > 255 {
		return fmt.Errorf("its ID has %d bytes, not 1 to 255", n)
	}
	if r.byID[k.ID] != nil {
		return errors.New("another key has this ID")
	}
	block, err := aes.NewCipher(k.Secret)
	if err != nil {
		return fmt.Errorf("its secret has %d bytes, not 16, 24 or 32", len(k.Secret))
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	r.byID[k.ID] = &key{id: k.ID, aead: aead}
	return nil
}

// seal appends to dst.
func (r *keyring) seal(dst, plain []byte, kind byte) []byte {
	k, start := r.first, len(dst)
	dst = slices.Grow(dst, 3+len(k.id)+len(plain)+k.aead.Overhead())
	dst = append(dst, sealedMark, kind, byte(len(k.id)))
	dst = append(dst, k.id...)
	return k.aead.Seal(dst, nil, plain, dst[start:])
}

func (r *keyring) open(data []byte, kind byte) ([]byte, error) {
	if len(data) == 0 || data[0] != sealedMark {
		return nil, errors.New("it is not sealed, and the codec is a cipher")
	}
	if len(data) < 3 || len(data) < 3+int(data[2]) {
		return nil, errors.New("it is sealed, and cut short")
	}
	header, sealed := data[:3+int(data[2])], data[3+int(data[2]):]
	k := r.byID[string(header[3:])]
	if k == nil {
		return nil, fmt.Errorf("it is sealed with key %q, which the codec does not have", header[3:])
	}
	plain, err := k.aead.Open(nil, nil, sealed, header)
	if err != nil || header[1] != kind {
		return nil, fmt.Errorf("key %q does not open it: it was altered, is something else, or is sealed with another key of that name", k.id)
	}
	return plain, nil
}
