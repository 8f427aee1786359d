package world

import (
	"fmt"
	"strings"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Nudge does what a person or the world has to do for sagas that do not go on by themselves. It says false if everything has ended.
func (w *World) Nudge() bool {
	helped := map[*family]bool{}
	for _, s := range append([]*Stored(nil), w.open...) {
		if s.State == broker.Buried && !helped[s.family] {
			helped[s.family] = true
			w.decide(s)
		}
	}
	for _, s := range append([]*Stored(nil), w.open...) {
		if s.State == broker.Parked && !helped[s.family] && w.signalTo(s) {
			helped[s.family] = true
		}
	}
	if len(helped) == 0 && len(w.open) > 0 {
		s := w.open[0]
		w.acting = s.family.number
		w.Adopt(s)
		w.fail("%s is left, and nothing will ever happen to it:\n%s", s.ID, s.Owner.M.Dump(w.Now))
	}
	return len(helped) > 0
}

// signalTo sends the signal that a parked saga waits for, if it waits for one.
func (w *World) signalTo(s *Stored) bool {
	m, err := saga.Load(&w.Env, s.flow.Program, &s.Record, w.Now)
	if err != nil {
		w.fail("load %s: %v", s.ID, err)
	}
	defer m.Release()
	for _, name := range m.Awaited() {
		data, _ := Payloads{}.Marshal(s.signal())
		w.Post(s.ID, saga.EventSignal, name, data)
		return true
	}
	return false
}

// decide is what a person does with a dead letter.
func (w *World) decide(s *Stored) {
	note, d := saga.Note{Who: "ann", Why: "because"}, s.family.dice
	f := w.Fails[s.ID]
	switch stuck := stuckUndos(f); {
	case hopeless(f.Cause) || w.bereft(s) || OneIn(d, 10):
		note.Out, _ = Payloads{}.Marshal(s.example("by hand"))
		if d.N(2) == 0 {
			note.Out, note.Err = nil, []byte("a person ended it")
		}
		s.settled = true
		w.Resolve(s, saga.EventSettle, "", note)
	case len(stuck) > 0 && d.N(3) == 0:
		w.Resolve(s, saga.EventSkip, Pick(d, stuck...), note)
	default:
		if s.Relays++; s.Relays > 1 && s.family.left == 0 {
			w.fail("%s: a relay without faults did not end it", s.ID)
		}
		s.family.left = 0
		w.Resolve(s, saga.EventRelay, "", note)
	}
}

// hopeless says that a relay meets the same again: the flow has no way on.
func hopeless(err error) bool {
	text := fmt.Sprint(err)
	return strings.Contains(text, "no such case") || strings.Contains(text, "within its rounds")
}

// bereft says that a person ended a child of a saga that is past its pivot.
func (w *World) bereft(s *Stored) bool {
	if !s.pivoted {
		return false
	}
	for _, child := range w.sagas {
		if child.settled && strings.HasPrefix(child.ID, s.ID+"/") {
			return true
		}
	}
	return false
}

// stuckUndos gives the paths of the undos that failed for good.
func stuckUndos(f saga.Failure) (paths []string) {
	for _, u := range f.Undone {
		if u.Err != nil {
			paths = append(paths, u.Path)
		}
	}
	return paths
}
