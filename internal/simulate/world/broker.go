package world

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// Stored is what the broker has of one saga, and what the oracle has seen of it.
type Stored struct {
	broker.Record
	State   broker.State
	Until   time.Time
	Outcome []byte
	Facts   []saga.Fact // Journal, decoded
	Paths   map[string]*Standing
	Owner   *Process
	Relays  int

	family  *family
	flow    *definition
	started time.Time
	known   map[string]bool // IDs of events that were delivered
	told    []broker.Event  // everything that its owners were ever told: it may come again
	last    *Process        // made the last transition
	kept    bool            // which left the saga with it
	ended   int             // how often it finished
	settled bool            // by hand
	pivoted bool
	forgot  bool // its broker forgot a write
	busy    bool // it is in World.busy
	calls   []*Call
	errs    map[string]bool   // texts of the errors that its attempts answered
	signals map[string][]byte // by the IDs of their events
}

// post is mail on its way to a saga.
type post struct {
	to    string
	event broker.Event
}

// Start stores a saga, and lets a process have it at once.
func (w *World) Start(flow, id string, input any) *Stored {
	return w.startIn(&family{dice: w.dice, left: w.Faults}, flow, id, input)
}

func (w *World) startIn(f *family, flow, id string, input any) *Stored {
	prog := w.flows[flow].Program
	data, err := w.Env.Payloads.Append(nil, prog.Def.Root.In, input)
	if err != nil {
		w.fail("encode the input: %v", err)
	}
	h := saga.Header{Started: w.Now, Headers: map[string]string{"trace": "t1"}, Input: data}
	s := w.born(f, broker.Start{ID: id, Served: broker.Served{Flow: flow, Version: prog.Def.Version()}, Record: h.Append(nil)})
	w.own(s, saga.New(&w.Env, prog, id, h, input))
	return s
}

func (w *World) born(f *family, start broker.Start) *Stored {
	h, err := saga.DecodeHeader(start.Record)
	if err != nil {
		w.fail("%s: header: %v", start.ID, err)
	}
	s := &Stored{
		Record: broker.Record{Start: start, Rev: 1}, State: broker.Ready, Paths: map[string]*Standing{},
		family: f, flow: w.flows[start.Flow], started: h.Started,
	}
	w.stored[start.ID] = s
	w.sagas, w.open = append(w.sagas, s), append(w.open, s)
	w.touch(s)
	for _, ev := range w.early[start.ID] {
		w.Deliver(start.ID, ev)
	}
	delete(w.early, start.ID)
	return s
}

// Deliver puts an event into a mailbox.
func (w *World) Deliver(id string, ev broker.Event) {
	s := w.stored[id]
	if s == nil {
		w.early[id] = append(w.early[id], ev)
		return
	}
	if s.known[ev.ID] || s.State == broker.Finished {
		return
	}
	w.logf("%s gets %s %s", id, ev.Kind, ev.ID)
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[ev.ID] = true
	s.Mail = append(s.Mail, ev)
	switch s.State {
	case broker.Parked, broker.Held:
		s.State = broker.Ready
	case broker.Owned:
		s.Owner.Inbox = append(s.Owner.Inbox, ev)
		s.Owner.asleep = false
	}
	w.touch(s)
}

// Post delivers an event of the given kind under a new ID.
func (w *World) Post(id, kind, name string, data []byte) string {
	ev := w.event(kind, name, data)
	w.Deliver(id, ev)
	return ev.ID
}

func (w *World) event(kind, name string, data []byte) broker.Event {
	w.mails++
	return broker.Event{ID: fmt.Sprintf("%s-%d", kind, w.mails), Kind: kind, Name: name, Data: data, At: w.Now}
}

// Resolve hands a decision to a dead letter.
func (w *World) Resolve(s *Stored, kind, name string, note saga.Note) {
	if s.State != broker.Buried {
		w.fail("%s is %v, not buried", s.ID, s.State)
	}
	w.Post(s.ID, kind, name, note.Append(nil))
	s.State = broker.Ready
	w.touch(s)
}

// submit commits t for p: applied, acknowledged again, or refused.
func (w *World) submit(p *Process, t broker.Transition) (broker.Ack, error) {
	s := p.saved
	switch {
	case p.worker.fenced:
		return broker.Ack{}, broker.ErrFenced
	case s.Owner == p && s.Rev == t.Rev:
		return w.Apply(s, t), nil
	case s.last == p && s.Rev == t.Rev+1:
		return s.ack(), nil
	case s.Owner == p:
		w.fail("%s: a transition from revision %d at revision %d", s.ID, t.Rev, s.Rev)
	}
	return broker.Ack{}, broker.ErrStale
}

// Apply is what a broker does with a transition.
func (w *World) Apply(s *Stored, t broker.Transition) broker.Ack {
	if len(t.Append) > 1000 {
		w.fail("%s: a transition with %d entries, of %q", s.ID, len(t.Append), t.Append[0].Path)
	}
	w.tally.Commits++
	s.Rev++
	s.Takeovers = 0
	s.last = s.Owner
	for _, e := range t.Append {
		e.Data = slices.Clone(e.Data)
		s.Journal = append(s.Journal, e)
		w.learn(s, e)
	}
	if t.Memo != nil || t.Next == broker.Finish {
		s.Memo = slices.Clone(t.Memo)
	}
	s.Mail = slices.DeleteFunc(s.Mail, func(ev broker.Event) bool { return slices.Contains(t.Consume, ev.ID) })
	w.checkTransition(s, t)
	w.logf("%s: revision %d, %s", s.ID, s.Rev, nextNames[t.Next])
	w.move(s, t)
	for _, msg := range t.Send {
		w.send(s.family, msg)
	}
	if s.kept = s.State == broker.Owned; !s.kept {
		s.Owner = nil
	}
	return s.ack()
}

func (s *Stored) ack() broker.Ack {
	ack := broker.Ack{Rev: s.Rev, Owned: s.kept}
	if ack.Owned {
		ack.Mail = slices.Clone(s.Mail)
	}
	return ack
}

var nextNames = [...]string{"keep", "park", "hold", "bury", "finish", "give back", "reject"}

func (w *World) move(s *Stored, t broker.Transition) {
	switch t.Next {
	case broker.Park, broker.Hold:
		if len(s.Mail) > 0 {
			return
		}
		s.State, s.Until, s.Outcome = broker.Parked, t.Until, nil
		if t.Next == broker.Hold {
			s.State, s.Outcome = broker.Held, slices.Clone(t.Outcome)
		}
	case broker.Bury:
		s.State, s.Outcome = broker.Buried, slices.Clone(t.Outcome)
	case broker.Finish:
		s.State, s.Outcome, s.Mail = broker.Finished, slices.Clone(t.Outcome), nil
		s.ended++
		w.open = slices.DeleteFunc(w.open, func(other *Stored) bool { return other == s })
	case broker.GiveBack, broker.Reject:
		s.State = broker.Ready
	}
	w.touch(s)
}

func (w *World) send(f *family, msg broker.Message) {
	if msg.Event != nil {
		ev := *msg.Event
		ev.Data = slices.Clone(ev.Data)
		w.Deliver(msg.To, ev)
		return
	}
	if w.stored[msg.To] == nil {
		w.logf("%s is born", msg.To)
		start := *msg.Start
		start.Record = slices.Clone(start.Record)
		w.born(f, start)
	}
}

// lost says that a worker does not have the saga any more.
func lost(err error) bool { return errors.Is(err, broker.ErrStale) || errors.Is(err, broker.ErrFenced) }
