// Command chaos runs sagas on a real Redis while everything breaks: worker processes are killed and frozen, Redis is killed, paused and
// failed over, and the network between them loses answers. Then it checks that every saga whose start was acknowledged has ended as a whole.
//
//	chaos -topology standalone -short
//
// What it checks, and what it is made of, stands in docs/decisions/chaos.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	if text := os.Getenv(workerEnv); text != "" {
		if err := beWorker(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	logging.Disable() // of the client, which tells of every fault; workers have logs of their own
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := storms(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// errWrong says that something must not be; it has been printed.
var errWrong = errors.New("what must hold does not: see above")

// storms runs the topologies that the arguments name, one after the other.
func storms(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	names := flags.String("topology", "standalone,sentinel,cluster", "which `servers`, with commas between them")
	short := flags.Bool("short", false, "a run of about a minute with three faults of each kind instead of 20,000 sagas and fifty")
	seed := flags.Uint64("seed", 0, "of all choices; 0 makes one up")
	duration := flags.Duration("duration", 0, "of the load, instead of the usual, whatever number of sagas and faults that makes")
	rate := flags.Float64("rate", 0, "sagas started a `second`, instead of the usual")
	dir := flags.String("dir", "", "where logs are kept, also if nothing is wrong; by default a temporary directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var errs []error
	for name := range strings.SplitSeq(*names, ",") {
		if topologies[name] == nil {
			return fmt.Errorf("there is no topology %q: use standalone, sentinel or cluster", name)
		}
		s := settingsFor(name, *short)
		s.Seed = *seed
		if s.Seed == 0 {
			s.Seed = rand.Uint64() >> 16
		}
		if *duration > 0 {
			s.Duration, s.Sagas, s.Faults = *duration, 0, 0
		}
		if *rate > 0 {
			s.Rate = *rate
		}
		if err := storm(ctx, s, *dir, out); err != nil {
			errs = append(errs, fmt.Errorf("%s with seed %d: %w", name, s.Seed, err))
		}
	}
	return errors.Join(errs...)
}

// settingsFor are the usual ones.
func settingsFor(topology string, short bool) settings {
	s := settings{
		Topology: topology, Duration: 10 * time.Minute, Sagas: 20_000, Faults: 50, Rate: 50, Workers: 4, Bankers: 2, Callers: 32, Hands: 2,
		Calm: 800 * time.Millisecond, Lease: 2 * time.Second, Retention: time.Minute, Store: stores[topology],
	}
	if s.Store.Replicas > 0 { // a failover takes longer than most faults, and should not cost every worker its lease
		s.Lease, s.Rate, s.Callers = 5*time.Second, 100, 64
	}
	if short {
		s.Duration, s.Sagas, s.Faults, s.Workers, s.Bankers = 20*time.Second, 100, 3, 2, 2
		s.Calm, s.Retention, s.Hands = 300*time.Millisecond, 10*s.Lease, 3
	}
	return s
}

// storm runs one topology and prints what came of it.
func storm(ctx context.Context, s settings, parent string, out io.Writer) (err error) {
	dir, err := tempDir(parent, s.Topology, s.Seed)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: seed %d, logs in %s\n", s.Topology, s.Seed, dir)
	began := time.Now()
	r, err := open(ctx, s, dir)
	defer func() { err = errors.Join(err, r.close()) }()
	if err != nil {
		return err
	}
	if err := r.work(ctx); err != nil {
		return errors.Join(err, r.fallen())
	}
	r.disband(ctx)
	t, err := r.check(ctx)
	if err != nil {
		return err
	}
	t.print(out)
	r.demand(t)
	if len(r.desk.wrong) > 0 {
		if err := r.show(ctx, out); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d things are wrong; repeat with -topology %s -seed %d\n", s.Topology, len(r.desk.wrong), s.Topology, s.Seed)
		return errWrong
	}
	fmt.Fprintf(out, "%s: all is well after %v\n", s.Topology, time.Since(began).Round(time.Second))
	if parent == "" {
		return os.RemoveAll(dir)
	}
	return nil
}
