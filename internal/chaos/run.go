package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/chaos/history"
	"github.com/skald-go/skald/internal/chaos/sagas"
	"github.com/skald-go/skald/internal/chaos/town"
	"github.com/skald-go/skald/redisx"
)

// settings are what a run is like.
type settings struct {
	Topology  string
	Seed      uint64
	Duration  time.Duration // of load and faults, at least
	Sagas     int           // at least
	Faults    int           // of each kind, at least
	Rate      float64       // sagas started a second, at most
	Workers   int           // processes of the shop
	Bankers   int           // processes of the bank
	Callers   int           // in each process
	Hands     int           // faults at once
	Calm      time.Duration // between two faults of a hand, at most
	Lease     time.Duration
	Retention time.Duration
	Store     store
}

// population of the town.
var population = sagas.Size{Citizens: 200, Pets: 600, Money: 1000, Points: 1000}

// run is one run of one topology.
type run struct {
	settings
	dir     string
	servers servers
	town    *town.Town
	desk    *desk
	window  *window
	berths  []*berth
	wires   []*wire // those of the berths, and that of this process
	deck    *deck
	faults  *os.File // tells of each
	here    *client  // of the callers of this process
	auditor *client  // without a proxy
	banker  *client  // the same, of the bank
	audits  chan audit
	ctx     context.Context // of the approvals
	group   sync.WaitGroup  // approvals
}

// client is an engine of this process, which runs no sagas.
type client struct {
	broker broker.Broker
	engine *flow.Engine
	book   *sagas.Book
	close  func() error
}

func newClient(service, name, dir string, l link, s settings) (*client, error) {
	log, err := history.Create(filepath.Join(dir, name+".history"))
	if err != nil {
		return nil, err
	}
	conn := l.client()
	b := redisx.New(conn, s.Store.options(service))
	return &client{
		broker: b,
		engine: newEngine(history.Record(b, log, name), service, name, s.Lease, s.Retention),
		book: sagas.New(func(context.Context, town.Call) (town.Verdict, error) {
			return "", errors.New("a step ran in a process that runs none")
		}),
		close: func() error { return errors.Join(b.Close(), conn.Close(), log.Close()) },
	}, nil
}

// open starts everything but the load.
func open(ctx context.Context, s settings, dir string) (*run, error) {
	r := &run{settings: s, dir: dir, audits: make(chan audit, 1<<20)}
	return r, r.open(ctx)
}

func (r *run) open(ctx context.Context) (err error) {
	start := topologies[r.Topology]
	if r.servers, err = start(ctx); err != nil {
		return err
	}
	odds := town.Odds{Seed: r.Seed, Before: 15, After: 15, Slow: 10, Slowness: 2 * time.Second}
	if r.town, err = town.Found(filepath.Join(r.dir, "town.db"), odds); err != nil {
		return err
	}
	if err = r.town.Settle(population.Citizens, population.Pets, population.Money, population.Points); err != nil {
		return err
	}
	if r.desk, err = newDesk(r.town.DB(), r.Retention); err != nil {
		return err
	}
	r.desk.approve, r.desk.finished = r.approve, r.audit
	if r.window, err = openWindow(r.desk, r.town); err != nil {
		return err
	}
	for range r.Workers + r.Bankers + 1 {
		w, err := stretch(addrs(r.servers.data()))
		if err != nil {
			return err
		}
		r.wires = append(r.wires, w)
	}
	if r.here, err = newClient(sagas.Shop, "here", r.dir, r.via(r.Workers+r.Bankers), r.settings); err != nil {
		return err
	}
	if r.auditor, err = newClient(sagas.Shop, "auditor", r.dir, r.servers.link(), r.settings); err != nil {
		return err
	}
	if r.banker, err = newClient(sagas.Bank, "banker", r.dir, r.servers.link(), r.settings); err != nil {
		return err
	}
	return r.man()
}

// via is the link through the proxies of a process.
func (r *run) via(process int) link {
	l := r.servers.link()
	l.Via = r.wires[process].via
	return l
}

// man starts the workers.
func (r *run) man() error {
	for n := range r.Workers + r.Bankers {
		service := sagas.Shop
		if n >= r.Workers {
			service = sagas.Bank
		}
		b := &berth{number: n + 1, dir: r.dir, gone: r.desk.gone, role: role{
			Service: service, URL: r.window.url(), Link: r.via(n), Lease: r.Lease, Retention: r.Retention, Callers: r.Callers, Store: r.Store,
		}}
		if err := b.launch(); err != nil {
			return err
		}
		r.berths = append(r.berths, b)
	}
	nap := r.Lease + r.Lease/3
	log, err := os.Create(filepath.Join(r.dir, "faults.log"))
	if err != nil {
		return fmt.Errorf("make a log of the faults: %w", err)
	}
	r.faults = log
	faults := append(workerFaults(r.berths, r.wires, nap), r.servers.faults()...)
	r.deck = newDeck(r.Seed, faults, slog.New(slog.NewTextHandler(log, nil)))
	return nil
}

// close stops what still runs.
func (r *run) close() error {
	var errs []error
	for _, b := range r.berths {
		if b.process != nil {
			b.kill()
		}
	}
	for _, c := range []*client{r.here, r.auditor, r.banker} {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	for _, w := range r.wires {
		w.close()
	}
	if r.faults != nil {
		errs = append(errs, r.faults.Close())
	}
	if r.window != nil {
		r.window.close()
	}
	if r.town != nil {
		errs = append(errs, r.town.Close())
	}
	if r.servers != nil {
		errs = append(errs, r.servers.close())
	}
	return errors.Join(errs...)
}

// work loads the servers under faults, then heals everything and waits until all callers know how their sagas ended. An error is one of
// the test itself; what is wrong with the sagas goes to the desk.
func (r *run) work(ctx context.Context) error {
	callersCtx, stopCallers := context.WithCancel(ctx)
	defer stopCallers()
	r.ctx = callersCtx
	var callersGroup, auditors sync.WaitGroup
	callersGroup.Go(func() { (&callers{"here", r.desk, r.here.book, r.here.engine}).run(callersCtx, r.Callers) })
	for range 16 {
		auditors.Go(func() { r.auditAll(ctx) })
	}
	err := r.storm(ctx)
	if err == nil {
		err = r.servers.heal(ctx)
	}
	if err == nil {
		r.calm(ctx)
	}
	stopCallers()
	callersGroup.Wait()
	r.group.Wait()
	close(r.audits)
	auditors.Wait()
	return err
}

// storm starts sagas and makes faults happen, until there were enough of both.
func (r *run) storm(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		owner := func(pet string) string {
			name, err := r.town.Owner(ctx, pet)
			if err != nil {
				return town.Citizen(0)
			}
			return name
		}
		r.desk.feed(ctx, rand.New(rand.NewPCG(r.Seed, 0)), r.Rate, population, owner)
		return nil
	})
	for range r.Hands {
		group.Go(func() error { return r.deck.play(ctx, r.Calm) })
	}
	group.Go(func() error { return r.watch(ctx) })
	group.Go(func() error {
		r.untilEnough(ctx)
		stop()
		return nil
	})
	return group.Wait()
}

// untilEnough waits until there were enough sagas and faults, for twice the time at most.
func (r *run) untilEnough(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil && time.Since(began) < 2*r.Duration {
		sleep(ctx, 200*time.Millisecond)
		if time.Since(began) >= r.Duration && r.desk.acknowledged() >= r.Sagas && r.deck.least() >= r.Faults {
			return
		}
	}
}

// watch notes workers that end by themselves, and starts others.
func (r *run) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		for _, b := range r.berths {
			if !b.TryLock() {
				continue
			}
			var failed error
			if err, dead := b.died(); dead {
				r.desk.found("", fmt.Sprintf("worker %s ended by itself: %v: see %s", b.name, err, b.out.Name()))
				failed = b.launch()
			}
			b.Unlock()
			if failed != nil {
				return failed
			}
		}
		sleep(ctx, 300*time.Millisecond)
	}
	return nil
}

// patience is how long sagas may go on without an outcome when all is well again: none may end for one patience, and none may be left
// after four.
const patience = 45 * time.Second

// calm waits until every task is over.
func (r *run) calm(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		n, last := r.desk.left()
		if n == 0 {
			break
		}
		if quiet := time.Since(began) > patience && time.Since(last) > patience; quiet || time.Since(began) > 4*patience {
			for _, id := range r.desk.stuck() {
				s, err := r.auditor.engine.Snapshot(ctx, id)
				r.desk.found(id, fmt.Sprintf("no outcome although nothing is wrong any more: %+v, %v", s, err))
			}
			if n > 0 && len(r.desk.stuck()) == 0 {
				r.desk.found("", fmt.Sprintf("%d callers wait for sagas whose outcome others know", n))
			}
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
	r.group.Wait()
}

// approve sends an order what it waits for: early ones before it returns, if ctx lasts so long, others some time after.
func (r *run) approve(ctx context.Context, j sagas.Job) {
	if j.Approval.Early && r.sendApproval(ctx, j) == nil {
		return
	}
	r.group.Go(func() {
		sleep(r.ctx, j.Approval.Within)
		if err := r.sendApproval(r.ctx, j); err != nil && r.ctx.Err() == nil && !errors.Is(err, flow.ErrSettled) {
			r.desk.found(j.ID, fmt.Sprintf("the approval was refused: %v", err))
		}
	})
}

func (r *run) sendApproval(ctx context.Context, j sagas.Job) error {
	return r.here.book.Approve(ctx, r.here.engine, j)
}

// audit is a saga to be looked at once more by somebody who has nothing to do with it.
type audit struct {
	job  sagas.Job
	want sagas.Outcome
}

func (r *run) audit(j sagas.Job, o sagas.Outcome) { r.audits <- audit{j, o} }

func (r *run) auditAll(ctx context.Context) {
	for a := range r.audits {
		if err := r.auditOne(ctx, a); err != nil {
			r.desk.found(a.job.ID, fmt.Sprintf("an auditor found: %v", err))
		}
	}
}

// auditOne attaches to a saga that has ended, and looks it up.
func (r *run) auditOne(ctx context.Context, a audit) error {
	ctx, cancel := context.WithTimeout(ctx, r.Retention/2)
	defer cancel()
	o, err := r.auditor.book.Attach(r.auditor.engine, a.job)(ctx)
	if err != nil {
		return fmt.Errorf("its result cannot be read: %w", err)
	}
	if o != a.want {
		return fmt.Errorf("its result is %+v, callers were told %+v", o, a.want)
	}
	for {
		s, err := r.auditor.engine.Snapshot(ctx, a.job.ID)
		if err == nil {
			if s.State.String() != o.End {
				return fmt.Errorf("it is looked up as %s, callers were told %+v", s.State, o)
			}
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, broker.ErrUnknown) {
			return fmt.Errorf("it cannot be looked up: %w", err)
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

// disband ends the workers in an orderly way, when the last that was killed is known to be dead: who would know it afterwards?
func (r *run) disband(ctx context.Context) {
	err := passing(ctx, func(ctx context.Context) error {
		shop, err := r.auditor.broker.Stats(ctx)
		if err != nil {
			return err
		}
		bank, err := r.banker.broker.Stats(ctx)
		if err == nil && (shop.Workers != r.Workers || bank.Workers != r.Bankers) {
			err = fmt.Errorf("%d and %d workers are counted, %d and %d processes live", shop.Workers, bank.Workers, r.Workers, r.Bankers)
		}
		return err
	})
	if err != nil {
		r.desk.found("", fmt.Sprintf("dead workers are not noticed: %v", err))
	}
	if err := passing(ctx, r.allTold); err != nil {
		r.desk.found("", fmt.Sprintf("messages between services are not read: %v", err))
	}
	for _, b := range r.berths {
		b.Lock()
		if err := b.drain(time.Minute); err != nil {
			r.desk.found("", err.Error())
		}
		b.Unlock()
	}
}

// allTold says which messages between services are still on their way: a service whose workers have ended gets them when it has some again.
func (r *run) allTold(ctx context.Context) error {
	l := r.servers.link()
	conn := l.client()
	defer conn.Close()
	left, err := keys(ctx, conn)
	if err != nil {
		return err
	}
	for _, key := range left {
		if strings.HasSuffix(key, "}:ob") || strings.HasSuffix(key, ":inbox") && !isEmptyInbox(ctx, conn, key) {
			return fmt.Errorf("there is something in %s", key)
		}
	}
	return nil
}

// tempDir makes a directory for what a run leaves.
func tempDir(parent, topology string, seed uint64) (string, error) {
	if parent == "" {
		return os.MkdirTemp("", fmt.Sprintf("skald-chaos-%s-%d-", topology, seed))
	}
	dir := filepath.Join(parent, fmt.Sprintf("%s-%d", topology, seed))
	return dir, os.MkdirAll(dir, 0o755)
}

// fallen tells of servers that do not run, and of what they printed last.
func (r *run) fallen() error {
	var errs []error
	for _, s := range r.servers.data() {
		if !s.Running() {
			errs = append(errs, fmt.Errorf("redis-server on %s does not run; its log:\n%s", s.Addr, s.Log()))
		}
	}
	return errors.Join(errs...)
}
