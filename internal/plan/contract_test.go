package plan_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/internal/plan"
)

type tree struct {
	Name string
	Kids []tree
}

type line struct {
	SKU   string `msgpack:"sku"`
	Count uint8
	Price float32
	Meta  map[string]bool
	Sum   *big.Int
	Local int `msgpack:"-"`
}

type embedding struct {
	tree
	At   time.Time
	Raw  []byte
	Note *string
}

func TestContract(t *testing.T) {
	for want, types := range map[string][2]*plan.Type{
		"int>text": {plan.TypeOf[uint16](), plan.TypeOf[string]()},
		"{Count:int,Meta:<textbool>,Price:float,Sum:?,sku:text}>[int]":         {plan.TypeOf[line](), plan.TypeOf[[3]int]()},
		"{At:time,Kids:[{Kids:?,Name:text}],Name:text,Note:text,Raw:bytes}>{}": {plan.TypeOf[embedding](), plan.TypeOf[struct{}]()},
		"time>?": {plan.TypeOf[time.Time](), plan.TypeOf[*big.Int]()},
	} {
		got := plan.Contract(types[0], types[1])
		require.Equal(t, want, got)
		require.NoError(t, plan.Agree(got, got))
	}
}

func TestAgree(t *testing.T) {
	for name, c := range map[string]struct{ caller, flow, want string }{
		"a field more":           {"{a:int}>int", "{a:int,b:text}>int", ""},
		"a field less":           {"{a:int,b:text}>int", "{a:int}>int", ""},
		"no field in common":     {"{a:int}>int", "{b:int}>int", "the input is {a:int} for the caller and {b:int} for the flow: they have no field in common"},
		"an empty struct":        {"{}>int", "{b:int}>int", ""},
		"another output":         {"int>int", "int>text", "the output is int for the caller and text for the flow: it is int here and text there"},
		"deep inside":            {"{a:[{b:<textint>}]}>int", "{a:[{b:<textbool>}]}>int", ".a[].b[] it is int here and bool there"},
		"a list and its element": {"[int]>int", "int>int", "it is [int] here and int there"},
		"what nobody can tell":   {"?>{a:?}", "{x:int}>{a:[text]}", ""},
		"nonsense":               {"{a", "int>int", ""},
		"nothing":                {"", "int>int", ""},
		"too deep":               {strings.Repeat("[", 1000), strings.Repeat("[", 1000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := plan.Agree(c.caller, c.flow)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzAgree(f *testing.F) {
	f.Add("{a:[{b:<textint>}]}>int", "{a:int}>?")
	f.Add("{:", "<")
	f.Fuzz(func(t *testing.T, a, b string) {
		_ = plan.Agree(a, b)
		if err := plan.Agree(a, a); err != nil {
			t.Fatalf("%q does not agree with itself: %v", a, err)
		}
	})
}
