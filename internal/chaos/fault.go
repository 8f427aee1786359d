package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// fault is something bad that happens, and is over when do returns.
type fault struct {
	kind string
	do   func(ctx context.Context, dice *rand.Rand) error
}

// deck deals faults so that each kind comes equally often, in an order that follows from the seed. So do the dice of each.
type deck struct {
	mu     sync.Mutex
	seed   uint64
	dice   *rand.Rand
	faults []fault
	hand   []fault
	dealt  uint64
	counts map[string]int
	log    *slog.Logger
}

func newDeck(seed uint64, faults []fault, log *slog.Logger) *deck {
	return &deck{seed: seed, dice: rand.New(rand.NewPCG(seed, 1)), faults: faults, counts: map[string]int{}, log: log}
}

// deal gives the next fault.
func (d *deck) deal() (fault, *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hand) == 0 {
		d.hand = slices.Clone(d.faults)
		d.dice.Shuffle(len(d.hand), func(i, j int) { d.hand[i], d.hand[j] = d.hand[j], d.hand[i] })
	}
	f := d.hand[0]
	d.hand = d.hand[1:]
	d.dealt++
	return f, rand.New(rand.NewPCG(d.seed, 1+d.dealt))
}

func (d *deck) count(kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[kind]++
}

// play makes faults happen one after the other until ctx ends, with up to calm between them. It ends early with what is wrong with
// the test itself.
func (d *deck) play(ctx context.Context, calm time.Duration) error {
	for ctx.Err() == nil {
		f, dice := d.deal()
		pause := upTo(dice, calm)
		d.log.Info("begins", "fault", f.kind)
		err := f.do(context.WithoutCancel(ctx), dice)
		d.log.Info("is over", "fault", f.kind, "error", err)
		if err != nil {
			return fmt.Errorf("fault %q: %w", f.kind, err)
		}
		d.count(f.kind)
		sleep(ctx, pause)
	}
	return nil
}

func upTo(dice *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(d) + 1))
}

// between is a time from one to the other.
func between(dice *rand.Rand, from, to time.Duration) time.Duration {
	return from + upTo(dice, to-from)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// workerFaults are those of processes and of their ways to Redis. nap is longer than the lease.
func workerFaults(berths []*berth, wires []*wire, nap time.Duration) []fault {
	pick := func(dice *rand.Rand) *berth { return berths[dice.IntN(len(berths))] }
	return []fault{
		{"kill -9 of a worker", func(ctx context.Context, dice *rand.Rand) error {
			b, pause := pick(dice), upTo(dice, time.Second)
			b.Lock()
			defer b.Unlock()
			b.kill()
			sleep(ctx, pause)
			return b.launch()
		}},
		{"end of a worker (SIGTERM)", func(_ context.Context, dice *rand.Rand) error {
			b := pick(dice)
			b.Lock()
			defer b.Unlock()
			return errors.Join(b.drain(time.Minute), b.launch())
		}},
		{"SIGSTOP of a worker beyond its lease", func(ctx context.Context, dice *rand.Rand) error {
			b, pause := pick(dice), between(dice, nap, nap*3/2)
			b.Lock()
			defer b.Unlock()
			if err := b.stop(); err != nil {
				return err
			}
			sleep(ctx, pause)
			return b.resume()
		}},
		network("dropped replies", wires, func(ctx context.Context, w *wire, dice *rand.Rand) error {
			return during(ctx, between(dice, 20*time.Millisecond, 800*time.Millisecond), func() (func() error, error) {
				return w.poison("timeout", `{"timeout": 0}`)
			})
		}),
		network("connections cut within a reply", wires, func(ctx context.Context, w *wire, dice *rand.Rand) error {
			bytes := dice.IntN(3000)
			return during(ctx, between(dice, 20*time.Millisecond, 800*time.Millisecond), func() (func() error, error) {
				return w.poison("limit_data", fmt.Sprintf(`{"bytes": %d}`, bytes))
			})
		}),
		network("no way to Redis", wires, func(ctx context.Context, w *wire, dice *rand.Rand) error {
			return during(ctx, between(dice, 0, nap), func() (func() error, error) {
				w.cut()
				return w.mend, nil
			})
		}),
	}
}

// network is a fault of one wire.
func network(kind string, wires []*wire, do func(context.Context, *wire, *rand.Rand) error) fault {
	return fault{kind, func(ctx context.Context, dice *rand.Rand) error {
		w := wires[dice.IntN(len(wires))]
		w.Lock()
		defer w.Unlock()
		return do(ctx, w, dice)
	}}
}

// during keeps something bad for a while.
func during(ctx context.Context, d time.Duration, begin func() (func() error, error)) error {
	end, err := begin()
	if err != nil {
		return err
	}
	sleep(ctx, d)
	return end()
}

// least is how often the rarest kind has happened.
func (d *deck) least() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	least := d.counts[d.faults[0].kind]
	for _, f := range d.faults {
		least = min(least, d.counts[f.kind])
	}
	return least
}
