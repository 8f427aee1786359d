package errcodec

import (
	"slices"
	"sync/atomic"
)

const (
	mostVisits = 200_000 // of errors for which there is no room
	mostLost   = 32      // sentinels that are remembered of them
)

// exhaust visits what there was no room for: to find the sentinels in it, and
// to know whether it ends, without which it is not safe to call Error on
// anything above it.
func (e *encoding) exhaust() {
	s := &search{registry: &e.codec.registry, open: e.overflow}
	e.overflow = nil
	if why := e.guard.follow(s.run, s.visited.Load); why == "" {
		e.finite, e.lost = len(s.open) == 0, s.found
	}
}

type search struct {
	registry *registry
	open     []error
	found    []*Entry
	visited  atomic.Int64
}

func (s *search) run() {
	for range mostVisits {
		if len(s.open) == 0 {
			return
		}
		last := len(s.open) - 1
		err := s.open[last]
		s.open = s.open[:last]
		protect(func() { s.visit(err) })
		s.visited.Add(1)
	}
}

func (s *search) visit(err error) {
	if err == nil {
		return
	}
	if _, sentinel := s.registry.find(err); sentinel != nil {
		s.found = remember(s.found, sentinel)
	}
	s.open = append(s.open, causesOf(err).list()...)
}

func remember(found []*Entry, sentinel *Entry) []*Entry {
	if len(found) == mostLost || slices.Contains(found, sentinel) {
		return found
	}
	return append(found, sentinel)
}
