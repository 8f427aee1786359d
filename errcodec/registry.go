package errcodec

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// registry is what a codec knows. It does not change once the codec is made.
type registry struct {
	keys      map[string]*Entry
	types     map[reflect.Type]typeInfo
	sentinels map[error]*Entry
	answers   answerers
	redact    func(string) string
	limits    Limits
}

// typeInfo is what is known of the dynamic type of an error.
type typeInfo struct {
	how       how
	entry     *Entry // how to send it, if it is registered
	sentinels bool   // some sentinel has this type
}

// how says where the text and the causes of an error come from.
type how uint8

const (
	howForeign how = iota // its own methods, which may do anything
	howTyped              // its own methods, which are trusted
	howPlain              // made by errors or fmt: methods only return what is there
	howJoin               // errors.Join: the text is made of those of its causes
	howKept               // what it keeps is sent
	howOpaque
	howOpened   // an Opaque that is not sent as it came
	howSentinel // one of the registry's
	howCycle    // a cause that is one of the errors above it
)

func newRegistry() registry {
	leaf := errors.New("")
	r := registry{
		keys:      map[string]*Entry{},
		types:     map[reflect.Type]typeInfo{},
		sentinels: map[error]*Entry{},
		limits:    Limits{}.withDefaults(),
	}
	for err, how := range map[error]how{
		leaf:                           howPlain,
		fmt.Errorf("%w", leaf):         howPlain,
		fmt.Errorf("%w%w", leaf, leaf): howPlain,
		errors.Join(leaf):              howJoin,
		&wrapped{}:                     howPlain,
		&joined{}:                      howPlain,
		&Opaque{}:                      howOpaque,
		&opaqueTimeout{}:               howOpaque,
		&opaqueNet{}:                   howOpaque,
		&kept{}:                        howKept,
	} {
		r.types[reflect.TypeOf(err)] = typeInfo{how: how}
	}
	return r
}

func (r registry) clone() registry {
	r.keys, r.types, r.sentinels = maps.Clone(r.keys), maps.Clone(r.types), maps.Clone(r.sentinels)
	return r
}

// add registers entries and then finds out what there is to ask for.
func (r *registry) add(entries []Entry, standard bool) {
	r.addAll(entries, standard)
	r.answers = answerers{}
	for _, e := range r.keys {
		if e.kind == kindSentinel && r.sentinels[e.sentinel] == e {
			r.answers.sentinels = append(r.answers.sentinels, e)
		}
		if e.as != nil && r.types[e.typ].entry == e {
			r.answers.types = append(r.answers.types, e)
		}
	}
	r.answers.sort()
}

func (r *registry) addAll(entries []Entry, standard bool) {
	for i := range entries {
		e := entries[i]
		e.standard = standard
		switch e.kind {
		case kindSentinel:
			r.addSentinel(&e)
		case kindType:
			r.addType(&e)
		case kindGroup:
			r.addAll(e.group, standard)
		case kindRedact:
			r.redact = e.redact
		case kindBounds:
			r.limits = e.limits.withDefaults()
		}
	}
}

func (r *registry) addSentinel(e *Entry) {
	if e.sentinel == nil {
		panic(fmt.Sprintf("errcodec: the sentinel of key %q is nil", e.key))
	}
	e.text = sentinelText(e)
	old, taken := r.keys[e.key]
	if taken && old.kind == kindSentinel && old.sentinel == e.sentinel && old.standard == e.standard {
		return
	}
	r.claim(e, r.sentinels[e.sentinel])
	r.sentinels[e.sentinel] = e
	info := r.types[e.typ]
	info.sentinels = true
	r.types[e.typ] = info
}

func (r *registry) addType(e *Entry) {
	if e.typ == nil || e.typ.Kind() == reflect.Interface {
		panic(fmt.Sprintf("errcodec: key %q: %v is no concrete type", e.key, e.typ))
	}
	if e.encode == nil || e.decode == nil {
		panic(fmt.Sprintf("errcodec: key %q: a function for %v is nil", e.key, e.typ))
	}
	info := r.types[e.typ]
	r.claim(e, info.entry)
	info.how, info.entry = howTyped, e
	r.types[e.typ] = info
}

// claim gives e its key. Other is what e's type or sentinel is registered as so far.
func (r *registry) claim(e, other *Entry) {
	if !validKey(e.key) {
		panic(fmt.Sprintf("errcodec: the key %q of %s is not 1 to 255 bytes of printable text", e.key, e.name()))
	}
	old := r.keys[e.key]
	if old != nil && old.standard == e.standard {
		panic(fmt.Sprintf("errcodec: the key %q is registered twice: for %s and for %s", e.key, old.name(), e.name()))
	}
	if other != nil && other.standard == e.standard {
		panic(fmt.Sprintf("errcodec: %s is registered under two keys: %q and %q", e.name(), other.key, e.key))
	}
	if old != nil {
		r.forget(old)
	}
	r.keys[e.key] = e
}

func validKey(key string) bool {
	unprintable := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	return key != "" && len(key) <= 255 && !strings.ContainsFunc(key, unprintable)
}

// forget undoes the registration of a standard entry that lost its key.
func (r *registry) forget(old *Entry) {
	info := r.types[old.typ]
	if old.kind == kindSentinel && r.sentinels[old.sentinel] == old {
		delete(r.sentinels, old.sentinel)
	}
	if info.entry == old {
		info.how, info.entry = howForeign, nil
		r.types[old.typ] = info
	}
}

// sentinelText returns what the sentinel says, and panics if it cannot be one.
func sentinelText(e *Entry) string {
	defer func() {
		if p := recover(); p != nil {
			panic(fmt.Sprintf("errcodec: the sentinel of key %q, a %T, cannot be one: %v", e.key, e.sentinel, p))
		}
	}()
	_ = map[error]bool{e.sentinel: true} // panics for what cannot be compared
	return e.sentinel.Error()
}

func (a *answerers) sort() {
	byKey := func(a, b *Entry) int { return strings.Compare(a.key, b.key) }
	slices.SortFunc(a.sentinels, byKey)
	slices.SortFunc(a.types, byKey)
}

// sentinel returns the entry of err if it is a registered sentinel. Not every
// error of a sentinel's type can be compared, and the panic says so.
func (r *registry) sentinel(err error) (e *Entry) {
	defer func() { _ = recover() }()
	return r.sentinels[err]
}

// find returns what is known of err.
func (r *registry) find(err error) (info typeInfo, sentinel *Entry) {
	info = r.types[reflect.TypeOf(err)]
	if info.sentinels {
		sentinel = r.sentinel(err)
	}
	return info, sentinel
}
