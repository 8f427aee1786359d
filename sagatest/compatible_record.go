package sagatest

import (
	"reflect"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/tagparser/v2"

	"github.com/skald-go/skald/internal/plan"
)

// recordOf describes a definition.
func recordOf(def *plan.Def) record {
	r := recorder{types: map[string]*shape{}}
	rec := record{
		Skald: recordFormat, Version: recordVersion, Flow: def.Name, FlowVersion: def.Version(),
		In: r.shape(def.Root.In), Out: r.shape(def.Root.Out), Parts: r.parts(def.Root, ""), Types: r.types,
	}
	if s := def.Root.Settings; s != nil {
		rec.UndoInOrder, rec.StopAtFailed = s.UndoInOrder, s.StopAtFailed
	}
	return rec
}

// recorder collects the types that a definition has.
type recorder struct{ types map[string]*shape }

// parts gives what of n is recorded, one after the other.
func (r recorder) parts(n *plan.Node, outer string) (all []part) {
	path := plan.Under(outer, n.Name)
	switch n.Kind {
	case plan.Map:
		return nil
	case plan.Seq, plan.Join:
		for _, kid := range n.Kids {
			all = append(all, r.parts(kid, path)...)
		}
		return all
	}
	p := part{Path: path, Kind: n.Kind.String(), Optional: n.Optional, Signal: n.Signal, Within: n.Within > 0, Parallel: n.Parallel}
	for _, kid := range n.Kids {
		p.Sides = append(p.Sides, r.parts(kid, n.Inside(path)))
	}
	r.details(&p, n)
	return []part{p}
}

func (r recorder) details(p *part, n *plan.Node) {
	switch n.Kind {
	case plan.Step:
		p.Undo, p.Pivot, p.Pass = n.Step.Undo != nil, n.Step.Pivot, n.Step.Pass
		p.In, p.Out = r.shape(n.In), r.shape(n.Out)
	case plan.Choice:
		p.Labels = n.Labels
	case plan.Each:
		p.Out = r.shape(n.Slice)
	case plan.Wait:
		p.Out = r.shape(n.Letter)
	case plan.Child:
		p.In, p.Out = r.shape(n.In), r.shape(n.Out)
		if n.Remote != nil {
			p.Child = n.Remote.Service + "/" + n.Remote.Flow
			return
		}
		p.Child, p.ChildV = n.Child.Name, n.Child.Version()
		p.Sides = [][]part{r.parts(n.Child.Root, p.Path)}
	}
}

// shape is what a codec makes of a type. Named types are in record.Types, so that a type may hold itself.
type shape struct {
	Kind   string            `json:"kind"` // int, uint, float, string, bool, bytes, time, list, map, struct, or custom
	Bits   int               `json:"bits,omitempty"`
	Key    string            `json:"key,omitempty"`
	Elem   string            `json:"elem,omitempty"`
	Length int               `json:"length,omitempty"` // of an array
	Fields map[string]string `json:"fields,omitempty"` // name, and type
	names  map[string]string // aliases of fields, in the present definition
}

// shape describes t, and gives the name under which it is in types.
func (r recorder) shape(t *plan.Type) string {
	if t == nil {
		return ""
	}
	return r.of(t.Go)
}

func (r recorder) of(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.String()
	if r.types[name] == nil {
		s := &shape{}
		r.types[name] = s
		r.fill(s, t)
	}
	return name
}

func (r recorder) fill(s *shape, t reflect.Type) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.Kind = "time"
		return
	case writesItself(t):
		s.Kind = "custom"
		return
	}
	switch k := t.Kind(); k {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.Kind, s.Bits = "int", t.Bits()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.Kind, s.Bits = "uint", t.Bits()
	case reflect.Float32, reflect.Float64:
		s.Kind, s.Bits = "float", t.Bits()
	case reflect.Slice, reflect.Array:
		s.Kind = "list"
		if k == reflect.Array {
			s.Length = t.Len()
		}
		if t.Elem().Kind() == reflect.Uint8 {
			s.Kind = "bytes"
			return
		}
		s.Elem = r.of(t.Elem())
	case reflect.Map:
		s.Kind, s.Key, s.Elem = "map", r.of(t.Key()), r.of(t.Elem())
	case reflect.Struct:
		s.Kind, s.Fields, s.names = "struct", map[string]string{}, map[string]string{}
		r.fields(s, t)
	default:
		s.Kind = k.String()
	}
}

func (r recorder) fields(s *shape, t reflect.Type) {
	for f := range t.Fields() {
		tag := tagparser.Parse(f.Tag.Get("msgpack"))
		switch {
		case tag.Name == "-" || f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && f.Type.Kind() == reflect.Struct && !tag.HasOption("noinline") && !writesItself(f.Type):
			r.fields(s, f.Type)
			continue
		case !f.IsExported():
			continue
		}
		name := f.Name
		if tag.Name != "" {
			name = tag.Name
		}
		s.Fields[name] = r.of(f.Type)
		if alias, ok := tag.Options["alias"]; ok {
			s.names[alias] = name
		}
	}
}

// writesItself says that only t's own methods know its form.
func writesItself(t reflect.Type) bool {
	if t.PkgPath() == "" && !strings.Contains(t.Name(), ".") {
		return false
	}
	p := reflect.PointerTo(t)
	for _, i := range []reflect.Type{
		reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler](),
		reflect.TypeFor[interface{ MarshalBinary() ([]byte, error) }](), reflect.TypeFor[interface{ MarshalText() ([]byte, error) }](),
	} {
		if p.Implements(i) {
			return true
		}
	}
	return false
}
