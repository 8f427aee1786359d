package saga_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// world is everything around state machines, on one goroutine and in virtual time: a broker that stores sagas and their mail,
// processes that drive them and may die, and the participants that their steps call.
type world struct {
	dice    dice
	now     time.Time
	env     saga.Env
	progs   map[string]*saga.Program
	stored  map[string]*stored
	ids     []string // of stored, in order of their births
	early   map[string][]broker.Event
	bank    *bank
	answers func(*call) answer // what an attempt answers when it ends
	calls   []*call            // all attempts, in order of their starts
	fails   map[string]saga.Failure
	log     []string
	fatal   func(format string, args ...any)

	faults  int           // how many things may still go wrong
	flaky   flaky         // which of them
	watch   func(*stored) // called after each commit
	pures   int           // calls of pure functions
	mails   int
	answer  any // what a person says that a saga ended with
	commits int
}

// flaky is how often, one in so many times, something goes wrong; 0 is never.
type flaky struct{ crash, giveBack, twice, abandon, time, mail, withdraw int }

// stored is what the broker has of one saga.
type stored struct {
	broker.Record
	state   broker.State
	until   time.Time
	outcome []byte
	known   map[string]bool // IDs of events that were delivered
	facts   []saga.Fact     // Journal, decoded
	paths   map[string]*standing
	owner   *process
	ended   int // how often it finished
	relays  int
	settled bool // by hand
	pivoted bool
}

// process drives one saga, in one worker.
type process struct {
	m      *saga.Machine
	calls  []*call // running attempts
	inbox  []broker.Event
	mail   []broker.Event // everything that it was ever told
	asleep bool           // nothing to do until something comes
}

// call is one attempt of a step or an undo.
type call struct {
	saved   *stored
	what    saga.Attempt
	stopped bool // its context has ended
	at      time.Time
}

func (c *call) key() string { return c.saved.ID + "/" + c.what.Path }

func (c *call) String() string {
	op := "do "
	if c.what.Undo {
		op = "undo "
	}
	return op + c.what.Path
}

// answer is what an attempt comes to.
type answer struct {
	err    error
	effect bool // the participant did what it was asked for
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(d dice, fatal func(string, ...any), flows ...*plan.Def) *world {
	w := &world{
		dice: d, now: epoch, fatal: fatal,
		progs: map[string]*saga.Program{}, stored: map[string]*stored{}, early: map[string][]broker.Event{},
		bank: newBank(), fails: map[string]saga.Failure{},
	}
	w.env = saga.Env{
		Payloads: payloads{}, Errors: texts{}, Namespace: "test",
		Fail:       func(f saga.Failure) error { w.fails[f.Saga] = f; return &failure{f} },
		Jitter:     func() float64 { return float64(w.dice.n(5)) / 4 },
		MaxPayload: 256 << 10, MaxRecord: 1 << 20, NotYetLimit: 24 * time.Hour, Moment: 100 * time.Millisecond, Keep: time.Hour,
	}
	for _, f := range flows {
		w.serve(f)
	}
	return w
}

func (w *world) serve(def *plan.Def) {
	if w.progs[def.Name] != nil {
		return
	}
	w.progs[def.Name] = saga.Compile(def)
	for _, n := range everyNode(def.Root) {
		if n.Kind == plan.Child {
			w.serve(n.Child)
		}
	}
}

func everyNode(n *plan.Node) []*plan.Node {
	all := []*plan.Node{n}
	for _, kid := range n.Kids {
		all = append(all, everyNode(kid)...)
	}
	return all
}

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%8v  ", w.now.Sub(epoch).Truncate(time.Millisecond))+fmt.Sprintf(format, args...))
}

// fail ends the test, and tells everything that happened.
func (w *world) fail(format string, args ...any) {
	w.fatal("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n"))
}

// start stores a saga, and lets a process have it at once.
func (w *world) start(flow, id string, input any) *stored {
	prog := w.progs[flow]
	data, err := w.env.Payloads.Append(nil, prog.Def.Root.In, input)
	if err != nil {
		w.fail("encode the input: %v", err)
	}
	h := saga.Header{Started: w.now, Headers: map[string]string{"trace": "t1"}, Input: data}
	s := w.born(broker.Start{ID: id, Served: broker.Served{Flow: flow, Version: prog.Def.Version()}, Record: h.Append(nil)})
	m := saga.New(&w.env, prog, id, h, input)
	w.own(s, m)
	return s
}

func (w *world) born(start broker.Start) *stored {
	s := &stored{
		Record: broker.Record{Start: start, Rev: 1}, state: broker.Ready,
		known: map[string]bool{}, paths: map[string]*standing{},
	}
	w.stored[start.ID] = s
	w.ids = append(w.ids, start.ID)
	for _, ev := range w.early[start.ID] {
		w.deliver(start.ID, ev)
	}
	return s
}

// deliver puts an event into a mailbox.
func (w *world) deliver(id string, ev broker.Event) {
	s := w.stored[id]
	if s == nil {
		w.early[id] = append(w.early[id], ev)
		return
	}
	if s.known[ev.ID] || s.state == broker.Finished {
		return
	}
	w.logf("%s gets %s %s", id, ev.Kind, ev.ID)
	s.known[ev.ID] = true
	s.Mail = append(s.Mail, ev)
	switch s.state {
	case broker.Parked, broker.Held:
		s.state = broker.Ready
	case broker.Owned:
		s.owner.inbox = append(s.owner.inbox, ev)
		s.owner.asleep = false
	}
}

// post delivers an event of the given kind under a new ID.
func (w *world) post(id, kind, name string, data []byte) string {
	w.mails++
	ev := broker.Event{ID: fmt.Sprintf("%s-%d", kind, w.mails), Kind: kind, Name: name, Data: data, At: w.now}
	w.deliver(id, ev)
	return ev.ID
}

// resolve hands a decision to a dead letter.
func (w *world) resolve(s *stored, kind, name string, note saga.Note) {
	if s.state != broker.Buried {
		w.fail("%s is %v, not buried", s.ID, s.state)
	}
	w.post(s.ID, kind, name, note.Append(nil))
	s.state = broker.Ready
}

// adopt loads a saga into a process of its own.
func (w *world) adopt(s *stored) {
	rec := s.Record
	if w.strike(w.flaky.giveBack) > 0 {
		w.handOver(s, &rec)
		return
	}
	m, err := saga.Load(&w.env, w.progs[s.Flow], &rec, w.now)
	if err != nil {
		w.fail("load %s: %v", s.ID, err)
	}
	w.logf("%s is loaded at revision %d, %d takeovers", s.ID, s.Rev, s.Takeovers)
	w.own(s, m)
	s.owner.inbox = slices.Clone(s.Mail)
}

// handOver is what an engine does that gets a saga and does not begin it.
func (w *world) handOver(s *stored, rec *broker.Record) {
	before := saga.Takeovers(rec)
	t := broker.Transition{ID: s.ID, Rev: s.Rev, Next: broker.GiveBack}
	if e, ok := saga.HandOver(rec, w.now); ok {
		t.Append = []broker.Entry{e}
	}
	w.apply(s, t)
	if after := s.Record; saga.Takeovers(&after) != before {
		w.fail("%s: %d takeovers became %d when it was handed over", s.ID, before, saga.Takeovers(&after))
	}
}

func (w *world) own(s *stored, m *saga.Machine) {
	s.state = broker.Owned
	s.owner = &process{m: m}
	s.owner.inbox = slices.Clone(s.Mail)
}

func detail(f *saga.Fact) (d string) {
	if f.Flag {
		d += " flag"
	}
	if f.Suspect {
		d += " suspect"
	}
	if f.Err != nil {
		d += fmt.Sprintf(" err=%q", f.Err)
	}
	if f.Text != "" {
		d += " " + f.Text
	}
	return d
}

// crash ends a process without a word. What its attempts did may show later.
func (w *world) crash(s *stored) {
	w.logf("%s: the process dies", s.ID)
	for _, c := range s.owner.calls {
		w.orphan(c)
	}
	s.owner, s.state = nil, broker.Ready
	s.Takeovers++
}

// orphan leaves an attempt whose process is gone, or has given it up: it may have its effect now, later, or never.
func (w *world) orphan(c *call) {
	switch w.dice.n(3) {
	case 1:
		w.bank.apply(c)
	case 2:
		if c.what.Undo {
			w.bank.apply(c)
		} else {
			w.bank.late = append(w.bank.late, c)
		}
	}
}

// drive does what an engine does with an owned saga until it has to wait.
func (w *world) drive(s *stored) {
	p := s.owner
	for pass := 0; ; pass++ {
		if pass > 10_000 {
			w.fail("%s: the driver does not come to rest", s.ID)
		}
		w.read(s)
		p.m.Advance(w.now)
		if t, ok := p.m.Transition(w.now); ok {
			if !w.commit(s, t) {
				return
			}
			continue
		}
		w.cutOff(p)
		if !w.launch(s) && !p.m.Recorded() {
			p.asleep = true
			return
		}
	}
}

// read gives the inbox to the machine, sometimes twice.
func (w *world) read(s *stored) {
	p := s.owner
	inbox := p.inbox
	p.inbox = nil
	for _, ev := range inbox {
		for range 1 + w.strike(w.flaky.twice) {
			if err := p.m.Mail(ev, w.now); err != nil {
				w.fail("%s: mail %v: %v", s.ID, ev, err)
			}
		}
		p.mail = append(p.mail, ev)
	}
	if len(p.mail) > 0 && w.strike(w.flaky.twice) > 0 {
		if err := p.m.Mail(pick(w.dice, p.mail...), w.now); err != nil {
			w.fail("%s: mail again: %v", s.ID, err)
		}
	}
}

// strike says 1 if something goes wrong, as often as once in k times.
func (w *world) strike(k int) int {
	if k == 0 || w.faults <= 0 || !oneIn(w.dice, k) {
		return 0
	}
	w.faults--
	return 1
}

func (w *world) cutOff(p *process) {
	for _, a := range p.m.Stopped() {
		for _, c := range p.calls {
			if c.what.Is(&a) {
				c.stopped = true
			}
		}
	}
}

// launch begins what is to be attempted.
func (w *world) launch(s *stored) (some bool) {
	p := s.owner
	for {
		var a saga.Attempt
		var ok bool
		w.pureless(s, func(m *saga.Machine) { a, ok = m.Next(w.now) })
		if !ok {
			return some
		}
		c := &call{saved: s, what: a, at: w.now}
		w.logf("%s: begins %v #%d", s.ID, c, a.Number)
		w.checkStart(c)
		w.calls = append(w.calls, c)
		p.calls = append(p.calls, c)
		some = true
	}
}

// finish lets a running attempt answer.
func (w *world) finish(c *call) {
	p := c.saved.owner
	p.calls = slices.DeleteFunc(p.calls, func(other *call) bool { return other == c })
	p.asleep = false
	a := w.answers(c)
	w.logf("%s: %v answers %v%s", c.saved.ID, c, a.err, map[bool]string{true: ", with effect"}[a.effect])
	if a.effect {
		w.bank.apply(c)
	}
	var out any
	if !c.what.Undo && a.err == nil {
		out, a.err = c.what.Spec.Do(nil, c.what.In)
	}
	w.pureless(c.saved, func(m *saga.Machine) { m.Report(c.what, out, a.err, w.now) })
}

// withdraw takes an attempt back that waited for a goroutine.
func (w *world) withdraw(c *call) {
	w.logf("%s: %v is withdrawn", c.saved.ID, c)
	p := c.saved.owner
	p.calls = slices.DeleteFunc(p.calls, func(other *call) bool { return other == c })
	p.asleep = false
	p.m.Withdraw(c.what, w.now)
}

// abandon reports an attempt that does not return.
func (w *world) abandon(c *call) {
	w.logf("%s: %v is abandoned", c.saved.ID, c)
	p := c.saved.owner
	p.calls = slices.DeleteFunc(p.calls, func(other *call) bool { return other == c })
	p.asleep = false
	w.orphan(c)
	p.m.Report(c.what, nil, saga.ErrInterrupted, w.now)
}

// commit stores t, if nothing goes wrong. It says false if the process does not have the saga any more.
func (w *world) commit(s *stored, t broker.Transition) bool {
	if w.strike(w.flaky.crash) > 0 {
		w.crash(s)
		return false
	}
	p := s.owner
	ack := w.apply(s, t)
	w.watchful(s)
	if w.strike(w.flaky.crash) > 0 {
		if ack.Owned {
			w.crash(s)
		}
		return false
	}
	p.m.Committed(ack.Rev)
	if p.m.Broken() == nil {
		w.checkLoaded(s, p.m)
	}
	p.inbox = append(p.inbox, ack.Mail...)
	if !ack.Owned {
		for _, c := range p.calls {
			w.orphan(c)
		}
		p.m.Release()
	}
	return ack.Owned
}

func (w *world) watchful(s *stored) {
	if w.watch != nil {
		w.watch(s)
	}
}

// apply is what a broker does with a transition.
func (w *world) apply(s *stored, t broker.Transition) broker.Ack {
	if t.Rev != s.Rev {
		w.fail("%s: a transition from revision %d at revision %d", s.ID, t.Rev, s.Rev)
	}
	if len(t.Append) > 1000 {
		w.fail("%s: a transition with %d entries, of %q", s.ID, len(t.Append), t.Append[0].Path)
	}
	w.commits++
	s.Rev++
	s.Takeovers = 0
	for _, e := range t.Append {
		e.Data = slices.Clone(e.Data)
		s.Journal = append(s.Journal, e)
		w.learn(s, e)
	}
	s.Mail = slices.DeleteFunc(s.Mail, func(ev broker.Event) bool { return slices.Contains(t.Consume, ev.ID) })
	w.checkTransition(s, t)
	w.logf("%s: revision %d, %s", s.ID, s.Rev, nextNames[t.Next])
	s.move(t)
	for _, msg := range t.Send {
		w.send(msg)
	}
	ack := broker.Ack{Rev: s.Rev, Owned: s.state == broker.Owned}
	if ack.Owned {
		ack.Mail = slices.Clone(s.Mail)
	} else {
		s.owner = nil
	}
	return ack
}

var nextNames = [...]string{"keep", "park", "hold", "bury", "finish", "give back", "reject"}

func (s *stored) move(t broker.Transition) {
	switch t.Next {
	case broker.Park, broker.Hold:
		if len(s.Mail) > 0 {
			return
		}
		s.state, s.until, s.outcome = broker.Parked, t.Until, nil
		if t.Next == broker.Hold {
			s.state, s.outcome = broker.Held, slices.Clone(t.Outcome)
		}
	case broker.Bury:
		s.state, s.outcome = broker.Buried, slices.Clone(t.Outcome)
	case broker.Finish:
		s.state, s.outcome, s.Mail = broker.Finished, slices.Clone(t.Outcome), nil
		s.ended++
	case broker.GiveBack, broker.Reject:
		s.state = broker.Ready
	}
}

func (w *world) send(msg broker.Message) {
	if msg.Event != nil {
		ev := *msg.Event
		ev.Data = slices.Clone(ev.Data)
		w.deliver(msg.To, ev)
		return
	}
	if w.stored[msg.To] == nil {
		w.logf("%s is born", msg.To)
		start := *msg.Start
		start.Record = slices.Clone(start.Record)
		w.born(start)
	}
}
