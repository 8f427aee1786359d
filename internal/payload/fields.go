package payload

import (
	"reflect"
	"slices"

	"github.com/vmihailenco/tagparser/v2"
)

func (c *compiler) structure(t reflect.Type) codec {
	s := &structCodec{byName: map[string]*field{}}
	if !c.fields(s, t, nil) {
		return c.library(t)
	}
	return s
}

// fields adds those of t, which is embedded at a path of indexes. It answers false if the library should take
// the struct as a whole: for tags that change its encoding, embedded pointers, two fields of one name.
func (c *compiler) fields(s *structCodec, t reflect.Type, path []int) bool {
	omitAll := false
	for f := range t.Fields() {
		tag := tagparser.Parse(f.Tag.Get("msgpack"))
		if tag.Name == "-" {
			continue
		}
		if f.Name == "_msgpack" {
			omitAll = tag.HasOption("omitempty")
		}
		c.interns = c.interns || tag.HasOption("intern")
		if tag.HasOption("as_array") || tag.HasOption("asArray") || c.interns {
			return false
		}
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		if !c.field(s, f, path, tag, omitAll || tag.HasOption("omitempty")) {
			return false
		}
	}
	return true
}

func (c *compiler) field(s *structCodec, f reflect.StructField, path []int, tag *tagparser.Tag, omit bool) bool {
	it := &field{codec: c.of(f.Type), name: f.Name, index: f.Index[0], path: path, omit: omit}
	if tag.Name != "" {
		it.name = tag.Name
	}
	if f.Anonymous && !tag.HasOption("noinline") {
		switch {
		case f.Type.Kind() == reflect.Struct && f.Type != typeOfTime && !itself(f.Type):
			// Data from before it was embedded has it under its own name.
			return c.fields(s, f.Type, append(slices.Clone(path), it.index)) && s.names(it, it.name)
		case f.Type.Kind() == reflect.Pointer || !f.IsExported() || tag.HasOption("inline"):
			return false
		}
	}
	if omit && !it.knowsEmpty(f.Type) {
		return false
	}
	it.key = appendString(nil, it.name)
	s.fields, s.omits = append(s.fields, it), s.omits || omit
	alias, ok := tag.Options["alias"]
	return s.names(it, it.name) && (!ok || s.names(it, alias))
}

// names lets data call the field so, unless another has the name.
func (c *structCodec) names(it *field, name string) bool {
	if c.byName[name] != nil {
		return false
	}
	c.byName[name] = it
	return true
}

// knowsEmpty gives the field a codec that can tell whether it is empty, if there is one.
func (f *field) knowsEmpty(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[zeroer]()) {
		f.codec = zeroCodec{f.codec}
		return true
	}
	_, foreign := f.codec.(foreignCodec)
	return !foreign || t.Kind() == reflect.Pointer
}
