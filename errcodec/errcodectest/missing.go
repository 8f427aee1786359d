package errcodectest

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/skald-go/skald/errcodec"
)

// Missing reports each exported error variable and each exported error type
// of the packages that codec does not know, with the line that would register
// it. Packages are patterns as the go command takes them, relative to the
// directory of the test: "./...". A pattern with a minus in front excepts one
// name by its package's name and its own: "-bank.ErrInternal".
//
// A variable counts as registered if the codec has a sentinel with its text,
// or an entry for its type. Where the source does not show either, it counts
// if one of the packages gives it to errcodec.Sentinel.
func Missing(t TB, codec *errcodec.Codec, packages ...string) {
	t.Helper()
	missing, err := find(codec, packages)
	if err != nil {
		t.Errorf("errcodectest: %v", err)
	}
	for _, line := range missing {
		t.Errorf("errcodec: not registered: %s", line)
	}
}

func find(codec *errcodec.Codec, packages []string) (missing []string, err error) {
	except := slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return p[0] != '-' })
	packages = slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return p[0] == '-' })
	sources, err := load(packages)
	if err != nil {
		return nil, err
	}
	known := knowledgeOf(codec, sources)
	for _, s := range sources {
		scope := s.types.Scope()
		for _, name := range scope.Names() {
			line := known.missing(s, scope.Lookup(name))
			if line != "" && !slices.Contains(except, "-"+s.types.Name()+"."+name) {
				missing = append(missing, line)
			}
		}
	}
	return missing, nil
}

// knowledge is what a codec knows, in words that can be compared with source.
type knowledge struct {
	types     map[string]bool // import path and name of registered types
	texts     map[string]bool // of sentinels
	variables map[string]bool // import path and name, as given to errcodec.Sentinel
}

func knowledgeOf(codec *errcodec.Codec, sources []*source) knowledge {
	k := knowledge{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, known := range codec.Registered() {
		if known.Sentinel != nil {
			k.texts[known.Sentinel.Error()] = true
			continue
		}
		typ := known.Type
		if typ.Name() == "" {
			typ = typ.Elem()
		}
		name, _, _ := strings.Cut(typ.Name(), "[")
		k.types[typ.PkgPath()+"."+name] = true
	}
	for _, s := range sources {
		s.eachSentinel(func(v types.Object) { k.variables[fullName(v)] = true })
	}
	return k
}

// missing returns the line that would register object, "" if none is needed.
func (k knowledge) missing(s *source, object types.Object) string {
	switch object := object.(type) {
	case *types.TypeName:
		if !object.Exported() || object.IsAlias() || types.IsInterface(object.Type()) || !isError(object.Type()) || k.types[fullName(object)] {
			return ""
		}
		return fmt.Sprintf("errcodec.Type(%q, encode, decode), for %s.%s", keyOf(object), s.types.Name(), object.Name())
	case *types.Var:
		if !object.Exported() || !isError(object.Type()) || k.knowsVariable(s, object) {
			return ""
		}
		return fmt.Sprintf("errcodec.Sentinel(%q, %s.%s)", keyOf(object), s.types.Name(), object.Name())
	}
	return ""
}

func (k knowledge) knowsVariable(s *source, v *types.Var) bool {
	init := s.initOf(v)
	if named := namedType(init.typ); named != nil && k.types[fullName(named)] {
		return true
	}
	return k.variables[fullName(v)] || init.hasText && k.texts[init.text] || init.other
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// isError reports whether a value of the type or a pointer to it is an error.
func isError(t types.Type) bool {
	return types.Implements(t, errorType) || types.Implements(types.NewPointer(t), errorType)
}

func namedType(t types.Type) types.Object {
	if pointer, ok := t.(*types.Pointer); ok {
		t = pointer.Elem()
	}
	if named, ok := t.(*types.Named); ok {
		return named.Obj()
	}
	return nil
}

func fullName(o types.Object) string {
	if o.Pkg() == nil {
		return o.Name()
	}
	return o.Pkg().Path() + "." + o.Name()
}

// keyOf proposes a key: bank.ErrCardDeclined becomes bank.card-declined.
func keyOf(o types.Object) string {
	key := []byte(o.Pkg().Name() + ".")
	name := strings.TrimPrefix(o.Name(), "Err")
	for i, r := range name {
		if token.IsExported(name[i:]) && i > 0 && !token.IsExported(name[i-1:]) {
			key = append(key, '-')
		}
		key = append(key, strings.ToLower(string(r))...)
	}
	return string(key)
}
