package engines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/simulate/world"
	"github.com/skald-go/skald/step"
)

// Config is a run. The same one meets the same faults of steps, and others of brokers: goroutines run in the order that they like.
type Config struct {
	Seed  uint64
	Sagas int // 0 is 200
	Flows int // 0 is 6
}

// odds are those of the broker's calls.
func (c Config) odds() brokerfault.Odds {
	odds := brokerfault.Odds{
		brokerfault.Fail: 0.02, brokerfault.Lose: 0.02, brokerfault.Repeat: 0.03, brokerfault.Delay: 0.05, brokerfault.Reorder: 0.05,
	}
	if !c.steady() {
		odds[brokerfault.KillBefore], odds[brokerfault.KillAfter] = 0.001, 0.001
	}
	return odds
}

// steady says that all engines live as long as the run does: a saga that one of them forgets would be found by the next otherwise.
func (c Config) steady() bool { return c.Seed%2 == 1 }

// run is one bubble's.
type run struct {
	Config
	random *rand.Rand
	books  *books
	town   *town
	fleet  *fleet
	inner  *tap
	broker *brokerfault.Broker
	flows  []flow.Flow[world.Num, world.Num]
	faults [len(brokerFaults)]atomic.Int64
}

// brokerFaults are the faults of the broker's calls.
var brokerFaults = [...]brokerfault.Fault{
	brokerfault.Fail, brokerfault.Lose, brokerfault.Repeat, brokerfault.Delay, brokerfault.Reorder, brokerfault.KillBefore, brokerfault.KillAfter,
}

// Run makes a run, in the bubble of package synctest that the caller is in. It gives what happened; the error says what must not have.
func Run(c Config) (*world.Tally, error) {
	if c.Sagas == 0 {
		c.Sagas = 200
	}
	if c.Flows == 0 {
		c.Flows = 6
	}
	r := &run{Config: c, random: rand.New(rand.NewPCG(c.Seed, 0)), books: newBooks()}
	r.town = newTown(c.Seed, r.books)
	r.inner = &tap{inmem.New(inmem.Shuffle(c.Seed)), r.books}
	r.broker = brokerfault.Wrap(r.inner, brokerfault.Options{Seed: c.Seed + 1, Odds: c.odds(), Rules: c.rules(), MaxDelay: 100 * time.Millisecond, Logf: r.struck})
	r.make()
	r.fleet = &fleet{broker: r.door(), flows: r.definitions(), options: r.town.options(r.random)}
	for range 3 {
		r.fleet.launch()
	}
	r.sagas()
	err := r.left()
	r.fleet.endAll()
	wrong := append(r.town.wrong, r.fleet.wrong...)
	if err != nil {
		wrong = append(wrong, err.Error())
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "\n"))
	}
	return r.judge()
}

// door is the broker that engines see: in every second pair of runs they submit what they commit.
func (r *run) door() broker.Broker {
	if r.Seed/2%2 == 0 {
		return r.broker
	}
	return postal{r.broker}
}

// rules let workers of every third run hear late of everything: there mail comes with the answers to commits.
func (c Config) rules() []brokerfault.Rule {
	if c.Seed%3 != 0 {
		return nil
	}
	return []brokerfault.Rule{{Method: brokerfault.Receive, Fault: brokerfault.Delay}}
}

// struck counts a fault of the broker, of which the wrapper tells as text.
func (r *run) struck(_ string, args ...any) {
	if len(args) != 2 {
		return
	}
	for k, fault := range brokerFaults {
		if args[0] == fault {
			r.faults[k].Add(1)
		}
	}
}

// make makes the flows.
func (r *run) make() {
	for k := range r.Flows {
		r.flows = append(r.flows, world.Flow(world.Seeded(r.Seed, uint64(k)+1), fmt.Sprintf("flow%d", k), 14))
	}
}

func (r *run) definitions() (all []flow.Definition) {
	for _, f := range r.flows {
		all = append(all, f)
	}
	return all
}

// sagas starts all of them, lives until they have ended, and compares what everybody hears of them.
func (r *run) sagas() {
	ctx, stop := context.WithCancel(context.Background())
	var around, all sync.WaitGroup
	l := &life{
		steady: r.steady(), fleet: r.fleet, town: r.town, books: r.books, broker: r.broker, random: rand.New(rand.NewPCG(r.Seed, 1)), decided: map[string]int{},
		signals: []flow.Signal[world.Num]{flow.NewSignal[world.Num]("paid"), flow.NewSignal[world.Num]("sent")},
	}
	client := flow.NewEngine(r.broker, r.town.options(r.random))
	r.town.write = func(ctx context.Context, info step.Info) {
		// that ctx ends, or the saga, is no mistake
		_ = l.signals[info.Attempt%2].Send(ctx, client, info.Saga, 7, flow.SignalID(fmt.Sprintf("%s-%d", info.Path, info.Attempt)))
	}
	churn := rand.New(rand.NewPCG(r.Seed, 2))
	around.Go(func() { l.live(ctx) })
	if !r.steady() {
		around.Go(func() { r.fleet.churn(ctx, churn) })
	}
	for k := range r.Sagas {
		all.Go(func() { r.one(client, k) })
	}
	all.Wait()
	stop()
	around.Wait()
}

// one starts a saga, sometimes twice, cancels some, and looks that all who wait for it hear the same.
func (r *run) one(client *flow.Engine, k int) {
	random := rand.New(rand.NewPCG(r.Seed, 1000+uint64(k)))
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Minute)
	defer stop()
	f, id, in := r.flows[random.IntN(len(r.flows))], fmt.Sprintf("saga%d", k), world.Num(random.IntN(1000))
	wait(ctx, time.Duration(random.IntN(2000))*time.Millisecond)
	starter := client
	if random.IntN(2) == 0 {
		starter = r.fleet.any(k)
	}
	future, err := f.Start(ctx, starter, in, flow.ID(id))
	if errors.Is(err, flow.ErrEnded) {
		future, err = f.Start(ctx, client, in, flow.ID(id))
	}
	if err != nil {
		r.town.complain("%s: start: %v", id, err)
		return
	}
	if random.IntN(8) == 0 {
		if _, err := f.Start(ctx, client, in, flow.ID(id)); err != nil {
			r.town.complain("%s: start it again: %v", id, err)
		}
	}
	if random.IntN(6) == 0 {
		wait(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
		r.cancel(ctx, future)
	}
	r.compare(ctx, id, future, f.Attach(client, id))
}

// cancel asks a saga to go back, and looks at the answer.
func (r *run) cancel(ctx context.Context, future flow.Future[world.Num]) {
	err := future.Cancel(ctx, "enough")
	if err == nil {
		r.hurry(ctx, future)
	}
	for _, target := range []error{nil, flow.ErrSettled, flow.ErrCompensating, flow.ErrPastPivot} {
		if errors.Is(err, target) {
			return
		}
	}
	if !strings.Contains(fmt.Sprint(err), "it became a dead letter") { // which is an answer, too
		r.town.complain("%s: cancel: %v", future.ID(), err)
	}
}

// hurry waits for a saga that goes back no longer than a moment: the cause is told, not the clock.
func (r *run) hurry(ctx context.Context, future flow.Future[world.Num]) {
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	_, err := future.Await(short)
	failure, failed := errors.AsType[*flow.Error](err)
	dead := failed && failure.State == flow.StateDeadLetter // perhaps before it was relayed and cancelled
	if !dead && !errors.Is(err, flow.ErrCancelled) && !strings.Contains(fmt.Sprint(err), "cannot be read") {
		r.town.complain("%s was cancelled, and who waits a moment hears: %v", future.ID(), err)
	}
}

// compare looks that two who wait for a saga hear the same, and that the cause is one that there was.
func (r *run) compare(ctx context.Context, id string, one, other flow.Future[world.Num]) {
	out, err := final(ctx, one)
	again, errAgain := final(ctx, other)
	if out != again || fmt.Sprint(err) != fmt.Sprint(errAgain) {
		r.town.complain("%s: one hears %v, %v, another %v, %v", id, out, err, again, errAgain)
	}
	failure, failed := errors.AsType[*flow.Error](err)
	switch {
	case err == nil:
	case !failed || failure.State != flow.StateUndone:
		r.town.complain("%s: ended with %v\n%s", id, err, r.books.tell(id))
	case !r.town.knows(failure.Cause):
		r.town.complain("%s: nothing went wrong that would be the cause: %v\n%s", id, failure.Cause, r.books.tell(id))
	}
}

// final waits until a saga is done or undone: a dead letter is none of these.
func final(ctx context.Context, f flow.Future[world.Num]) (world.Num, error) {
	for {
		out, err := f.Await(ctx)
		failure, ok := errors.AsType[*flow.Error](err)
		if !ok || failure.State != flow.StateDeadLetter || !wait(ctx, time.Second) {
			return out, err
		}
	}
}

// knows says that a cause was answered by a step, or is one of those that engines give.
func (t *town) knows(cause error) bool {
	for _, own := range []error{flow.ErrCancelled, flow.ErrDeadline, flow.ErrRounds, flow.ErrInterrupted, flow.ErrProceed, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(cause, own) {
			return true
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	text := cause.Error()
	if failure, ok := errors.AsType[*flow.Error](cause); ok && failure.Cause != nil { // a child's
		text = failure.Cause.Error()
	}
	_, panicked, _ := strings.Cut(text, "panic: ")
	return t.errs[text] || t.errs[panicked] || strings.Contains(text, "no such case") || strings.Contains(text, "has no case")
}

// left looks that the broker has nothing left when every result has been kept long enough.
func (r *run) left() error {
	s, err := r.settledStats()
	switch {
	case err != nil:
		return err
	case s.Ready+s.Owned+s.Parked+s.Held+s.Buried > 0:
		return fmt.Errorf("all sagas have ended for their callers, and the broker has %+v", s)
	}
	time.Sleep(time.Hour + time.Minute)
	if s, err = r.inner.Stats(context.Background()); err != nil || s.Finished > 0 {
		return fmt.Errorf("results were to be kept for an hour, and the broker has %+v (%v)", s, err)
	}
	return nil
}

// settledStats waits until nothing is on its way: a child ends after its parent.
func (r *run) settledStats() (s broker.Stats, err error) {
	for range 60 {
		time.Sleep(time.Second)
		if s, err = r.inner.Stats(context.Background()); err != nil || s.Ready+s.Owned+s.Parked+s.Held+s.Buried == 0 {
			break
		}
	}
	return s, err
}

// judge gives everything that was written down to the oracle.
func (r *run) judge() (*world.Tally, error) {
	var defs []*plan.Def
	for _, f := range r.flows {
		defs = append(defs, world.Erased(f))
	}
	t, err := world.NewAudit(defs...).Check(r.tell)
	if v, ok := errors.AsType[*world.Violation](err); ok {
		id, _, _ := strings.Cut(v.What, ":")
		return nil, fmt.Errorf("%w\n%s", v, r.books.tell(id))
	}
	for k := range brokerFaults {
		t.Faults[world.Fault("broker: "+string(brokerFaults[k]))] += int(r.faults[k].Load())
	}
	return t, nil
}

func (r *run) tell(a *world.Audit) {
	for _, b := range r.books.order {
		a.Begin(b.start)
	}
	for _, b := range r.books.order {
		for _, e := range b.events {
			if !e.attempt {
				a.Commit(*e.commit)
				continue
			}
			a.Attempt(b.id, e.path, e.undo, e.late, e.seen)
			if e.fault != "" {
				a.Strike(root(b.id), e.fault)
			}
		}
		if b.loose {
			a.Forgot(b.id)
		}
		for path, e := range b.effects {
			a.Effect(b.id, path, e.there)
		}
	}
}
