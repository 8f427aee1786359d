package errcodec

import (
	"maps"
	"reflect"
	"slices"
)

// Registered is what a codec knows under one key.
type Registered struct {
	Key      string
	Type     reflect.Type // of the sentinel, too
	Sentinel error        // nil if a type is registered
	Standard bool         // built in
}

// Registered lists what the codec knows, in order of the keys. Keys are stored
// for as long as errors are: a test that compares them with a list notices
// when one is changed by mistake.
func (c *Codec) Registered() []Registered {
	c = c.orStandard()
	list := make([]Registered, 0, len(c.keys))
	for _, key := range slices.Sorted(maps.Keys(c.keys)) {
		e := c.keys[key]
		list = append(list, Registered{Key: key, Type: e.typ, Sentinel: e.sentinel, Standard: e.standard})
	}
	return list
}
