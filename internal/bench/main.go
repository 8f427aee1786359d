// Command bench measures sagas and prints tables: one of sagas in memory, and one of sagas on a Redis that it starts, beside the same
// Redis work without an engine. All figures are medians of interleaved runs. The workload is package workload's; every saga has a caller
// of its own that waits for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/workload"
)

// settings are what flags say.
type settings struct {
	out          io.Writer
	on           string
	rounds       int
	length       time.Duration
	inMemory     int // callers
	onRedis      int
	left         int // sagas that are run to see what they leave
	showProgress bool
}

// workerCommand is the argument that makes this program a worker of its own.
const workerCommand = "worker"

func main() {
	ctx, stop := signal.NotifyContext(workload.WithTrace(context.Background(), workload.Trace), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	logging.Disable() // go-redis tells of connections that are closed while they wait
	if len(args) == 1 && args[0] == workerCommand {
		return measure.ServeWorker(context.WithoutCancel(ctx), os.Stdin, out)
	}
	s := settings{out: out}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&s.on, "on", "both", "what to measure: memory, redis or both")
	flags.IntVar(&s.rounds, "rounds", 5, "how many interleaved runs the medians are of")
	flags.DurationVar(&s.length, "length", time.Second, "of one run")
	flags.IntVar(&s.inMemory, "callers", 1000, "sagas in flight in memory")
	flags.IntVar(&s.onRedis, "redis-callers", 256, "sagas in flight on Redis")
	flags.IntVar(&s.left, "left", 20_000, "sagas that are run to see what they leave in Redis; 0: do not look")
	flags.BoolVar(&s.showProgress, "progress", true, "say on stderr what is being measured")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	return s.run(ctx)
}

func (s settings) run(ctx context.Context) error {
	if s.rounds < 1 || s.length <= 0 || s.inMemory < 1 || s.onRedis < 1 || s.left < 0 {
		return errors.New("rounds, length and callers are positive, and left is not negative")
	}
	switch s.on {
	case "memory":
		return s.memoryTable(ctx)
	case "redis":
		return s.redisTable(ctx)
	case "both":
		if err := s.memoryTable(ctx); err != nil {
			return err
		}
		fmt.Fprintln(s.out)
		return s.redisTable(ctx)
	}
	return fmt.Errorf("-on %s: it is memory, redis or both", s.on)
}

// progress says what is being measured.
func (s settings) progress(format string, args ...any) {
	if s.showProgress {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}
