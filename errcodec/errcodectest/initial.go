package errcodectest

import (
	"go/ast"
	"go/constant"
	"go/types"
)

// initial is what the source shows of a variable's first value.
type initial struct {
	typ     types.Type
	text    string
	hasText bool
	other   bool // it is the variable of another package, which is not looked at
}

// initOf looks for the declaration of v.
func (s *source) initOf(v *types.Var) (found initial) {
	for _, file := range s.files {
		for _, decl := range file.Decls {
			if general, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range general.Specs {
					if value := s.valueFor(spec, v); value != nil {
						return s.initial(value)
					}
				}
			}
		}
	}
	return initial{typ: v.Type()}
}

func (s *source) valueFor(spec ast.Spec, v *types.Var) ast.Expr {
	values, ok := spec.(*ast.ValueSpec)
	if !ok || len(values.Values) != len(values.Names) {
		return nil
	}
	for i, name := range values.Names {
		if s.info.Defs[name] == v {
			return values.Values[i]
		}
	}
	return nil
}

// initial knows errors.New and fmt.Errorf of one constant, and the names of other variables.
func (s *source) initial(value ast.Expr) initial {
	found := initial{typ: s.info.Types[value].Type}
	switch value := ast.Unparen(value).(type) {
	case *ast.CallExpr:
		name := s.callee(value)
		if (name == "errors.New" || name == "fmt.Errorf") && len(value.Args) == 1 {
			text := s.info.Types[value.Args[0]].Value
			found.hasText = text != nil
			if found.hasText {
				found.text = constant.StringVal(text)
			}
		}
	case *ast.SelectorExpr:
		v, ok := s.info.Uses[value.Sel].(*types.Var)
		found.other = ok && v.Pkg() != s.types
	}
	return found
}

// callee is the full name of the function that is called, "" if it is none of a package.
func (s *source) callee(call *ast.CallExpr) string {
	var name *ast.Ident
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.SelectorExpr:
		name = f.Sel
	case *ast.Ident:
		name = f
	}
	if f, ok := s.info.Uses[name].(*types.Func); ok {
		return fullName(f)
	}
	return ""
}

// eachSentinel calls f for every package variable that the source gives to
// errcodec.Sentinel.
func (s *source) eachSentinel(f func(types.Object)) {
	for _, file := range s.files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && len(call.Args) == 2 && s.callee(call) == "github.com/skald-go/skald/errcodec.Sentinel" {
				s.variable(call.Args[1], f)
			}
			return true
		})
	}
}

func (s *source) variable(e ast.Expr, f func(types.Object)) {
	var name *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.SelectorExpr:
		name = e.Sel
	case *ast.Ident:
		name = e
	}
	if v, ok := s.info.Uses[name].(*types.Var); ok {
		f(v)
	}
}
