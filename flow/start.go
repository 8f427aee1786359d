package flow

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// StartOption changes how a saga is started.
type StartOption func(*starting)

type starting struct {
	id      string
	hasID   bool
	headers Headers
}

// ID gives the saga an ID: 1 to 255 bytes of printable text without "/[]#~". A start with an ID that exists is the same saga, if flow, version
// and input are the same, and ErrConflict otherwise. Without it the ID is a new UUID (version 7).
func ID(id string) StartOption {
	return func(s *starting) { s.id, s.hasID = id, true }
}

// WithHeaders gives the saga headers, beside those that the engine's propagators inject.
func WithHeaders(h Headers) StartOption {
	return func(s *starting) {
		for k, v := range h {
			s.set(k, v)
		}
	}
}

func (s *starting) set(key, value string) {
	if s.headers == nil {
		s.headers = make(Headers, 4)
	}
	s.headers[key] = value
}

// Start begins a saga, and returns when it is durable; from then on it ends as done, undone or a dead letter, whatever becomes of the caller.
// It does not wait for the first step.
//
// The errors are ErrConflict, ErrOverloaded, ErrLocked, ErrID, ErrKey, ErrTooLarge, ErrPayload, ErrEnded and ErrZero: then nothing was started. On any other error, such as the
// broker's or ctx's, the saga may have been started: start it again with the same ID to be sure.
func (f Flow[I, O]) Start(ctx context.Context, e *Engine, in I, opts ...StartOption) (Future[O], error) {
	def, err := f.definition()
	if err != nil {
		return Future[O]{}, fmt.Errorf("flow: start: %w: %w", ErrZero, err)
	}
	if e.isZero() {
		return Future[O]{}, fmt.Errorf("flow: start a saga of %q on an Engine that NewEngine did not make: %w", def.Name, ErrZero)
	}
	h, err := e.start(ctx, def, in, opts)
	if err != nil {
		return Future[O]{}, err
	}
	return Future[O]{h}, nil
}

// Attach gives the Future of a saga that anyone started, in any process. It does not look whether there is one: that may
// still be started, and waiting for it until then ends with the caller's context.
func (f Flow[I, O]) Attach(e *Engine, id string) Future[O] {
	def, err := f.definition()
	if err != nil || e.isZero() {
		return Future[O]{}
	}
	return Future[O]{e.attached(id, def, false)}
}

func (e *Engine) start(ctx context.Context, def *plan.Def, in any, opts []StartOption) (*handle, error) {
	b := startBuffers.Get().(*startBuffer)
	defer b.release()
	for _, opt := range opts {
		opt(&b.starting)
	}
	if err := b.identify(b.random); err != nil {
		return nil, fmt.Errorf("flow: start a saga of %q: %w", def.Name, err)
	}
	h, err := e.startAs(ctx, def, in, b)
	if err != nil {
		return nil, fmt.Errorf("flow: start saga %q of %q: %w", b.id, def.Name, translate(err))
	}
	return h, nil
}

func (s *starting) identify(random io.Reader) error {
	if !s.hasID {
		id, err := uuid.NewV7FromReader(random)
		s.id = id.String()
		return err
	}
	if err := plan.CheckName(s.id); err != nil {
		return fmt.Errorf("%w: %.80q: %w", ErrID, s.id, err)
	}
	return nil
}

// startBuffer is memory that starts use one after the other.
type startBuffer struct {
	starting
	input, record []byte
	claims        []string      // for who sends the start later
	digest        [32]byte      // of the input, for who sends the start later
	random        *bufio.Reader // the system is asked once for several IDs
}

var startBuffers = sync.Pool{New: func() any { return &startBuffer{random: bufio.NewReaderSize(rand.Reader, 256)} }}

func (b *startBuffer) release() {
	b.starting = starting{}
	startBuffers.Put(b)
}

func (e *Engine) startAs(ctx context.Context, def *plan.Def, in any, s *startBuffer) (*handle, error) {
	if e.phase.Load() == ended {
		return nil, ErrEnded
	}
	for _, p := range e.opts.Propagators {
		if s.headers == nil {
			s.headers = make(Headers, 4)
		}
		p.Inject(ctx, s.headers)
	}
	claims, err := def.Claims(in)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	header := saga.Header{Started: time.Now(), Headers: s.headers, Claims: claims}
	spec := broker.Start{ID: s.id, Served: broker.Served{Flow: def.Name, Version: def.Version()}, Claims: claims}
	spec.Refuse = len(claims) > 0 && def.Root.Settings.Refuse
	if err := e.encodeStart(s, &spec, &header, def.Root.In, in); err != nil {
		return nil, err
	}
	if r := e.localRun(spec, def); r != nil {
		return e.startHere(ctx, r, spec, header, in)
	}
	return e.startAway(ctx, spec, def)
}

// encodeStart fills in what the broker is to store.
func (e *Engine) encodeStart(s *startBuffer, spec *broker.Start, header *saga.Header, t *plan.Type, in any) (err error) {
	if s.input, spec.Digest, err = e.payloads.AppendDigest(s.input[:0], t, in); err != nil {
		return fmt.Errorf("%w: encode the input, a %v: %w", ErrPayload, t, err)
	}
	if n := len(s.input); n > e.opts.MaxPayload {
		return fmt.Errorf("%w: the input has %d bytes, Options.MaxPayload is %d", ErrTooLarge, n, e.opts.MaxPayload)
	}
	header.Input = s.input
	s.record = header.Append(s.record[:0])
	if n, most := len(s.record), e.opts.MaxRecord-e.opts.MaxRecord/4; n > most {
		return fmt.Errorf("%w: input and headers have %d bytes, of Options.MaxRecord they may have %d", ErrTooLarge, n, most)
	}
	spec.Record = s.record
	return nil
}

// localRun gives a run for a saga that this engine may own at once, or nil.
func (e *Engine) localRun(spec broker.Start, def *plan.Def) *run {
	m, s := e.member.Load(), e.servedAs(spec.Served)
	if m == nil || s == nil || !sameTypes(s.def, def) || e.phase.Load() != running || e.patient.Load() != nil {
		return nil
	}
	r := &run{member: m, served: s, base: context.Background(), driving: true}
	r.handle = handle{e: e, id: spec.ID, def: s.def, local: true}
	if !e.table.add(r, e.opts.Concurrency-e.reserved()) {
		return nil
	}
	if e.patient.Load() != nil { // it came meanwhile, and may have seen that it is alone
		r.close()
		return nil
	}
	return r
}

// sameTypes says that a value of one definition can be handed to the other as it is.
func sameTypes(a, b *plan.Def) bool {
	return a == b || a.Root.In.Go == b.Root.In.Go && a.Root.Out.Go == b.Root.Out.Go
}

// startHere starts a saga that this engine owns at once.
func (e *Engine) startHere(ctx context.Context, r *run, spec broker.Start, header saga.Header, in any) (*handle, error) {
	if t := r.def.Root.In; t.Shared { // the caller may go on changing what it passed
		own, err := e.payloads.Decode(t, header.Input)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("%w: the input, a %v, cannot be read back: %w", ErrPayload, t, err)
		}
		in = own
	}
	spec.By = r.member.worker
	started, err := e.startUntil(ctx, spec)
	if err != nil || !started.Owned {
		r.close()
		if err != nil {
			return nil, err
		}
		return e.attached(spec.ID, r.def, true), nil
	}
	header.Waits = started.Waits
	r.begins(saga.New(&e.env, r.served.prog, r.id, header, in))
	r.mu.Lock()
	r.mail = append(started.Mail, r.mail...)
	r.mu.Unlock()
	e.submit(task{run: r})
	return &r.handle, nil
}

// startAway queues the saga for whoever serves its flow.
func (e *Engine) startAway(ctx context.Context, spec broker.Start, def *plan.Def) (*handle, error) {
	if _, err := e.startUntil(ctx, spec); err != nil {
		return nil, err
	}
	return e.attached(spec.ID, def, true), nil
}

// attached gives the handle of the run in this process, if there is one for this definition, or a new one. known says that
// the saga is certainly one of def.
func (e *Engine) attached(id string, def *plan.Def, known bool) *handle {
	if r := e.table.get(id); r != nil && r.def.Name == def.Name && sameTypes(r.def, def) {
		return &r.handle
	}
	return &handle{e: e, id: id, def: def, known: known}
}

// startUntil repeats a start until the broker has said yes or no.
func (e *Engine) startUntil(ctx context.Context, spec broker.Start) (started broker.Started, err error) {
	err = insist(ctx, func() error {
		started, err = e.broker.Start(ctx, spec)
		return err
	})
	return started, err
}

// deliver repeats a delivery until the broker has said yes or no.
func (e *Engine) deliver(ctx context.Context, id string, ev broker.Event) error {
	return insist(ctx, func() error { return e.broker.Deliver(ctx, id, ev) })
}

// lookup repeats a read until the broker has answered. It reads no journal.
func (e *Engine) lookup(ctx context.Context, id string) (s broker.Snapshot, err error) {
	err = insist(ctx, func() error {
		s, err = e.broker.Lookup(ctx, id, false)
		return err
	})
	return s, err
}

// insist repeats a call until the broker has said yes or no, or ctx ends.
func insist(ctx context.Context, call func() error) error {
	err := call()
	for pause := pauses(); err != nil && !final(err); err = call() {
		if ctx.Err() == nil && pause.wait(ctx) {
			continue
		}
		if errors.Is(err, ctx.Err()) {
			return err
		}
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// translate gives a broker's error the name that users know.
func translate(err error) error {
	if errors.Is(err, broker.ErrLocked) {
		return asLocked(err)
	}
	for from, to := range map[error]error{
		broker.ErrConflict: ErrConflict, broker.ErrOverload: ErrOverloaded, broker.ErrUnknown: ErrUnknown, broker.ErrSettled: ErrSettled,
	} {
		if errors.Is(err, from) {
			return fmt.Errorf("%w (%w)", to, err)
		}
	}
	return err
}
