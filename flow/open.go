package flow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Open is a saga without a definition: services that know nothing of each other carry it together. Somebody starts it with an S, services that listen
// join it as parties, and somebody commits it or rolls it back. That is decided once; then every party that has joined is told so, by its own
// listener, and at the end whoever wants to hear of it.
//
// A listener that fails while the saga is undecided rolls it back, with its error as the cause. Everything of one saga reaches a group in order and one
// at a time: a party's rollback does not begin while its start listener still runs.
//
// An open saga lives in the broker's ledger (broker.Ledger), not in an engine. One that nobody decides about stays open, for 30 days; one that
// has ended can be read for Options.Retention. An Open is an immutable value that services share.
type Open[S any] struct {
	topic  Topic[openEvent]
	letter *plan.Type
}

// NewOpen names a kind of open saga that is started with an S. The name is durable, and that of the topic over which its events travel. It panics if the
// name cannot be part of a path, or if a value of S could not come back whole.
func NewOpen[S any](name string) Open[S] {
	at := place{call: fmt.Sprintf("NewOpen(%q)", name)}
	at.checkName(name)
	letter := plan.TypeOf[S]()
	at.checkType(letter)
	return Open[S]{topic: NewTopic[openEvent](name), letter: letter}
}

// Name is the name of the saga's kind.
func (o Open[S]) Name() string { return o.topic.name }

// Party is a participant of an open saga, which joins with a J: what it needs to know to commit or roll back its part.
type Party[S, J any] struct {
	open   Open[S]
	name   string
	letter *plan.Type
}

// Party names a participant. Its name is durable, and that of the group in which its service listens. It panics as NewOpen does.
func (o Open[S]) Party[J any](name string) Party[S, J] {
	at := o.topic.at(fmt.Sprintf("Party(%q)", name))
	at.checkName(name)
	letter := plan.TypeOf[J]()
	at.checkType(letter)
	return Party[S, J]{open: o, name: name, letter: letter}
}

// Name is the party's name.
func (p Party[S, J]) Name() string { return p.name }

// OpenSaga is how an open saga stands.
type OpenSaga[S any] struct {
	ID      string
	In      S        // what it was started with
	Parties []string // that have joined, in that order
	State   State    // StateRunning; StateCompensating and then StateUndone; or StateDone
	Ended   bool     // all parties have been told of the decision
	Cause   error    // why it was rolled back
}

// openFor is how long an open saga is kept without a change.
const openFor = 30 * 24 * time.Hour

// Start starts an open saga, and returns its ID when that is durable. ID and WithHeaders are its options. The same ID with an equal value is the same saga;
// with another it is ErrConflict. The other errors are those of Topic.Publish, and ErrNoBus also says that the broker keeps no ledger.
func (o Open[S]) Start(ctx context.Context, e *Engine, in S, opts ...StartOption) (string, error) {
	var s starting
	for _, opt := range opts {
		opt(&s)
	}
	if o.letter == nil || e.isZero() {
		return "", fmt.Errorf("flow: start an open saga: %w", ErrZero)
	}
	if err := s.identify(rand.Reader); err != nil {
		return "", fmt.Errorf("flow: start an open saga of %q: %w", o.Name(), err)
	}
	line, err := e.openLine(openStart, o.letter, in)
	if err == nil {
		l := e.openLedger(o.topic, s.id)
		l.headers = s.headers
		err = l.change(ctx, func(st *openState) (openLine, []openEvent, error) {
			if st.start != nil {
				return line, nil, sameLine(*st.start, line)
			}
			return line, []openEvent{{Phase: openStart, Saga: s.id, Data: line.Data}}, nil
		})
	}
	if err != nil {
		return "", fmt.Errorf("flow: start open saga %q of %q: %w", s.id, o.Name(), err)
	}
	return s.id, nil
}

// Join makes the party one of an open saga, and returns when that is durable: from then on it is told how the saga ends. A party joins before it acts, so that
// its rollback is called whatever becomes of its effect. Joining again with an equal value is the same; with another it is ErrConflict. ErrSettled says that the
// saga was decided before, ErrUnknown that there is none.
func (p Party[S, J]) Join(ctx context.Context, e *Engine, sagaID string, with J) error {
	if p.letter == nil || e.isZero() {
		return fmt.Errorf("flow: join open saga %q: %w", sagaID, ErrZero)
	}
	line, err := e.openLine(openJoin, p.letter, with)
	if err == nil {
		line.ID, line.Party = string(openJoin)+"/"+p.name, p.name
		err = e.openLedger(p.open.topic, sagaID).change(ctx, func(st *openState) (openLine, []openEvent, error) {
			joined := st.join(p.name)
			switch {
			case st.start == nil:
				return line, nil, ErrUnknown
			case joined != nil:
				return line, nil, sameLine(*joined, line)
			case st.decided != nil:
				return line, nil, ErrSettled
			}
			return line, []openEvent{{Phase: openJoin, Saga: sagaID, Party: p.name, Data: line.Data}}, nil
		})
	}
	if err != nil {
		return fmt.Errorf("flow: %q joins open saga %q of %q: %w", p.name, sagaID, p.open.Name(), err)
	}
	return nil
}

// Done says that the party, which has joined, has done its part: whoever listens with OnDone goes on from there. It returns when that is durable. Saying it
// again does nothing. ErrSettled says that the saga was decided before, ErrUnknown that there is none or that the party has not joined it.
func (p Party[S, J]) Done(ctx context.Context, e *Engine, sagaID string) error {
	if p.letter == nil || e.isZero() {
		return fmt.Errorf("flow: done with open saga %q: %w", sagaID, ErrZero)
	}
	line := openLine{ID: string(openDone) + "/" + p.name, Kind: string(openDone), Party: p.name}
	err := e.openLedger(p.open.topic, sagaID).change(ctx, func(st *openState) (openLine, []openEvent, error) {
		joined := st.join(p.name)
		switch {
		case st.start == nil, joined == nil:
			return line, nil, ErrUnknown
		case slices.Contains(st.dones, p.name):
			return line, nil, errAdded
		case st.decided != nil:
			return line, nil, ErrSettled
		}
		return line, []openEvent{{Phase: openDone, Saga: sagaID, Party: p.name, Data: joined.Data}}, nil
	})
	if err != nil {
		return fmt.Errorf("flow: %q is done with open saga %q of %q: %w", p.name, sagaID, p.open.Name(), err)
	}
	return nil
}

// Commit decides that an open saga is done. It returns when that is durable; each party's OnCommit is called afterwards, in the order in which they joined.
// ErrSettled says that it was rolled back before, ErrUnknown that there is none. Committing what is committed does nothing.
func (o Open[S]) Commit(ctx context.Context, e *Engine, sagaID string) error {
	return o.decide(ctx, e, sagaID, openCommit, nil)
}

// Rollback decides that an open saga is undone, because of cause. It returns when that is durable; each party's OnRollback is called afterwards, in reverse order of
// joining, the next when the one before has returned nil or its event is dead. ErrSettled says that it was committed before, ErrUnknown
// that there is none. Rolling back what is rolled back does nothing.
func (o Open[S]) Rollback(ctx context.Context, e *Engine, sagaID string, cause error) error {
	if cause == nil {
		cause = errors.New("no reason given")
	}
	return o.decide(ctx, e, sagaID, openRollback, cause)
}

func (o Open[S]) decide(ctx context.Context, e *Engine, sagaID string, how openPhase, cause error) error {
	if o.letter == nil || e.isZero() {
		return fmt.Errorf("flow: %s open saga %q: %w", how, sagaID, ErrZero)
	}
	if err := e.openLedger(o.topic, sagaID).decide(ctx, how, cause); err != nil {
		return fmt.Errorf("flow: %s open saga %q of %q: %w", how, sagaID, o.Name(), err)
	}
	return nil
}

// Status tells how an open saga stands. ErrUnknown says that there is none, or none any more.
func (o Open[S]) Status(ctx context.Context, e *Engine, sagaID string) (s OpenSaga[S], err error) {
	if o.letter == nil || e.isZero() {
		return s, fmt.Errorf("flow: status of open saga %q: %w", sagaID, ErrZero)
	}
	st, err := e.openLedger(o.topic, sagaID).read(ctx)
	if err == nil && st.start == nil {
		err = ErrUnknown
	}
	if err == nil {
		s, err = o.standing(e, sagaID, st)
	}
	if err != nil {
		return s, fmt.Errorf("flow: status of open saga %q of %q: %w", sagaID, o.Name(), err)
	}
	return s, nil
}

// standing is what people see of a state.
func (o Open[S]) standing(e *Engine, id string, st *openState) (OpenSaga[S], error) {
	s := OpenSaga[S]{ID: id, State: StateRunning, Ended: st.ended}
	for _, j := range st.joins {
		s.Parties = append(s.Parties, j.Party)
	}
	if st.decided != nil {
		s.State = StateDone
		if openPhase(st.decided.Kind) == openRollback {
			s.State, s.Cause = StateCompensating, e.errors.Decode(st.decided.Data)
			if st.ended {
				s.State = StateUndone
			}
		}
	}
	in, err := e.readEvent(o.letter, st.start.Data)
	if err == nil {
		s.In = plan.Cast[S](in)
	}
	return s, err
}

// openLine makes an entry that carries a value.
func (e *Engine) openLine(kind openPhase, letter *plan.Type, v any) (line openLine, err error) {
	data, digest, err := e.payloads.AppendDigest(nil, letter, v)
	switch {
	case err != nil:
		return line, fmt.Errorf("%w: encode a %v: %w", ErrPayload, letter, err)
	case len(data) > e.opts.MaxPayload:
		return line, fmt.Errorf("%w: it has %d bytes, Options.MaxPayload is %d", ErrTooLarge, len(data), e.opts.MaxPayload)
	}
	return openLine{ID: string(kind), Kind: string(kind), Digest: digest[:], Data: data}, nil
}

// sameLine says whether what is to be added was added before.
func sameLine(old, line openLine) error {
	if string(old.Digest) != string(line.Digest) {
		return fmt.Errorf("%w: it was another value", ErrConflict)
	}
	return errAdded
}

// errAdded says that there is nothing to do.
var errAdded = errors.New("flow: it was added before")

// openLedger is the list of an open saga.
type openLedger struct {
	e       *Engine
	topic   Topic[openEvent]
	id      string
	headers Headers
}

func (e *Engine) openLedger(topic Topic[openEvent], id string) *openLedger {
	return &openLedger{e: e, topic: topic, id: id}
}

func (l *openLedger) broker() (broker.Ledger, error) {
	b, ok := l.e.broker.(broker.Ledger)
	if !ok {
		return nil, fmt.Errorf("%w, or none with a ledger: it is a %T", ErrNoBus, l.e.broker)
	}
	return b, nil
}

func (l *openLedger) read(ctx context.Context) (*openState, error) {
	if err := checkText(l.id, plan.MaxName); err != nil {
		return nil, err
	}
	b, err := l.broker()
	if err != nil {
		return nil, err
	}
	var entries []broker.LedgerEntry
	err = insist(ctx, func() error {
		entries, err = b.Entries(ctx, l.topic.name, l.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return readOpen(entries)
}

// change adds what next makes of the state, however many others do so at the same time.
func (l *openLedger) change(ctx context.Context, next func(*openState) (openLine, []openEvent, error)) error {
	for {
		st, err := l.read(ctx)
		if err != nil {
			return err
		}
		line, events, err := next(st)
		if err == nil {
			err = l.add(ctx, st, line, events)
		}
		switch {
		case errors.Is(err, errAdded):
			return nil
		case !errors.Is(err, broker.ErrStale):
			return err
		}
	}
}

func (l *openLedger) add(ctx context.Context, st *openState, line openLine, events []openEvent) error {
	b, err := l.broker()
	if err != nil {
		return err
	}
	if l.e.phase.Load() == ended {
		return ErrEnded
	}
	entry, err := line.entry()
	if err != nil {
		return err
	}
	var published []broker.Publication
	for _, ev := range events {
		p, err := l.publication(ctx, ev)
		if err != nil {
			return err
		}
		published = append(published, p)
	}
	keep := openFor
	if line.Last {
		keep = l.e.opts.Retention
	}
	return insist(ctx, func() error { return b.Add(ctx, l.topic.name, l.id, st.length, entry, keep, published...) })
}

// publication makes an event of the saga: its ID says what it is, so that it is published once.
func (l *openLedger) publication(ctx context.Context, ev openEvent) (broker.Publication, error) {
	p := publishing{id: ev.id(), key: l.id, headers: l.headers}
	return l.e.eventOf(ctx, l.topic.name, l.topic.letter, ev, p)
}

func (l *openLedger) decide(ctx context.Context, how openPhase, cause error) error {
	line := openLine{ID: "decide/" + uuid.NewString(), Kind: string(how)}
	if cause != nil {
		line.Data = l.e.errors.Append(nil, cause)
	}
	heard, err := l.e.openGroups(ctx, l.topic.name)
	if err != nil {
		return err
	}
	return l.change(ctx, func(st *openState) (openLine, []openEvent, error) {
		switch {
		case st.start == nil:
			return line, nil, ErrUnknown
		case st.decided != nil && st.decided.Kind == string(how):
			return line, nil, errAdded
		case st.decided != nil:
			return line, nil, ErrSettled
		}
		first := st.turns(l.id, how, line.Data, heard)
		line.Last = first.Phase == openEnd
		return line, []openEvent{first}, nil
	})
}

// openGroups gives the groups that listen for an open saga: only those are told.
func (e *Engine) openGroups(ctx context.Context, topic string) (map[string]bool, error) {
	groups, err := e.Groups(ctx, topic)
	heard := make(map[string]bool)
	for _, g := range groups {
		heard[g.Group] = true
	}
	return heard, err
}
