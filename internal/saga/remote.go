package saga

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// A child may be a saga of another service. It is started, undone and released by messages as others are, with these differences: its ID
// tells which service called; its flow is started in version 0, because the caller does not know the others, and the first worker that
// takes it records which one it is; and whatever its end, it is held until its parent has recorded that, so that neither a message that comes twice
// nor a reply that is lost can make it begin anew.

// remoteID is the ID of a saga that another service runs for the part at path of saga id.
func remoteID(service, id, path string) string { return service + "~" + id + "/" + path }

// callerOf takes the ID of a parent apart: its service, empty if that is the saga's own, and its ID there.
func callerOf(parent string) (service, id string) {
	if service, id, ok := strings.Cut(parent, "~"); ok {
		return service, id
	}
	return "", parent
}

// beginRemote sends the start of a saga that another service runs.
func (m *Machine) beginRemote(i *inst, h Header) Fact {
	r := i.op.Remote
	if h.Service = m.env.Service; m.env.Typed {
		h.Expects = r.Contract
	}
	id := m.childID(i)
	m.send = append(m.send, broker.Message{
		ID: m.id + "/" + i.Path() + "~start", Service: r.Service, To: id,
		Start: &broker.Start{
			ID:     id,
			Served: broker.Served{Flow: r.Flow},
			Record: h.Append(nil),
			Parent: h.Service + "~" + m.id,
		},
	})
	f := Fact{Kind: Begun, Flag: m.pivoted}
	if r.Timeout > 0 && !m.pivoted {
		f.Due = after(h.Started, r.Timeout)
	}
	return f
}

func (m *Machine) applyBegun(i *inst, f *Fact) {
	i.decided, i.forward = true, f.Flag
	if i.op.Remote == nil {
		return
	}
	i.ill().since = f.At
	if !f.Due.IsZero() {
		m.alarm(i, f.Due)
	}
}

// overdue ends the wait for another service: what it did is unknown, and it is asked to undo that.
func (m *Machine) overdue(i *inst, now time.Time) {
	r := i.op.Remote
	err := fmt.Errorf("%w: service %q did not say within %v what became of %q, its saga %q: does it run an engine that serves %q?",
		ErrNoAnswer, r.Service, r.Timeout, r.Flow, m.childID(i), r.Flow)
	if t := i.trouble; t.dead.data != nil {
		err = fmt.Errorf("%w: saga %q of service %q was not done within %v, it is a dead letter there: %w",
			ErrNoAnswer, m.childID(i), r.Service, r.Timeout, m.decodeError(&t.dead))
	}
	m.doubt(i.boundary(), now)
	m.record(i, &Fact{Kind: Overdue, err: err}, now)
}

func (m *Machine) applyOverdue(i *inst, f *Fact) {
	i.overdue = true
	t := i.ill()
	t.failure = f.failure()
	m.blame(i)
	m.fail(i)
}

// heardOf does what follows when another service has told how its saga stands.
func (m *Machine) heardOf(i *inst, o *Outcome) {
	if o.End != DeadLetter && i.trouble != nil {
		i.trouble.dead = lastError{}
	}
	if i.ended && !m.loading {
		m.post(i, "release", EventRelease)
	}
}

// awaited says that another service is still to tell what became of a child, or of its undo.
func (i *inst) awaited() bool {
	return i.decided && !i.ended && (i.phase == open || i.phase == done && i.back == undoing)
}

// finishRemote ends a saga that another service has started, or holds it until that has heard of its end.
func (m *Machine) finishRemote(t *broker.Transition) {
	if m.released {
		m.letGo()
		return
	}
	m.reply(t.Outcome)
	t.Next = broker.Hold
}

// letLoose notes that nobody waits for the end of the saga.
func (m *Machine) letLoose(now time.Time) {
	if m.outcome == nil {
		m.record(nil, &Fact{Kind: Released}, now)
	}
	m.released = true
}

// tellDead tells the service that has started the saga that it waits for a person. Each time it is buried is another event.
func (m *Machine) tellDead(outcome []byte) {
	m.replyAs(fmt.Sprintf("%s~dead~%d", m.id, m.rev), outcome)
}

// TakenVersion is the version that a saga which another service started is run in; 0 if nobody has begun it.
func TakenVersion(r *broker.Record) int {
	for _, e := range r.Journal {
		if len(e.Data) == 0 || FactKind(e.Data[0]) != Taken {
			continue
		}
		if f, err := DecodeFact(e, time.Time{}); err == nil {
			return f.Index
		}
	}
	return 0
}

// Take records the version that a saga which another service started is run in, which is that of its program. One that does not take what
// the other service sends, or gives what that does not expect, ends without having done anything.
func (m *Machine) Take(now time.Time) {
	if m.taken != 0 {
		return
	}
	m.record(nil, &Fact{Kind: Taken, Index: m.prog.Def.Version()}, now)
	if err := m.agrees(); err != nil && m.root.back == ahead {
		m.record(nil, &Fact{Kind: Cancelled, Text: "the services do not agree", err: err}, now)
	}
}

// agrees says why the flow is not what the service expects that started the saga.
func (m *Machine) agrees() error {
	h, def := &m.header, m.prog.Def
	wrong := func(err error) error {
		return fmt.Errorf("%w: service %q calls flow %q of service %q in version %d: %w", ErrContract, h.Service, def.Name, m.env.Service, def.Version(), err)
	}
	if s := m.settings(); s.Lock != nil || s.KeyedBy != nil {
		return wrong(errors.New("it has locks or a key, which only a saga takes that is started in its own service"))
	}
	if m.env.Typed && h.Expects != "" {
		if err := plan.Agree(h.Expects, m.prog.contract()); err != nil {
			return wrong(err)
		}
	}
	if _, err := m.inputOf(m.root); err != nil {
		return wrong(err)
	}
	return nil
}

// Call is what another service has been asked for and has not answered.
type Call struct {
	Path, Service, Flow string
	Since               time.Time
}

// Calls lists the calls of other services that are open.
func (m *Machine) Calls() (calls []Call) {
	m.root.walk(func(i *inst) {
		if r := i.op.Remote; r != nil && i.awaited() {
			calls = append(calls, Call{i.Path(), r.Service, r.Flow, i.ill().since})
		}
	})
	return calls
}
