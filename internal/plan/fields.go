package plan

import (
	"fmt"
	"reflect"
)

// tag is what a struct field says of itself to a format.
type tag struct {
	skip   bool
	names  []string // under which it is stored or found
	inline bool     // an embedded struct stands as its fields
	omit   bool     // by msgpack, if it is empty
}

// fields checks the fields of a struct; names tells which field has which name so far.
func (w walk) fields(path string, t reflect.Type, addressable bool, names map[string]string) error {
	for field := range t.Fields() {
		if err := w.field(path, t, field, addressable, names); err != nil {
			return err
		}
		if w.omits(t, field) && vanishes(field.Type) {
			return fmt.Errorf("%s.%s is tagged omitempty, and msgpack takes every %v for empty: give %v an IsZero method or leave omitempty out",
				path, field.Name, field.Type, field.Type)
		}
	}
	return nil
}

// omits says whether the format leaves the field out when it is empty.
func (w walk) omits(t reflect.Type, field reflect.StructField) bool {
	all, ok := t.FieldByName("_msgpack")
	return w.tag(field).omit || ok && w.tag(all).omit
}

// vanishes says whether msgpack takes all values of t for empty: it looks at exported fields only.
func vanishes(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.Size() == 0 || t.Implements(reflect.TypeFor[interface{ IsZero() bool }]()) {
		return false
	}
	for field := range t.Fields() {
		if field.IsExported() || field.Anonymous {
			return false
		}
	}
	return true
}

func (w walk) field(path string, t reflect.Type, field reflect.StructField, addressable bool, names map[string]string) error {
	tag, here := w.tag(field), path+"."+field.Name
	switch {
	case !stored(field):
		return nil
	case field.Anonymous && field.Type.Kind() == reflect.Pointer:
		return fmt.Errorf("%s is embedded as a pointer, and nil would not come back as nil: give the field a name", here)
	case tag.inline && field.Type.Kind() == reflect.Struct:
		return w.fields(here, field.Type, addressable, names)
	case !field.IsExported():
		return fmt.Errorf("%s is not exported and would be dropped: export it, tag it `msgpack:\"-\"` if it may be dropped, or let %v marshal itself", here, t)
	}
	for _, name := range tag.names {
		if other, ok := names[name]; ok {
			return fmt.Errorf("%s and %s are both stored as %q: give one of them another name", other, here, name)
		}
		names[name] = here
	}
	return w.value(here, field.Type, addressable)
}

// promoted refuses structs that embed what marshals itself: its methods become those of the struct,
// and the other fields are never looked at.
func (w walk) promoted(path string, t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var count int
	var culprit reflect.StructField
	var method string
	for field := range t.Fields() {
		if !stored(field) {
			continue
		}
		count++
		if m := w.anyMethod(field.Type); field.Anonymous && m != "" {
			culprit, method = field, m
		}
	}
	if method == "" || count == 1 && culprit.Type.Kind() != reflect.Pointer {
		return nil
	}
	return fmt.Errorf("%s.%s is embedded and has %s, which would stand for all of %v: give the field a name", path, culprit.Name, method, t)
}

// stored is false for what has no content and for what was dropped on purpose, in either format.
func stored(field reflect.StructField) bool {
	if !field.IsExported() && (field.Name == "_" || field.Type.Size() == 0) {
		return false
	}
	return !msgpackFormat.tag(field).skip && !jsonFormat.tag(field).skip
}
