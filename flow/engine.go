package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Engine starts sagas, and runs those of the flows that it serves. One that is not Run only starts
// sagas and waits for their results. Its methods may be called concurrently.
type Engine struct {
	broker   broker.Broker
	opts     Options
	log      *slog.Logger
	env      saga.Env
	errors   *wireErrors
	payloads *payloads
	health   health
	table    *table
	programs sync.Map // *plan.Def → *saga.Program
	refs     sync.Map // refKey → *plan.Def
	calls    calls    // of other services

	schedules []Schedule // that this engine knows, once it runs

	mu    sync.Mutex
	flows map[broker.Served]*served
	phase atomic.Int32 // fresh, running, draining, ended

	pool    *pool
	member  atomic.Pointer[member]
	patient atomic.Pointer[run] // the saga that runs alone, if one does
	shut    atomic.Bool         // no saga is received, because there is a patient
	elders  sync.Map            // saga ID → *run that is over, and has attempts that have not returned

	interrupt atomic.Pointer[context.CancelFunc] // of the call that receives
	careful   bool                               // the last saga that was received is suspicious; only for who receives

	followers followers
	events    events

	empty  chan struct{} // has a token when the last run has ended
	closed chan struct{} // closed when the broker is
	alive  context.Context
	halt   context.CancelFunc // of alive: give up everything that still tries
}

// The phases of an engine.
const (
	fresh    int32 = iota
	running        // Run was called
	draining       // it is to end: attempts that run may end, no other begins
	hurrying       // attempts are cut off: what fails now was interrupted
	leaving        // sagas are given back although attempts run
	ended
)

// served is a flow that the engine runs.
type served struct {
	def  *plan.Def
	prog *saga.Program
}

// NewEngine makes an engine on a broker, which may be shared by many engines and is not closed by them. It starts
// nothing. It panics if b is nil, or if a number in opts is negative or an interceptor nil.
func NewEngine(b broker.Broker, opts Options) *Engine {
	if b == nil {
		panic("flow: NewEngine(nil, …): an engine needs a broker, such as inmem.New()")
	}
	if err := opts.check(); err != nil {
		panic(err.Error())
	}
	opts = opts.withDefaults()
	opts.Interceptors = slices.Clone(opts.Interceptors)
	p := newPayloads(opts.Codec)
	e := &Engine{
		broker: b, opts: opts, log: opts.Logger, payloads: p, errors: newWireErrors(opts.Errors, p),
		table: newTable(), flows: map[broker.Served]*served{}, pool: newPool(opts.Concurrency),
		empty: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	e.env = opts.env(p, e.errors)
	e.env.Service = serviceOf(b)
	e.alive, e.halt = context.WithCancel(context.Background())
	return e
}

// Serve makes the engine run sagas of these flows, and of the flows that are children in them. It panics if a flow is zero,
// if another definition has the same name and version, or after Run was called.
func (e *Engine) Serve(flows ...Definition) {
	if e.isZero() {
		panic("flow: Serve on an Engine that NewEngine did not make")
	}
	if e.phase.Load() != fresh {
		panic("flow: Serve after Run: say what an engine serves before it runs")
	}
	for _, f := range flows {
		if f == nil {
			panic("flow: Serve(nil)")
		}
		def, err := f.definition()
		if err != nil {
			panic("flow: Serve: " + err.Error())
		}
		e.serve(def)
	}
}

func (e *Engine) serve(def *plan.Def) {
	e.mu.Lock()
	key := broker.Served{Flow: def.Name, Version: def.Version()}
	old, prog := e.flows[key], e.program(def)
	if old == nil && prog.Remote && e.env.Service == "" {
		e.mu.Unlock()
		panic(fmt.Sprintf("flow: Serve: %q calls other services: %v", def.Name, e.noService()))
	}
	if old == nil {
		e.flows[key] = &served{def: def, prog: prog}
	}
	e.mu.Unlock()
	if old != nil {
		if old.def != def && fingerprint(old.def) != fingerprint(def) {
			panic(fmt.Sprintf("flow: Serve: two definitions of %q in version %d: give one another name or Version", def.Name, key.Version))
		}
		return
	}
	for _, child := range children(def.Root) {
		e.serve(child)
	}
}

// children gives the flows that are children in a tree.
func children(n *plan.Node) (defs []*plan.Def) {
	switch {
	case n.Remote != nil:
		defs = append(defs, n.Remote.Alone)
	case n.Kind == plan.Child:
		defs = append(defs, n.Child)
	}
	for _, kid := range n.Kids {
		defs = append(defs, children(kid)...)
	}
	return defs
}

func (e *Engine) program(def *plan.Def) *saga.Program {
	if p, ok := e.programs.Load(def); ok {
		return p.(*saga.Program)
	}
	p, _ := e.programs.LoadOrStore(def, saga.Compile(def))
	return p.(*saga.Program)
}

func (e *Engine) servedAs(s broker.Served) *served {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flows[s]
}

// servedFor gives the flow that a saga runs, or nil if it is not served here: for one that another service started and nobody has begun, in
// the last version.
func (e *Engine) servedFor(r *broker.Record) *served {
	as := r.Served
	if as.Version == 0 {
		as.Version = saga.TakenVersion(r)
	}
	if as.Version != 0 {
		return e.servedAs(as)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var last *served
	for key, s := range e.flows {
		if key.Flow == as.Flow && (last == nil || key.Version > last.def.Version()) {
			last = s
		}
	}
	return last
}

// isZero says that NewEngine did not make e.
func (e *Engine) isZero() bool { return e == nil || e.broker == nil }

// Run runs sagas of the flows that the engine serves, and handles the events that it listens to, until ctx ends. Then it takes no more sagas, waits for running attempts
// as long as Options.Grace says, and cuts off the others, which have a second to return. It gives every saga back to the
// broker at once: another engine goes on with it, and makes an attempt that was cut off once more.
//
// An outage of the broker does not end Run. It returns nil, or an error: at once, if the engine has run before or serves
// nothing; when the broker is closed, which is broker.ErrClosed; or because attempts did not return, and nobody waits for them.
func (e *Engine) Run(ctx context.Context) error {
	if e.isZero() {
		return fmt.Errorf("flow: Run: %w", ErrZero)
	}
	if len(e.serves()) == 0 && !e.events.some() {
		err := errors.New("flow: Run: the engine serves no flows and listens to nothing: call Serve or Topic.On before")
		e.log.Error("the engine does not run", "error", err) // go engine.Run(ctx) drops it
		return err
	}
	if !e.phase.CompareAndSwap(fresh, running) {
		return errors.New("flow: Run was called before: an engine runs once")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.events.begin(ctx, e)
	stop := e.keepSchedules(ctx)
	err := e.work(ctx)
	cancel()
	stop()
	if !e.drain() {
		err = errors.Join(err, errors.New("attempts or listeners still run that did not return when their context ended; their sagas were given back"))
	}
	if err != nil {
		return fmt.Errorf("flow: Run: %w", err)
	}
	return nil
}

// work runs sagas until ctx ends or the broker is closed.
func (e *Engine) work(ctx context.Context) error {
	if len(e.serves()) == 0 {
		err := e.events.wait()
		if errors.Is(err, broker.ErrClosed) {
			close(e.closed)
		}
		return err
	}
	for ctx.Err() == nil {
		m, err := e.join(ctx)
		if err == nil {
			err = e.receive(ctx, m)
		}
		switch {
		case errors.Is(err, broker.ErrClosed):
			close(e.closed)
			return err
		case ctx.Err() == nil:
			e.log.Warn("this worker was declared dead, its sagas go to others; joining anew", "error", err)
			e.dropAll(m)
		}
	}
	return nil
}

// serves lists what the engine serves. Sagas that other services start are of no version.
func (e *Engine) serves() []broker.Served {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Collect(maps.Keys(e.flows))
	for _, s := range e.schedules {
		all = append(all, scheduleServed(s.name))
	}
	if e.env.Service == "" {
		return all
	}
	for s := range e.flows {
		if call := (broker.Served{Flow: s.Flow}); !slices.Contains(all, call) {
			all = append(all, call)
		}
	}
	return all
}

// extract gives the context in which a saga's functions run: the values that propagators carry, and no end.
func (e *Engine) extract(h Headers) context.Context {
	ctx := context.Background()
	for _, p := range e.opts.Propagators {
		ctx = e.extractBy(p, ctx, h)
	}
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	return ctx
}

// extractBy keeps a propagator's panic from ending the process.
func (e *Engine) extractBy(p Propagator, ctx context.Context, h Headers) (out context.Context) {
	defer func() {
		if v := recover(); v != nil || out == nil {
			e.log.Error("a propagator could not extract, going on without it", "propagator", fmt.Sprintf("%T", p), "panic", v)
			out = ctx
		}
	}()
	return p.Extract(ctx, h)
}

// build names what this engine can run: all its flows in their shapes.
func (e *Engine) build() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for key, s := range e.flows {
		all = append(all, fmt.Sprintf("%s@%d:%s", key.Flow, key.Version, fingerprint(s.def)))
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
	return hex.EncodeToString(sum[:8])
}
