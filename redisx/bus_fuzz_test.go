package redisx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

// What is stored of an event may be anything. What is read without an error is written again as it was.
func FuzzPublication(f *testing.F) {
	f.Add("stamp." + string(appendPublication(nil, broker.Publication{ID: "e1", Key: "k", Data: []byte("data")})))
	f.Add("")
	f.Add("stamp.\x00\x09e1")
	f.Fuzz(func(t *testing.T, stored string) {
		ev, err := parsePublication("news", stored)
		if err == nil {
			require.Equal(t, stored[stampLength:], string(appendPublication(nil, ev)))
		}
	})
}

func FuzzBuried(f *testing.F) {
	event := "stamp." + string(appendPublication(nil, broker.Publication{ID: "e1"}))
	f.Add("\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x03\x00\x00\x00\x03why" + event)
	f.Add("\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x03\xff\xff\xff\xffwhy")
	f.Fuzz(func(t *testing.T, stored string) {
		d, err := parseBuried("news", "g", stored)
		if err == nil {
			require.LessOrEqual(t, len(d.Reason)+len(d.Data), len(stored))
		}
	})
}

func FuzzRef(f *testing.F) {
	f.Add("3:17.2")
	f.Add(":.")
	f.Fuzz(func(t *testing.T, ref string) {
		if p, n, turn, ok := parseRef(ref); ok {
			again, m, turn2, ok := parseRef(makeRef(p, n, turn))
			require.True(t, ok)
			require.Equal(t, []any{p, n, turn}, []any{again, m, turn2})
		}
	})
}
