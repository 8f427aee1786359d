package flow

import (
	"crypto/rand"
	"fmt"
)

// Planned is a start that is yet to be made: what names the saga, without its input. It is for packages that store a start
// and make it later, such as outbox.
type Planned struct {
	Flow    string
	Version int
	ID      string
	Headers Headers // of WithHeaders; nil if there are none
}

// Planned says what a Start with these options would start. Without an ID among them it makes a new one, each time
// another. The errors are ErrID and ErrZero.
func (f Flow[I, O]) Planned(opts ...StartOption) (Planned, error) {
	def, err := f.definition()
	if err != nil {
		return Planned{}, fmt.Errorf("flow: plan a start: %w: %w", ErrZero, err)
	}
	var s starting
	for _, opt := range opts {
		opt(&s)
	}
	if err := s.identify(rand.Reader); err != nil {
		return Planned{}, fmt.Errorf("flow: plan a start of %q: %w", def.Name, err)
	}
	return Planned{Flow: def.Name, Version: def.Version(), ID: s.id, Headers: s.headers}, nil
}
