package outbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Options change what a Relay does. Dialect is required; the rest has useful zeros.
type Options struct {
	// Dialect of the database.
	Dialect Dialect
	// Table is where the starts are written.
	Table Table
	// Batch is how many rows are claimed at once. 0 is 100.
	Batch int
	// Lease is how long a claimed row is left to the relay that claimed it. A start may take half of it. 0 is 30 s.
	Lease time.Duration
	// Poll is how long the relay waits, at most, before it looks for rows again. It looks sooner after Wake, and after there was work. 0 is 1 s.
	Poll time.Duration
	// Attempts is how often a row is tried whose start says that it cannot be made, before it is set aside. 0 is 5.
	Attempts int
	// Retention is that of the engines: how long a result is kept. A row whose start was tried longer ago than that, without an answer, is set aside: its
	// saga may have ended and been forgotten, and would run a second time. 0 is an hour, as in flow.Options.
	Retention time.Duration
	// Unserved is how long a row may wait whose flow this relay does not serve, before it is set aside. 0 is 24 h.
	Unserved time.Duration
	// Logger hears of rows that are set aside, and of outages. Nil is slog.Default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.Batch = cmp.Or(max(o.Batch, 0), 100)
	o.Lease = cmp.Or(max(o.Lease, 0), 30*time.Second)
	o.Poll = cmp.Or(max(o.Poll, 0), time.Second)
	o.Attempts = cmp.Or(max(o.Attempts, 0), 5)
	o.Retention = cmp.Or(max(o.Retention, 0), time.Hour)
	o.Unserved = cmp.Or(max(o.Unserved, 0), 24*time.Hour)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// sideBySide is how many starts of a batch a relay makes at once.
const sideBySide = 16

// Relay starts the sagas that are written in a table. Several may work on one table, in one process or many: each row is claimed by one of them at a time.
type Relay struct {
	db     *sql.DB
	engine *flow.Engine
	opts   Options
	flows  []served
	wake   chan struct{}
	ran    atomic.Bool
	swept  time.Time // when rows were last looked for that nobody serves
}

// served starts the sagas of a flow.
type served struct {
	name    string
	version int
	start   func(ctx context.Context, r claimed, h flow.Headers) error
}

// NewRelay makes a relay from a database to an engine, which need not run. It starts nothing. It panics if db or e is nil, or the dialect is unknown.
func NewRelay(db *sql.DB, e *flow.Engine, opts Options) *Relay {
	if db == nil || e == nil {
		panic("outbox: NewRelay needs a database and an engine")
	}
	if _, err := opts.Table.Schema(opts.Dialect); err != nil {
		panic(err.Error())
	}
	return &Relay{db: db, engine: e, opts: opts.withDefaults(), wake: make(chan struct{}, 1)}
}

// Serve makes the relay start sagas of f, and returns the relay. A relay leaves rows of other flows to others, until Options.Unserved has passed. It panics
// if f is zero, if its name and version are served already, or after Run was called.
func (r *Relay) Serve[I, O any](f flow.Flow[I, O]) *Relay {
	planned, err := f.Planned()
	if err != nil {
		panic("outbox: Serve: " + err.Error())
	}
	if r.ran.Load() {
		panic("outbox: Serve after Run: say what a relay serves before it runs")
	}
	if r.serving(planned.Flow, planned.Version) != nil {
		panic(fmt.Sprintf("outbox: Serve: %q in version %d is served already", planned.Flow, planned.Version))
	}
	r.flows = append(r.flows, served{planned.Flow, planned.Version, func(ctx context.Context, c claimed, h flow.Headers) error {
		var in I
		if err := r.opts.Table.codec().Unmarshal(c.payload, &in); err != nil {
			return fmt.Errorf("%w: decode: %w", flow.ErrPayload, err)
		}
		_, err := f.Start(ctx, r.engine, in, flow.ID(c.saga), flow.WithHeaders(h))
		return err
	}})
	return r
}

func (r *Relay) serving(name string, version int) *served {
	for i, s := range r.flows {
		if s.name == name && s.version == version {
			return &r.flows[i]
		}
	}
	return nil
}

// Wake says that a row was committed, so that a relay that waits looks at once. It does not block, and may be called at any time.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run starts sagas until ctx ends, and then returns nil; a start that is being made is cut off, and made again by another relay. Neither an outage of the
// database nor one of the broker ends it. It returns an error at once if it was called before, or if the relay serves nothing.
func (r *Relay) Run(ctx context.Context) error {
	if len(r.flows) == 0 {
		return errors.New("outbox: Run: the relay serves no flows: call Serve before")
	}
	if r.ran.Swap(true) {
		return errors.New("outbox: Run was called before: a relay runs once")
	}
	const shortest = 10 * time.Millisecond
	pause, outages := shortest, 0
	for ctx.Err() == nil {
		limit := r.opts.Batch
		if outages > 0 {
			limit = 1 // one tells whether it is over
		}
		n, err := r.pass(ctx, limit)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			outages++
			longest := min(50*time.Millisecond<<min(outages, 10), 2*time.Second)
			r.opts.Logger.Warn("outbox: the relay is held up, and tries again", "error", err)
			r.wait(ctx, longest/2+mathrand.N(longest/2), nil)
		case n > 0:
			pause, outages = shortest, 0
		default:
			outages = 0
			r.wait(ctx, pause, r.wake)
			pause = min(2*pause, r.opts.Poll)
		}
	}
	return nil
}

func (r *Relay) wait(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

// pass starts the sagas of up to limit rows, and says how many rows it had. An error says that waiting is better than going on.
func (r *Relay) pass(ctx context.Context, limit int) (int, error) {
	if time.Since(r.swept) > r.opts.Unserved/10 {
		if err := r.sweep(ctx); err != nil {
			return 0, err
		}
		r.swept = time.Now()
	}
	claim := rand.Text()
	rows, err := r.claim(ctx, claim, limit)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	verdicts := make([]error, len(rows))
	var starts errgroup.Group
	starts.SetLimit(sideBySide)
	for i, row := range rows {
		starts.Go(func() error { verdicts[i] = r.start(ctx, row); return nil })
	}
	starts.Wait()
	return len(rows), r.settle(ctx, claim, rows, verdicts)
}

// errForgotten is why a start is not tried once more.
var errForgotten = errors.New("outbox: a start was tried longer ago than Options.Retention, and nobody knows whether it worked: its saga may have ended and been forgotten")

// start makes the start of a row.
func (r *Relay) start(ctx context.Context, c claimed) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %w", flow.ErrPayload, step.NewPanic(p, debug.Stack()))
		}
	}()
	if c.tried.Valid && time.Now().UnixMilli()-c.tried.Int64 > r.opts.Retention.Milliseconds() {
		return errForgotten
	}
	var h flow.Headers
	if err := flow.MsgPack().Unmarshal(c.headers, &h); err != nil {
		return fmt.Errorf("%w: decode the headers: %w", flow.ErrPayload, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Lease/2)
	defer cancel()
	for _, p := range r.opts.Table.Propagators {
		ctx = p.Extract(ctx, h)
	}
	return r.serving(c.name, c.version).start(ctx, c, h)
}

// settle records what became of the rows of a batch, also when ctx has ended meanwhile.
func (r *Relay) settle(ctx context.Context, claim string, rows []claimed, verdicts []error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(r.opts.Lease/4, time.Second))
	defer cancel()
	var started []int64
	var outage error
	for i, row := range rows {
		switch err := verdicts[i]; {
		case err == nil:
			started = append(started, row.id)
		case !hopeless(err):
			outage = fmt.Errorf("outbox: start saga %q of %q: %w", row.saga, row.name, err)
		}
	}
	if err := r.delete(ctx, started); err != nil {
		return err
	}
	for i, row := range rows {
		if verdicts[i] == nil {
			continue
		}
		if err := r.release(ctx, claim, row, verdicts[i]); err != nil {
			return err
		}
	}
	if len(started) > 0 {
		return nil // what failed is the row's own matter
	}
	return outage
}

// hopeless says that a start is refused for what it is, and not for the state of the world. Of all other errors nobody knows whether the saga was started.
func hopeless(err error) bool {
	for _, refusal := range []error{flow.ErrConflict, flow.ErrPayload, flow.ErrTooLarge, flow.ErrID, flow.ErrZero, flow.ErrKey, flow.ErrLocked,
		flow.ErrNoService, errForgotten} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}
