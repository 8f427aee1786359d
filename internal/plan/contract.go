package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Contract says in short text what values of two types look like when MessagePack has written them: what goes into a flow, and what comes out.
// Services that call each other compare their contracts with Agree. What writes itself, and what is too long to say, is "?".
func Contract(in, out *Type) string {
	return contractOf(in.Go) + ">" + contractOf(out.Go)
}

// longestContract is how long the text of one type may be.
const longestContract = 1024

func contractOf(t reflect.Type) string {
	s := portrait{seen: map[reflect.Type]bool{}}.of(t)
	if len(s) > longestContract {
		return "?"
	}
	return s
}

// portrait makes the text of a type. A type that holds itself is "?" there.
type portrait struct{ seen map[reflect.Type]bool }

func (p portrait) of(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case msgpackFormat.anyMethod(t) != "" || p.seen[t]:
		return "?"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "int"
	}
	p.seen[t] = true
	defer delete(p.seen, t)
	switch t.Kind() {
	case reflect.Pointer:
		return p.of(t.Elem())
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[" + p.of(t.Elem()) + "]"
	case reflect.Map:
		return "<" + p.of(t.Key()) + p.of(t.Elem()) + ">"
	case reflect.Struct:
		return p.structure(t)
	default:
		return "?"
	}
}

func (p portrait) structure(t reflect.Type) string {
	fields, ok := p.fields(t, nil)
	if !ok {
		return "?"
	}
	slices.Sort(fields)
	return "{" + strings.Join(fields, ",") + "}"
}

// fields gives "name:type" of each, with those of embedded structs.
func (p portrait) fields(t reflect.Type, fields []string) ([]string, bool) {
	for field := range t.Fields() {
		tag, ok := msgpackFormat.tag(field), true
		switch {
		case !stored(field) || field.Name == "_msgpack":
		case tag.inline && field.Type.Kind() == reflect.Struct:
			fields, ok = p.fields(field.Type, fields)
		case strings.ContainsAny(tag.names[0], "{}[]<>:,?"):
			ok = false
		default:
			fields = append(fields, tag.names[0]+":"+p.of(field.Type))
		}
		if !ok {
			return nil, false
		}
	}
	return fields, true
}

// Agree says why a caller that has one contract cannot call a flow that has the other. Fields that only one of them knows do no harm, so
// that both may add some; those that both know must be of one kind, and structs must have one in common.
func Agree(caller, flow string) error {
	mine, theirs := readContract(caller), readContract(flow)
	for _, what := range []string{"input", "output"} {
		a, b := mine.next(), theirs.next()
		if why := a.differs(b, ""); why != "" {
			return fmt.Errorf("the %s is %s for the caller and %s for the flow: %s", what, a.text, b.text, why)
		}
		mine.skip('>')
		theirs.skip('>')
	}
	return nil
}

// image is a type as its text says.
type image struct {
	text   string // all of it
	kind   byte   // first letter of text; '?' for what cannot be told
	parts  []image
	fields map[string]image
}

// differs says where two types differ, if they do.
func (a image) differs(b image, at string) string {
	switch {
	case a.kind == '?' || b.kind == '?':
		return ""
	case a.kind != b.kind || len(a.parts) == 0 && a.fields == nil && a.text != b.text:
		return fmt.Sprintf("%s is %s here and %s there", strings.TrimPrefix(at+" it", " "), a.text, b.text)
	}
	for k := range min(len(a.parts), len(b.parts)) {
		if why := a.parts[k].differs(b.parts[k], at+"[]"); why != "" {
			return why
		}
	}
	common := 0
	for _, name := range sorted(a.fields) {
		if other, ok := b.fields[name]; ok {
			common++
			if why := a.fields[name].differs(other, at+"."+name); why != "" {
				return why
			}
		}
	}
	if common == 0 && len(a.fields) > 0 && len(b.fields) > 0 {
		return strings.TrimPrefix(at+" they have no field in common", " ")
	}
	return ""
}

func sorted(fields map[string]image) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// reading takes the text of a contract apart. What makes no sense is "?".
type reading struct {
	rest  string
	depth int
}

func readContract(s string) *reading { return &reading{rest: s} }

const deepestContract = 64

func (r *reading) next() image {
	before := r.rest
	if r.depth++; r.depth > deepestContract {
		r.rest = ""
	}
	i := r.image()
	r.depth--
	i.text = before[:len(before)-len(r.rest)]
	if i.text == "" {
		i.kind, i.text = '?', "?"
	}
	return i
}

func (r *reading) image() image {
	switch {
	case r.rest == "":
		return image{kind: '?'}
	case r.skip('['):
		i := image{kind: '[', parts: []image{r.next()}}
		r.skip(']')
		return i
	case r.skip('<'):
		i := image{kind: '<', parts: []image{r.next(), r.next()}}
		r.skip('>')
		return i
	case r.skip('{'):
		return r.structure()
	case r.skip('?'):
		return image{kind: '?'}
	}
	for _, word := range []string{"bool", "text", "float", "int", "bytes", "time"} {
		if rest, ok := strings.CutPrefix(r.rest, word); ok {
			r.rest = rest
			return image{kind: 'a'}
		}
	}
	r.rest = ""
	return image{kind: '?'}
}

func (r *reading) structure() image {
	i := image{kind: '{', fields: map[string]image{}}
	for !r.skip('}') {
		name, rest, ok := strings.Cut(r.rest, ":")
		if !ok {
			r.rest = ""
			return image{kind: '?'}
		}
		r.rest = rest
		i.fields[name] = r.next()
		r.skip(',')
	}
	return i
}

func (r *reading) skip(c byte) bool {
	if r.rest == "" || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}
