package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// Call is one saga. It returns when the saga has ended as it should; the error says how else it ended.
type Call func(ctx context.Context) error

// Load is how sagas are called: by Callers, each of which waits for a saga before it calls the next.
type Load struct {
	Callers int
	Calls   int           // how many in all; 0: as many as Length allows
	Length  time.Duration // when no further call begins; 0: only Calls counts
	Done    *atomic.Int64 // counts the calls that have returned, for who watches; nil: nobody does
}

// Times are those of the calls of a load.
type Times struct {
	Calls   int
	Elapsed time.Duration
	each    *hdrhistogram.Histogram // in ns
}

// The times that are told apart, to three digits. Longer ones count as the longest.
const (
	shortest = time.Microsecond / 10
	longest  = 10 * time.Minute
	digits   = 3
)

// ErrStalled says that calls wait, and that none has returned for a minute.
var ErrStalled = errors.New("no saga has ended for a minute")

// Run calls until the load is done, or until the first error. Calls that no longer return are given up with ErrStalled.
func (l Load) Run(ctx context.Context, call Call) (Times, error) {
	if l.Done == nil {
		l.Done = new(atomic.Int64)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ctx, cancel) })
	times, err := l.run(ctx, call)
	if err != nil && context.Cause(ctx) == ErrStalled {
		err = fmt.Errorf("%w: %w", ErrStalled, err)
	}
	cancel(nil)
	watch.Wait()
	return times, err
}

// watch ends the load when no call has returned for a minute.
func (l Load) watch(ctx context.Context, stop context.CancelCauseFunc) {
	look := time.NewTicker(time.Minute)
	defer look.Stop()
	for before := int64(-1); ; {
		now := l.Done.Load()
		if now == before {
			stop(ErrStalled)
			return
		}
		before = now
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l Load) run(ctx context.Context, call Call) (Times, error) {
	r := newRecorder()
	var begun atomic.Int64
	callers, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	more := func() bool {
		return ctx.Err() == nil && (l.Calls == 0 || begun.Add(1) <= int64(l.Calls)) && (l.Length == 0 || time.Since(start) < l.Length)
	}
	for range l.Callers {
		callers.Go(func() error {
			times := make([]time.Duration, 0, chunk)
			defer func() { r.add(times) }()
			for more() {
				begun := time.Now()
				if err := call(ctx); err != nil {
					return err
				}
				times = append(times, time.Since(begun))
				l.Done.Add(1)
				if len(times) == chunk {
					r.add(times)
					times = times[:0]
				}
			}
			return context.Cause(ctx)
		})
	}
	if err := callers.Wait(); err != nil {
		return Times{}, err
	}
	return Times{Calls: int(r.times.TotalCount()), Elapsed: time.Since(start), each: r.times}, nil
}

// recorder is a histogram that many callers add to.
type recorder struct {
	mu    sync.Mutex
	times *hdrhistogram.Histogram
}

// chunk is how many times a caller keeps to itself.
const chunk = 256

func newRecorder() *recorder {
	return &recorder{times: hdrhistogram.New(int64(shortest), int64(longest), digits)}
}

func (r *recorder) add(times []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range times {
		r.times.RecordValue(int64(min(t, longest)))
	}
}

// Throughput is how many calls a second returned.
func (t Times) Throughput() float64 { return float64(t.Calls) / t.Elapsed.Seconds() }

// Percentile is the time that so many percent of the calls took at most.
func (t Times) Percentile(percent float64) time.Duration {
	return time.Duration(t.each.ValueAtPercentile(percent))
}

// Histogram is how the times are spread, a line for each percentile.
func (t Times) Histogram() []string {
	const width = 40
	longest := t.Percentile(100)
	var lines []string
	for _, percent := range []float64{10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100} {
		at := t.Percentile(percent)
		bar := int(width*float64(at)/float64(longest) + 0.5)
		lines = append(lines, fmt.Sprintf("%7.2f %%  %12s  %s", percent, round(at), strings.Repeat("#", bar)))
	}
	return lines
}

// round leaves three digits or so.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Nanosecond)
}
