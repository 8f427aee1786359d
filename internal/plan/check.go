package plan

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Check says why values of the type could not come back whole from storage, or nil. Which codec will
// be used is not known where a flow is defined, so that a type must be fit for both msgpack and JSON.
func (t *Type) Check() error {
	for _, f := range []*format{&msgpackFormat, &jsonFormat} {
		w := walk{format: f, seen: map[spot]bool{}}
		if err := w.value(rootName(t.Go), t.Go, true); err != nil {
			return fmt.Errorf("a %v could not come back whole from storage: %w%s", t.Go, err, f.note)
		}
	}
	return nil
}

func rootName(t reflect.Type) string {
	if name, _, _ := strings.Cut(t.Name(), "["); name != "" {
		return name
	}
	return t.String()
}

// walk looks for what a format would lose. Its paths read like Order.Items[].Price.
type walk struct {
	*format
	seen map[spot]bool
}

// spot is a type where it stands: methods of pointers are found only for addressable values.
type spot struct {
	t           reflect.Type
	addressable bool
}

func (w walk) value(path string, t reflect.Type, addressable bool) error {
	at := spot{t, addressable}
	if w.seen[at] {
		return nil
	}
	w.seen[at] = true
	if t.Kind() == reflect.Interface {
		return fmt.Errorf("%s is an interface (%v), and what it holds would come back as something else: use a concrete type", path, t)
	}
	if err := w.promoted(path, t); err != nil {
		return err
	}
	if itself, err := w.marshalsItself(path, t, addressable); itself || err != nil {
		return err
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.value(path, t.Elem(), true)
	case reflect.Slice:
		return w.value(path+"[]", t.Elem(), true)
	case reflect.Array:
		if elem := t.Elem(); elem.Kind() == reflect.Uint8 && elem != reflect.TypeFor[byte]() {
			return fmt.Errorf("%s is a %v, which msgpack cannot write: use bytes", path, t)
		}
		return w.value(path+"[]", t.Elem(), addressable)
	case reflect.Map:
		return w.mapping(path, t)
	case reflect.Struct:
		return w.fields(path, t, addressable, map[string]string{})
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.Uintptr, reflect.UnsafePointer:
		return fmt.Errorf("%s is a %v, which has no encoding", path, t)
	default:
		return nil
	}
}

func (w walk) mapping(path string, t reflect.Type) error {
	if err := w.key(path+"[key]", t.Key()); err != nil {
		return err
	}
	return w.value(path+"[]", t.Elem(), false)
}

// key accepts what both formats have as keys: strings, integers, and what writes itself as text.
func (w walk) key(path string, t reflect.Type) error {
	if t == reflect.TypeFor[time.Time]() {
		return fmt.Errorf("%s is a time.Time, which does not equal itself when it comes back: use its UnixNano", path)
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return w.value(path, t, false)
	case reflect.Struct, reflect.Array:
		if t.Implements(text.write) && reflect.PointerTo(t).Implements(text.read) {
			return w.value(path, t, false)
		}
	}
	return fmt.Errorf("%s is a %v, which cannot come back as a key: use a string, an integer, or what marshals itself as text", path, t)
}
