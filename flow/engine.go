package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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

	mu    sync.Mutex
	flows map[broker.Served]*served
	phase atomic.Int32 // fresh, running, draining, ended

	member atomic.Pointer[member]
	pool   *pool
	room   chan struct{} // has a token when a run has ended while there was no room
	quiet  chan struct{} // has a token when the last run has ended while the engine drains
	work   context.Context
	halt   context.CancelFunc // of work: give up everything that still tries
}

const (
	fresh int32 = iota
	running
	draining
	ended
)

// served is a flow that the engine runs.
type served struct {
	def  *plan.Def
	prog *saga.Program
}

// member is the engine's membership in its broker, until it ends or is fenced.
type member struct {
	worker broker.Worker
	fenced chan struct{}
	once   sync.Once
}

// NewEngine makes an engine on a broker, which may be shared by many engines and is not closed by them. It starts
// nothing. It panics if b is nil or a number in opts is negative.
func NewEngine(b broker.Broker, opts Options) *Engine {
	if b == nil {
		panic("flow: NewEngine(nil, …): an engine needs a broker, such as inmem.New()")
	}
	if err := opts.check(); err != nil {
		panic(err.Error())
	}
	opts = opts.withDefaults()
	p := newPayloads(opts.Codec)
	e := &Engine{
		broker: b, opts: opts, log: opts.Logger, payloads: p, errors: newWireErrors(opts.Errors, p),
		table: newTable(), flows: map[broker.Served]*served{}, room: make(chan struct{}, 1), quiet: make(chan struct{}, 1),
		pool: &pool{limit: opts.Concurrency},
	}
	e.env = opts.env(p, e.errors)
	e.work, e.halt = context.WithCancel(context.Background())
	return e
}

// Serve makes the engine run sagas of these flows, and of the flows that are children in them. It panics if a flow is zero,
// if another definition has the same name and version, or after Run was called.
func (e *Engine) Serve(flows ...Definition) {
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
	old := e.flows[key]
	if old == nil {
		e.flows[key] = &served{def: def, prog: e.program(def)}
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
	if n.Kind == plan.Child {
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

// Run runs sagas of the flows that the engine serves until ctx ends. Then it takes no more sagas, waits for running attempts as
// long as Options.Grace says, gives every saga back to the broker, and returns nil, or an error if attempts still run then, which nobody waits for.
// An outage of the broker does not end it. It returns an error at once if the engine has run before, or serves nothing.
func (e *Engine) Run(ctx context.Context) error {
	if len(e.flows) == 0 {
		return errors.New("flow: Run: the engine serves no flows: call Serve before")
	}
	if !e.phase.CompareAndSwap(fresh, running) {
		return fmt.Errorf("flow: Run was called before: %w", ErrEnded)
	}
	for ctx.Err() == nil {
		m, err := e.join(ctx)
		if err != nil {
			break
		}
		e.receive(ctx, m)
		if ctx.Err() == nil {
			e.dropAll(m)
		}
	}
	return e.drain()
}

// join becomes a member, trying until ctx ends.
func (e *Engine) join(ctx context.Context) (*member, error) {
	spec := broker.Member{Name: e.opts.Name, Build: e.build(), Lease: e.opts.Lease}
	e.mu.Lock()
	for s := range e.flows {
		spec.Flows = append(spec.Flows, s)
	}
	e.mu.Unlock()
	for pause := pauses(); ; {
		w, err := e.broker.Join(ctx, spec)
		if err == nil {
			m := &member{worker: w, fenced: make(chan struct{})}
			e.member.Store(m)
			e.health.ok(partJoin)
			return m, nil
		}
		e.health.failed(partJoin, err)
		if ctx.Err() == nil {
			e.log.Warn("cannot join the broker, trying again", "error", err)
		}
		if errors.Is(err, broker.ErrClosed) || !pause.wait(ctx) {
			return nil, err
		}
	}
}

// receive takes what the broker has, until ctx ends or the membership does.
func (e *Engine) receive(ctx context.Context, m *member) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-m.fenced:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := pauses()
	for ctx.Err() == nil {
		deliveries, err := e.receiveOnce(ctx, m)
		switch {
		case errors.Is(err, broker.ErrFenced) || errors.Is(err, broker.ErrClosed):
			e.fenced(m)
			if errors.Is(err, broker.ErrClosed) {
				e.health.failed(partReceive, err)
				pause.wait(ctx)
			}
			return
		case err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled):
			e.health.failed(partReceive, err)
			e.log.Warn("cannot receive from the broker, trying again", "error", err)
			pause.wait(ctx)
		case err == nil:
			pause = pauses()
			e.health.ok(partReceive)
		}
		for _, d := range deliveries {
			e.handle(m, d)
		}
	}
}

// receiveOnce asks for as many sagas as there is room for; without room, it asks for mail until there is some.
func (e *Engine) receiveOnce(ctx context.Context, m *member) ([]broker.Delivery, error) {
	select {
	case <-e.room:
	default:
	}
	if room := e.opts.Concurrency - int(e.table.count.Load()); room > 0 {
		return m.worker.Receive(ctx, room)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-e.room:
			cancel()
		case <-ctx.Done():
		}
	}()
	return m.worker.Receive(ctx, 0)
}

// freed says that a run has ended.
func (e *Engine) freed() {
	if e.phase.Load() == draining && e.table.count.Load() == 0 {
		notify(e.quiet)
	}
	if int(e.table.count.Load()) < e.opts.Concurrency-1 {
		return
	}
	notify(e.room)
}

// notify puts a token into a channel that holds one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// handle does what one delivery asks for.
func (e *Engine) handle(m *member, d broker.Delivery) {
	switch {
	case d.Saga != nil:
		e.adopt(m, d.Saga)
	case d.Lost:
		if r := e.table.get(d.ID); r != nil && r.member == m {
			r.drop()
		}
	default:
		if r := e.table.get(d.ID); r != nil && r.member == m {
			r.prod(func() { r.mail = append(r.mail, d.Mail...) })
		}
	}
}

// adopt runs a saga that the broker handed out.
func (e *Engine) adopt(m *member, rec *broker.Record) {
	s := e.servedAs(rec.Served)
	if s == nil {
		e.log.Error("the broker handed out a saga of a flow that is not served here", "saga", rec.ID, "flow", rec.Flow)
		return
	}
	r := &run{member: m, served: s, record: rec, base: e.work, driving: true}
	r.handle = handle{e: e, id: rec.ID, def: s.def, local: true}
	if old := e.table.replace(r); old != nil {
		old.drop()
	}
	e.submit(task{run: r})
}

func (e *Engine) submit(t task) {
	if !e.pool.submit(t) {
		t.run.drop()
	}
}

// fenced ends a membership: the broker gave its sagas to others.
func (e *Engine) fenced(m *member) {
	m.once.Do(func() {
		e.member.CompareAndSwap(m, nil)
		close(m.fenced)
	})
}

func (e *Engine) dropAll(m *member) {
	e.log.Warn("the broker declared this worker dead; joining anew")
	for _, r := range e.table.all() {
		if r.member == m {
			r.drop()
		}
	}
}

// drain ends the engine's work: running attempts may end within the grace period, the rest is given back.
func (e *Engine) drain() error {
	e.phase.Store(draining)
	m := e.member.Load()
	for _, r := range e.table.all() {
		r.prod(func() { r.leaving = true })
	}
	if !e.emptied(e.opts.Grace) {
		for _, r := range e.table.all() {
			r.prod(func() { r.hurried = true })
		}
		e.emptied(time.Second)
	}
	if m != nil {
		ctx, cancel := context.WithTimeout(context.Background(), e.opts.Lease)
		defer cancel()
		if err := m.worker.Leave(ctx); err != nil && !errors.Is(err, broker.ErrClosed) {
			e.log.Warn("cannot leave the broker; its sagas are taken over when the lease ends", "error", err)
		}
		e.fenced(m)
	}
	e.phase.Store(ended)
	e.halt()
	for _, r := range e.table.all() {
		r.drop()
	}
	e.pool.close()
	if !e.pool.wait(time.Second) {
		return errors.New("flow: Run: attempts still run that did not return when their context ended; their sagas were given back")
	}
	return nil
}

// emptied waits until no run is left, for d at most.
func (e *Engine) emptied(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for e.table.count.Load() > 0 {
		select {
		case <-e.quiet:
		case <-t.C:
			return false
		}
	}
	return true
}

// extract gives the context in which a saga's functions run: no deadline, and the values that propagators carry.
func (e *Engine) extract(h Headers) context.Context {
	ctx := context.Background()
	for _, p := range e.opts.Propagators {
		ctx = p.Extract(ctx, h)
	}
	return ctx
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
