package saga

import (
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

// Env is what a machine needs of its engine. It is shared by all machines.
type Env struct {
	Payloads Payloads
	Errors   Errors
	Fail     func(Failure) error // makes the error that a failed saga returns
	Jitter   func() float64      // in [0, 1)

	Namespace   string
	Service     string        // that the sagas belong to; other services answer it
	Typed       bool          // payloads are encoded as plan.Contract takes them to be
	MaxPayload  int           // bytes of one value
	MaxRecord   int           // bytes of all that a saga records
	NotYetLimit time.Duration // how long a step may answer NotYet
	Moment      time.Duration // waits up to this long stay in memory
	Keep        time.Duration // how long an outcome is kept
	SlowAfter   time.Duration // how long a saga may take before it records that it is slow; 0 is for ever
	DecodeAll   bool          // never use a live value where a restart would read a recorded one
}

// Payloads encodes and decodes values.
type Payloads interface {
	Append(dst []byte, t *plan.Type, v any) ([]byte, error)
	Decode(t *plan.Type, data []byte) (any, error)
}

// Errors encodes and decodes errors. Neither can fail.
type Errors interface {
	Append(dst []byte, err error) []byte
	Decode(data []byte) error
}

// Machine is the state of one run. It is not safe for concurrent use.
type Machine struct {
	env    *Env
	prog   *Program
	id     string
	header Header
	rev    uint64

	root    *inst
	input   any
	hasIn   bool
	arena   []inst
	slots   []*inst          // memory of kids
	index   map[string]*inst // while loading
	loading bool

	runnable  queue     // attempts to be made
	undecided queue     // decisions to be made
	limbo     []*inst   // cancelled, with an attempt whose outcome is to be recorded
	halted    []*inst   // failed for good
	debts     []*inst   // whose undo failed for good, was relayed, and is not over
	waits     []*inst   // open Wait nodes
	dirty     []*inst   // what should be recorded with the next commit
	memos     []*inst   // what stands in the memo
	jotted    bool      // the memo is not committed as it is now
	stopped   []Attempt // attempts to be cut off
	timers    timers
	running   int
	owed      int // insts that are

	signals   []letter
	pivot     *inst // open
	pivoted   bool
	late      bool   // the deadline was alerted
	taken     int    // the version that a saga of another service is run in; 0: none yet
	slow      bool   // that it takes long is recorded
	endedBy   string // ID of the event that sent the saga back
	released  bool
	barred    bool // it does not hold its claims yet, and nothing of it begins
	broken    error
	complaint error // about a decision by hand
	settled   *Fact
	outcome   *Outcome
	ending    Outcome // memory of outcome
	undos     []UndoResult
	hands     []Hand
	blames    int // failures so far
	size      int

	bufs    *buffers
	consume []string
	seen    map[string]bool // IDs of events that were taken; true: and left the mailbox by this machine
	send    []broker.Message
}

// buffers is memory that outlives a machine, for the next one.
type buffers struct {
	journal []byte
	scratch []byte
	outcome []byte
	entries []broker.Entry
	insts   []inst
	slots   []*inst
	undos   []UndoResult
}

// machines are the ones that were released.
var machines = sync.Pool{New: func() any { return &Machine{bufs: new(buffers)} }}

// Machines that became larger than this are not kept.
const (
	keptBytes = 64 << 10
	keptInsts = 64
)

// New begins a run at revision 1. input is the live value that header.Input encodes; the machine keeps a copy of the bytes.
func New(env *Env, prog *Program, id string, header Header, input any) *Machine {
	m := take(env, prog, id, header)
	m.rev, m.size = 1, len(header.Input)
	m.bufs.journal = append(m.bufs.journal, header.Input...)
	m.header.Input = m.bufs.journal[:len(m.bufs.journal):len(m.bufs.journal)]
	if !env.DecodeAll {
		m.input, m.hasIn = input, true
	}
	m.begin()
	return m
}

func take(env *Env, prog *Program, id string, header Header) *Machine {
	m := machines.Get().(*Machine)
	m.env, m.prog, m.id, m.header = env, prog, id, header
	if m.arena = m.bufs.insts; cap(m.arena) < prog.size {
		m.arena = make([]inst, 0, prog.size)
	}
	m.slots, m.undos = m.bufs.slots, m.bufs.undos
	return m
}

// Release gives the machine's memory to others. The machine must not be used afterwards, nor what it gave that
// is not a value of its own: transitions, journal bytes, the Value of its outcome.
func (m *Machine) Release() {
	b := m.bufs
	if m.env == nil || cap(b.journal) > keptBytes || cap(b.scratch) > keptBytes || cap(b.outcome) > keptBytes || cap(m.arena) > keptInsts || cap(b.entries) > keptInsts {
		return
	}
	clear(b.entries[:cap(b.entries)])
	clear(m.arena[:cap(m.arena)])
	clear(m.slots[:cap(m.slots)])
	clear(m.undos[:cap(m.undos)])
	b.journal, b.scratch, b.outcome, b.entries = b.journal[:0], b.scratch[:0], b.outcome[:0], b.entries[:0]
	b.insts, b.slots, b.undos = m.arena[:0], m.slots[:0], m.undos[:0]
	*m = Machine{bufs: b}
	machines.Put(m)
}

func (m *Machine) begin() {
	if d := m.settings().Deadline; d > 0 {
		m.timers.add(after(m.header.Started, d), nil, deadlineTimer)
	}
	if d := m.env.SlowAfter; d > 0 {
		m.timers.add(after(m.header.Started, d), nil, slowTimer)
	}
	m.pivoted = m.header.Forward
	if m.header.Waits {
		m.bar()
		return
	}
	m.root = m.enter(m.prog.root, nil, -1)
}

// ID is the saga's ID.
func (m *Machine) ID() string { return m.id }

// Rev is the revision that the machine was last committed at.
func (m *Machine) Rev() uint64 { return m.rev }

// Header is what the saga knows from its start.
func (m *Machine) Header() *Header { return &m.header }

// Deadline is when the saga must be done, or zero.
func (m *Machine) Deadline() time.Time {
	if d := m.settings().Deadline; d > 0 {
		return after(m.header.Started, d)
	}
	return time.Time{}
}

var noSettings plan.Settings

func (m *Machine) settings() *plan.Settings {
	if s := m.prog.Def.Root.Settings; s != nil {
		return s
	}
	return &noSettings
}

// record encodes f for the journal and applies it to i, which f.Path names.
func (m *Machine) record(i *inst, f *Fact, now time.Time) {
	f.At = now
	if i != nil {
		f.Path = i.Path()
		m.strike(i)
	}
	m.spell(f)
	b := m.bufs
	start := len(b.journal)
	b.journal = f.append(b.journal, m.header.Started)
	data := b.journal[start:len(b.journal):len(b.journal)]
	b.entries = append(b.entries, broker.Entry{Path: f.Path, Data: data})
	m.grow(f, len(data))
	m.apply(i, f)
}

// spell encodes the error of f, until the next one is.
func (m *Machine) spell(f *Fact) {
	if f.err != nil {
		m.bufs.scratch = m.env.Errors.Append(m.bufs.scratch[:0], f.err)
		f.Err = m.bufs.scratch
	}
}

// grow counts what f takes of the record. Retries do not count: a step that is tried for days must find room for its output.
func (m *Machine) grow(f *Fact, n int) {
	if f.Kind != Tried {
		m.size += len(f.Path) + n
	}
}
