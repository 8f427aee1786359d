package plan

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNamesThatPathsCanBeMadeOf(t *testing.T) {
	for name, c := range map[string]struct{ name, want string }{
		"plain":           {"reserve", ""},
		"with a space":    {"reserve hotel", ""},
		"other letters":   {"резерв", ""},
		"longest":         {strings.Repeat("n", MaxName), ""},
		"empty":           {"", "it is empty"},
		"too long":        {strings.Repeat("n", MaxName+1), "it has 256 bytes, more than 255"},
		"not UTF-8":       {"\xff", "it is not valid UTF-8"},
		"slash":           {"a/b", `it contains '/', which paths are made with`},
		"bracket":         {"a[0]", `it contains '[', which paths are made with`},
		"closing bracket": {"]", `it contains ']', which paths are made with`},
		"number sign":     {"a#1", `it contains '#', which paths are made with`},
		"tilde":           {"~", `it contains '~', which paths are made with`},
		"line break":      {"a\nb", "it contains U+000A, which cannot be printed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckName(c.name)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestNamesInPathsComeBackBySplitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.String().Filter(func(s string) bool { return CheckName(s) == nil }), 1, 4).Draw(t, "names")
		path := ""
		for _, name := range names {
			path = Under(path, name)
		}
		require.Equal(t, names, strings.Split(path, "/"))
	})
}

func TestNodesComeWithTheirPathsInOrder(t *testing.T) {
	leaf := func(name string) *Node { return &Node{Kind: Step, Name: name} }
	def := &Def{Name: "f", Root: &Node{Kind: Seq, Kids: []*Node{
		leaf("a"),
		{Kind: Map},
		{Kind: Join, Kids: []*Node{leaf("b")}},
		{Kind: Each, Name: "each", Kids: []*Node{{Kind: Seq, Name: "inner", Kids: []*Node{leaf("c")}}}},
		{Kind: Loop, Name: "loop", Kids: []*Node{leaf("d")}},
		{Kind: Child, Name: "child", Child: &Def{}},
	}}}
	var got []string
	for path, n := range def.Nodes() {
		got = append(got, fmt.Sprint(n.Kind, " ", path))
	}
	require.Equal(t, []string{
		"step a", "step b", "each each", "flow each[]/inner", "step each[]/inner/c", "loop loop", "step loop#/d", "child child",
	}, got)

	for path := range def.Nodes() {
		if path == "each[]/inner" {
			return
		}
		require.NotContains(t, path, "loop", "the rest is not visited after a break")
	}
}

func TestVersionsCountFromOne(t *testing.T) {
	require.Equal(t, 1, (&Def{Root: &Node{}}).Version())
	require.Equal(t, 1, (&Def{Root: &Node{Settings: &Settings{}}}).Version())
	require.Equal(t, 3, (&Def{Root: &Node{Settings: &Settings{Version: 3}}}).Version())
}

func TestWithNameCopies(t *testing.T) {
	n := &Node{Kind: Step, Name: "a"}
	require.Equal(t, &Node{Kind: Step, Name: "b"}, n.WithName("b"))
	require.Equal(t, "a", n.Name)
}

func TestTheOutermostMarkCounts(t *testing.T) {
	inner := &Mark{Class: Refused, Err: io.EOF}
	outer := &Mark{Class: Permanent, Err: fmt.Errorf("read: %w", inner)}
	require.Same(t, outer, MarkOf(fmt.Errorf("step: %w", outer)))
	require.Nil(t, MarkOf(io.EOF))
	require.Nil(t, MarkOf(nil))
	require.ErrorIs(t, outer, io.EOF)
	require.EqualError(t, outer, "read: EOF")
	require.EqualError(t, &Mark{Class: NotYet, After: time.Second}, "step: not yet, ask again in 1s")
	require.EqualError(t, &Mark{Class: Proceed, Out: 1}, "step: proceed with another output")
}

func TestCastGivesInterfacesTheirNilBack(t *testing.T) {
	require.NoError(t, Cast[error](nil))
	require.Equal(t, io.EOF, Cast[error](io.EOF))
	require.Equal(t, 0, Cast[int](nil))
	require.Panics(t, func() { Cast[int]("1") })
}

func TestTypesKnowWhetherTheirValuesAreShared(t *testing.T) {
	for name, c := range map[string]struct {
		typ  *Type
		want bool
	}{
		"int":              {TypeOf[int](), false},
		"flat struct":      {TypeOf[plain](), false},
		"array":            {TypeOf[[2]int](), false},
		"array of slices":  {TypeOf[[2][]int](), true},
		"slice":            {TypeOf[[]int](), true},
		"map":              {TypeOf[map[int]int](), true},
		"pointer":          {TypeOf[*int](), true},
		"pointer deep in":  {TypeOf[struct{ In node }](), true},
		"time":             {TypeOf[struct{ At time.Time }](), false},
		"nothing referred": {TypeOf[struct{ In plain }](), false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, c.typ.Shared) })
	}
}

func TestTypesDecodeIntoValues(t *testing.T) {
	typ := TypeOf[plain]()
	data, err := typ.Encode(jsonCodec{}, plain{A: 1})
	require.NoError(t, err)
	v, err := typ.Decode(jsonCodec{}, data)
	require.NoError(t, err)
	require.Equal(t, plain{A: 1}, v)
	require.Equal(t, plain{}, typ.Zero())

	_, err = typ.Decode(jsonCodec{}, []byte("["))
	require.ErrorContains(t, err, "decode plan.plain: ")
	_, err = typ.Encode(failing{}, plain{})
	require.ErrorIs(t, err, io.EOF)
}

type failing struct{ Codec }

func (failing) Marshal(any) ([]byte, error) { return nil, errors.Join(io.EOF) }
