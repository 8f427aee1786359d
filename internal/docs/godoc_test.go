package docs_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parse gives the files of a package, its tests or the rest of it.
func parse(t *testing.T, folder string, tests bool) (parsed []*ast.File) {
	t.Helper()
	for _, file := range files(t, ".go") {
		if path.Dir(file) != folder || strings.HasSuffix(file, "_test.go") != tests {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		parsed = append(parsed, f)
	}
	require.NotEmpty(t, parsed, folder)
	return parsed
}

// packages gives the folders whose packages others may import.
func packages(t *testing.T) (folders []string) {
	for _, file := range files(t, ".go") {
		folder := path.Dir(file)
		private := strings.Contains(folder, "internal") || strings.Contains(folder, "testdata") || strings.HasPrefix(folder, "examples")
		if !private && !strings.HasSuffix(file, "_test.go") && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders
}

func TestEveryPackageIsDocumented(t *testing.T) {
	folders := packages(t)
	require.Subset(t, folders, []string{"step", "flow", "errcodec", "broker", "inmem"})
	for _, folder := range folders {
		comments := 0
		for _, f := range parse(t, folder, false) {
			if f.Doc != nil {
				comments++
				assert.Regexp(t, "^Package "+f.Name.Name+" ", f.Doc.Text(), folder)
			}
		}
		assert.Equal(t, 1, comments, "comments of package %s", folder)
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, folder := range packages(t) {
		for _, f := range parse(t, folder, false) {
			for _, decl := range f.Decls {
				for _, name := range undocumented(decl) {
					assert.Fail(t, "no comment", "%s.%s", folder, name)
				}
			}
		}
	}
}

// undocumented gives the exported names of a declaration that no comment stands at.
func undocumented(decl ast.Decl) (names []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && ast.IsExported(receiver(d, d.Name.Name)) {
			names = append(names, strings.TrimPrefix(receiver(d, "")+"."+d.Name.Name, "."))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			names = append(names, undocumentedSpec(spec, d.Doc != nil)...)
		}
	}
	return names
}

func undocumentedSpec(spec ast.Spec, whole bool) (names []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if !whole && s.Doc == nil && s.Comment == nil {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if !whole && name.IsExported() && s.Doc == nil && s.Comment == nil {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// receiver names the type that a method is of, and gives otherwise for a function.
func receiver(d *ast.FuncDecl, otherwise string) string {
	if d.Recv == nil {
		return otherwise
	}
	t := d.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name
		default:
			return otherwise
		}
	}
}

// The comments of package broker are the specification of brokers.
func TestEveryMethodOfTheContractIsDocumented(t *testing.T) {
	methods := 0
	for _, f := range parse(t, "broker", false) {
		ast.Inspect(f, func(n ast.Node) bool {
			if face, ok := n.(*ast.InterfaceType); ok {
				for _, method := range face.Methods.List {
					methods++
					assert.NotNil(t, method.Doc, "%v has no comment", method.Names)
				}
			}
			return true
		})
	}
	require.Greater(t, methods, 5)
}

// What a user composes, sets and asks has an example that runs, named as godoc wants it.
func TestEverythingAUserCallsHasAnExample(t *testing.T) {
	self := []string{ // what every other example shows, or nobody calls
		"Flow.Name", "Flow.Plan", "Flow.Start", "Step.Name", "Step.Plan", "ChildSaga.Plan", "Ref.Plan", "Future.ID", "State.String",
		"Error.Error", "Error.Unwrap", "RunningError.Error", "RunningError.Unwrap", "LockedError.Error", "LockedError.Unwrap", "Claim.String", "PanicError.Error", "PanicError.Unwrap",
		"Headers.Get", "Headers.Set", "Headers.Keys", "Key.Format",
		"NewEngine", "New", "NewSignal", "NewTopic", "Topic.Name", "NewOpen", "Open.Name", "Party.Name", "Case", "MsgPack", "NewPanic", "RestorePanic",
	}
	for _, folder := range []string{"flow", "step"} {
		shown := map[string]bool{}
		for _, e := range doc.Examples(parse(t, folder, true)...) {
			assert.True(t, e.Output != "" || e.EmptyOutput, "%s: Example%s is not run: it has no output", folder, e.Name)
			name := strings.Split(e.Name, "_")
			shown[name[0]] = true
			if len(name) > 1 {
				shown[name[0]+"."+name[1]] = true
			}
		}
		for _, f := range parse(t, folder, false) {
			for _, decl := range f.Decls {
				d, ok := decl.(*ast.FuncDecl)
				if !ok || !d.Name.IsExported() || !ast.IsExported(receiver(d, d.Name.Name)) {
					continue
				}
				name := strings.TrimPrefix(receiver(d, "")+"."+d.Name.Name, ".")
				assert.True(t, shown[name] || slices.Contains(self, name), "%s: no Example%s", folder, strings.ReplaceAll(name, ".", "_"))
			}
		}
	}
}
