package plan

import (
	"encoding"
	"encoding/json"
	jsonv2 "encoding/json/v2"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/tagparser/v2"
)

// format is what a family of codecs does with types: as msgpack/v5.4 (types.go, encode_value.go,
// decode_value.go) and encoding/json of Go 1.27 do.
type format struct {
	note       string
	tag        func(reflect.StructField) tag
	methods    []methods // the first one that a type has counts
	valueFirst bool      // methods of the value are looked for before those of its pointer
}

// methods are two interfaces of one method each, by which a type writes and reads itself.
type methods struct {
	write, read reflect.Type
	lone        bool // read alone is enough: it is given what the format writes by itself
}

var (
	text   = methods{write: reflect.TypeFor[encoding.TextMarshaler](), read: reflect.TypeFor[encoding.TextUnmarshaler]()}
	binary = methods{write: reflect.TypeFor[encoding.BinaryMarshaler](), read: reflect.TypeFor[encoding.BinaryUnmarshaler]()}
)

var msgpackFormat = format{
	tag: msgpackTag,
	methods: []methods{
		{reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.CustomDecoder](), true},
		{reflect.TypeFor[msgpack.Marshaler](), reflect.TypeFor[msgpack.Unmarshaler](), true},
		binary, text,
	},
	valueFirst: true,
}

var jsonFormat = format{
	note: " (with a JSON codec)",
	tag:  jsonTag,
	methods: []methods{
		{reflect.TypeFor[jsonv2.MarshalerTo](), reflect.TypeFor[jsonv2.UnmarshalerFrom](), true},
		{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](), true},
		text,
	},
}

func msgpackTag(field reflect.StructField) tag {
	parsed := tagparser.Parse(field.Tag.Get("msgpack"))
	t := tag{
		skip:   parsed.Name == "-",
		names:  []string{field.Name},
		inline: field.Anonymous && !parsed.HasOption("noinline"),
		omit:   parsed.HasOption("omitempty"),
	}
	if parsed.Name != "" {
		t.names[0] = parsed.Name
	}
	if alias, ok := parsed.Options["alias"]; ok {
		t.names = append(t.names, alias)
	}
	return t
}

func jsonTag(field reflect.StructField) tag {
	content := field.Tag.Get("json")
	name, _, _ := strings.Cut(content, ",")
	if name == "" {
		return tag{names: []string{field.Name}, inline: field.Anonymous}
	}
	return tag{skip: content == "-", names: []string{name}}
}

// marshalsItself says whether the format leaves t to methods of its own, which are then trusted, or
// why they cannot be.
func (f *format) marshalsItself(path string, t reflect.Type, addressable bool) (bool, error) {
	if t.Kind() == reflect.Pointer {
		return false, nil
	}
	w := f.chosen(t, func(m methods) reflect.Type { return m.write })
	r := f.chosen(t, func(m methods) reflect.Type { return m.read })
	switch {
	case w < 0 && r < 0, w < 0 && f.methods[r].lone:
		return false, nil
	case w < 0:
		return false, fmt.Errorf("%s (%v) has %s but no %s: give it both", path, t, name(f.methods[r].read), name(f.methods[r].write))
	case w != r:
		return false, fmt.Errorf("%s (%v) has %s but no %s to match: give it both", path, t, name(f.methods[w].write), name(f.methods[w].read))
	case !addressable && !t.Implements(f.methods[w].write):
		return false, fmt.Errorf("%s (%v) has %s on its pointer only, which keys and values of maps do not reach: use *%v", path, t, name(f.methods[w].write), t)
	}
	return true, nil
}

// chosen is the index of the methods that the format uses to write or to read a t, or -1.
func (f *format) chosen(t reflect.Type, side func(methods) reflect.Type) int {
	if f.valueFirst {
		if i := slices.IndexFunc(f.methods, func(m methods) bool { return t.Implements(side(m)) }); i >= 0 {
			return i
		}
	}
	return slices.IndexFunc(f.methods, func(m methods) bool { return reflect.PointerTo(t).Implements(side(m)) })
}

// anyMethod names a method by which t or its pointer would write or read itself, or is empty.
func (f *format) anyMethod(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	for _, m := range f.methods {
		for _, i := range []reflect.Type{m.write, m.read} {
			if reflect.PointerTo(t).Implements(i) {
				return name(i)
			}
		}
	}
	return ""
}

func name(i reflect.Type) string { return i.Method(0).Name }
