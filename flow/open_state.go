package flow

import (
	"fmt"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
)

// openPhase is what an entry or an event of an open saga says.
type openPhase string

const (
	openStart    openPhase = "start"
	openJoin     openPhase = "join"
	openDone     openPhase = "done"
	openCommit   openPhase = "commit"
	openRollback openPhase = "rollback"
	openEnd      openPhase = "end"
)

// openLine is an entry of an open saga's ledger.
type openLine struct {
	ID     string `msgpack:"-"`
	Kind   string `msgpack:"kind"`
	Party  string `msgpack:"party,omitempty"`
	Digest []byte `msgpack:"digest,omitempty"` // of the plain value
	Data   []byte `msgpack:"data,omitempty"`   // value, or why it was rolled back
	Last   bool   `msgpack:"last,omitempty"`   // the saga has ended with it
}

func (l openLine) entry() (broker.LedgerEntry, error) {
	data, err := msgpack.Marshal(l)
	return broker.LedgerEntry{ID: l.ID, Data: data}, err
}

// openState is what the entries of an open saga say.
type openState struct {
	length  int
	start   *openLine
	joins   []openLine
	dones   []string // parties
	decided *openLine
	ended   bool
}

func readOpen(entries []broker.LedgerEntry) (*openState, error) {
	st := &openState{length: len(entries)}
	for _, e := range entries {
		line := openLine{ID: e.ID}
		if err := msgpack.Unmarshal(e.Data, &line); err != nil {
			return nil, fmt.Errorf("%w: entry %q of the ledger is none of this version of Skald: %w", ErrPayload, e.ID, err)
		}
		switch openPhase(line.Kind) {
		case openStart:
			st.start = &line
		case openJoin:
			st.joins = append(st.joins, line)
		case openDone:
			st.dones = append(st.dones, line.Party)
		case openCommit, openRollback:
			st.decided, st.ended = &line, line.Last
		case openEnd:
			st.ended = true
		}
	}
	return st, nil
}

func (st *openState) join(party string) *openLine {
	k := slices.IndexFunc(st.joins, func(l openLine) bool { return l.Party == party })
	if k < 0 {
		return nil
	}
	return &st.joins[k]
}

// turns is the first event after a decision: the parties in the order in which they are told, each of which passes it on.
func (st *openState) turns(id string, how openPhase, cause []byte, heard map[string]bool) openEvent {
	ev := openEvent{Phase: how, Saga: id, Cause: cause}
	for _, j := range st.joins {
		if heard[j.Party] {
			ev.Turns = append(ev.Turns, openTurn{Party: j.Party, Data: j.Data})
		}
	}
	if how == openRollback {
		slices.Reverse(ev.Turns)
	}
	if len(ev.Turns) == 0 {
		return openEvent{Phase: openEnd, Saga: id, Cause: cause}
	}
	return ev
}

// openEvent is what travels of an open saga.
type openEvent struct {
	Phase openPhase
	Saga  string
	Party string     // of a join, or what comes after it
	Data  []byte     // of a start or a join: what it carries
	At    int        // of a commit or a rollback: whose turn it is
	Turns []openTurn // and who is told, in order
	Cause []byte
}

type openTurn struct {
	Party string
	Data  []byte
}

// id names an event: it is published once.
func (ev openEvent) id() string {
	switch ev.Phase {
	case openJoin, openDone:
		return ev.Saga + "/" + string(ev.Phase) + "/" + ev.Party
	case openCommit, openRollback:
		return fmt.Sprintf("%s/%s/%d", ev.Saga, ev.Phase, ev.At)
	}
	return ev.Saga + "/" + string(ev.Phase)
}

// turn gives whose turn it is, or nil.
func (ev openEvent) turn() *openTurn {
	if ev.Phase != openCommit && ev.Phase != openRollback || ev.At < 0 || ev.At >= len(ev.Turns) {
		return nil
	}
	return &ev.Turns[ev.At]
}
