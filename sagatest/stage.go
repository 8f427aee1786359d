package sagatest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/plan"
)

// stage is where one saga runs: a broker in memory, a process that dies on request, and a caller in a process of its own. It
// lives inside a bubble, and its methods but those of interceptors are called by one goroutine.
type stage struct {
	play      *play
	outline   *outline
	script    script
	opts      flow.Options
	serves    []flow.Definition
	broker    *mortal
	caller    *flow.Engine
	recorder  Recorder
	id        string
	ctx       context.Context
	cancel    context.CancelFunc
	began     time.Time
	processes []*process
	born      atomic.Int64
	own       sync.WaitGroup // goroutines
	settled   chan ending
	awaiting  bool
	dead      chan flow.DeadLetter
	seen      map[node]time.Duration // waits that were told, and when they were reached
	silent    []string               // waits for which no signal came when they were told
	most      int                    // attempts of one node
	tired     chan error             // why a node is not run any more

	mu        sync.Mutex
	happened  map[int]bool // by index in script
	attempts  map[node]int
	healed    bool // faults that last are over
	cancelErr error
	abandoned []string // paths
	refusals  []string // of steps that changed something
	swallowed []string
}

// ending is what a caller of a saga gets.
type ending struct {
	out any
	err error
}

// sagaID is the ID of the saga of a cell.
const sagaID = "saga"

func newStage(p *play, s script, opts flow.Options, attempts int) *stage {
	st := &stage{
		play: p, script: s, outline: outlineOf(p.def), broker: newMortal(), id: sagaID, serves: []flow.Definition{p.served}, began: time.Now(),
		settled: make(chan ending, 1), dead: make(chan flow.DeadLetter, 64), seen: map[node]time.Duration{}, happened: map[int]bool{},
		most: attempts, tired: make(chan error, 1), attempts: map[node]int{},
	}
	st.recorder.pulse, st.broker.pulse = p.pulse, p.pulse
	if p.pulse != nil {
		p.pulse.listen(st.recorder.Calls)
	}
	st.ctx, st.cancel = context.WithCancel(context.Background())
	st.opts = st.options(opts)
	st.caller = flow.NewEngine(st.broker, st.opts)
	st.caller.Serve(st.serves...)
	st.spawn()
	return st
}

// options are the user's, with what the stage listens to.
func (s *stage) options(o flow.Options) flow.Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Errors = o.Errors.With(errcodec.Sentinel("sagatest.injected", ErrInjected))
	o.DecodeAll = true
	onDead, onAlert := o.OnDeadLetter, o.OnAlert
	o.OnDeadLetter = func(ctx context.Context, d flow.DeadLetter) {
		if onDead != nil {
			onDead(ctx, d)
		}
		s.dead <- d
	}
	o.OnAlert = func(ctx context.Context, a flow.Alert) {
		if onAlert != nil {
			onAlert(ctx, a)
		}
		if a.Kind == flow.AlertAbandoned {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.abandoned = append(s.abandoned, a.Step)
		}
	}
	return o
}

// start starts the saga.
func (s *stage) start() error {
	future, err := s.play.start(s.ctx, s.caller, s.id)
	if err != nil {
		return fmt.Errorf("sagatest: start the saga: %w", err)
	}
	s.await(future)
	return nil
}

func (s *stage) await(h handle) {
	s.awaiting = true
	s.own.Go(func() {
		out, err := h.await(s.ctx)
		s.settled <- ending{out, err}
	})
}

// run lets the saga go on until it has ended, and gives how. A dead letter that the script means is relayed.
func (s *stage) run(limit time.Duration) (end ending, relayed bool, err error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for relays := 0; ; {
		select {
		case end = <-s.settled:
			s.awaiting = false
			if stateOf(end.err) != flow.StateDeadLetter {
				return end, relayed, nil
			}
		case d := <-s.dead:
			if relays++; !s.script.buries() || relays > mostRelays {
				return ending{err: d.Err}, relayed, nil
			}
			if err := s.relay(d.SagaID); err != nil {
				return end, relayed, err
			}
			relayed = true
		case <-s.broker.parked:
			synctest.Wait()
			if err := s.tellWaits(); err != nil {
				return end, relayed, err
			}
		case err := <-s.tired:
			return end, relayed, err
		case <-timer.C:
			return end, relayed, fmt.Errorf("sagatest: the saga has not ended after %v: %s", limit, s.standing())
		}
	}
}

// mostRelays is how often a saga, with its children, may become a dead letter before it stays one: an undo that never works would go on for ever.
const mostRelays = 5

// relay lets a dead letter go on, and waits for it again.
func (s *stage) relay(id string) error {
	synctest.Wait()
	s.mu.Lock()
	s.healed = true
	s.mu.Unlock()
	select {
	case <-s.settled: // that of the dead letter
		s.awaiting = false
	default:
	}
	err := s.caller.Relay(s.ctx, id, flow.By{Who: "sagatest", Why: "the fault is over"})
	if err != nil {
		return fmt.Errorf("sagatest: relay the dead letter: %w", err)
	}
	if !s.awaiting {
		s.await(s.play.attach(s.caller, s.id))
	}
	return nil
}

// tellWaits finds out for what the saga and its children wait, and has the script or the user act.
func (s *stage) tellWaits() error {
	for snap, err := range s.caller.List(s.ctx, flow.Filter{}) {
		if err != nil {
			return err
		}
		if snap.State != flow.StateRunning && snap.State != flow.StateWaiting && snap.State != flow.StateCompensating {
			continue
		}
		for _, path := range s.waits(snap.SagaID) {
			if err := s.tellWait(snap.SagaID, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// waits lists the waits and delays of a saga that are open.
func (s *stage) waits(id string) (paths []string) {
	snap, err := s.caller.Snapshot(s.ctx, id)
	if err != nil || snap.State != flow.StateRunning {
		return nil
	}
	for _, st := range snap.Steps {
		if st.State == "open" && (st.Kind == "wait" || st.Kind == "delay") {
			paths = append(paths, st.Path)
		}
	}
	return paths
}

func (s *stage) tellWait(id, path string) error {
	n := node{path: under(inside(id, s.id), path)}
	if _, told := s.seen[n]; told {
		return nil
	}
	s.seen[n] = time.Since(s.began)
	if k, ok := s.script.at(n); ok {
		s.note(k)
		if s.script[k].fault == Cancelled {
			s.own.Go(s.cancelSaga)
		}
		return nil
	}
	letters := s.broker.letters.Load()
	defer func() {
		if at := s.outline.at(n.path); at != nil && at.Kind == plan.Wait && s.broker.letters.Load() == letters {
			s.silent = append(s.silent, n.path)
		}
	}()
	if s.play.signals == nil {
		return nil
	}
	if err := s.play.signals(Waiting{Context: s.ctx, Engine: s.caller, Saga: id, Path: path, outline: s.outline, child: inside(id, s.id)}); err != nil {
		return fmt.Errorf("sagatest: World.Signals at %s: %w", path, err)
	}
	return nil
}

func (s *stage) cancelSaga() {
	err := s.play.attach(s.caller, s.id).cancel(s.ctx, "sagatest cancels it")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelErr = err
}

// standing says how the saga stands, for people.
func (s *stage) standing() string {
	snap, err := s.caller.Snapshot(s.ctx, s.id)
	if err != nil {
		return err.Error()
	}
	text := "it is " + snap.State.String()
	for _, st := range snap.Steps {
		if st.State == "open" || st.State == "undoing" || st.State == "stuck" {
			text += fmt.Sprintf("; %s %s is %s", st.Kind, st.Path, st.State)
			if st.Err != nil {
				text += ": " + st.Err.Error()
			}
		}
	}
	return text
}

// stateOf is how a saga ended that gives err.
func stateOf(err error) flow.State {
	if err == nil {
		return flow.StateDone
	}
	if e, ok := errors.AsType[*flow.Error](err); ok {
		return e.State
	}
	return flow.StateUnknown
}
