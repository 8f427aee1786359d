package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxClaims is how many keys a saga may claim.
const MaxClaims = 64

// A saga's claims are the keys by which a broker knows what it locks and is keyed by. Their texts are durable. That of KeyedBy comes first in their order, so
// that a saga asks for it when it is started.
const (
	keyedClaim = "key/"
	lockClaim  = "lock/"
)

// LockClaim is the claim of a lock, which all flows share.
func LockClaim(key string) string { return lockClaim + key }

// KeyedClaim is the claim of a key that orders the sagas of a flow.
func KeyedClaim(flow, key string) string { return keyedClaim + flow + "/" + key }

// CutClaim gives the flow, if it is one of KeyedBy, and the key of a claim.
func CutClaim(claim string) (flow, key string) {
	if key, ok := strings.CutPrefix(claim, lockClaim); ok {
		return "", key
	}
	flow, key, _ = strings.Cut(strings.TrimPrefix(claim, keyedClaim), "/")
	return flow, key
}

// Claims gives what a saga of d claims for its input: sorted, each once.
func (d *Def) Claims(in any) (claims []string, err error) {
	s := d.Root.Settings
	if s == nil || s.KeyedBy == nil && s.Lock == nil {
		return nil, nil
	}
	what := "KeyedBy"
	defer func() {
		if p := recover(); p != nil {
			claims, err = nil, fmt.Errorf("the function of %s panicked: %v", what, p)
		}
	}()
	if s.KeyedBy != nil {
		key := s.KeyedBy(in)
		if err := CheckKey(key); err != nil {
			return nil, fmt.Errorf("the function of KeyedBy gave %.80q: %w", key, err)
		}
		claims = append(claims, KeyedClaim(d.Name, key))
	}
	what = "Lock"
	locks, err := s.Locks(in)
	if err != nil {
		return nil, err
	}
	if claims = append(claims, locks...); len(claims) > MaxClaims {
		return nil, fmt.Errorf("a saga may have %d keys, and this one has %d", MaxClaims, len(claims))
	}
	return claims, nil
}

// Locks gives the claims of the locks for an input: sorted, each once.
func (s *Settings) Locks(in any) (claims []string, err error) {
	if s == nil || s.Lock == nil {
		return nil, nil
	}
	for _, key := range s.Lock(in) {
		if err := CheckKey(key); err != nil {
			return nil, fmt.Errorf("the function of Lock gave %.80q: %w", key, err)
		}
		claims = append(claims, LockClaim(key))
	}
	slices.Sort(claims)
	return slices.Compact(claims), nil
}

// CheckKey says why s cannot be a key.
func CheckKey(s string) error {
	switch {
	case s == "":
		return errors.New("a key is not empty")
	case len(s) > MaxName:
		return fmt.Errorf("it has %d bytes, more than %d", len(s), MaxName)
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("it contains %U, which cannot be printed", r)
		}
	}
	return nil
}
