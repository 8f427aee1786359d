// Command soak measures what sagas take and leave in Redis, on servers that it starts: the memory of a saga in each state, what is left of many
// sagas when they are forgotten, and whether a saga costs more when many others are at rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/internal/workload"
)

// settings are what flags say.
type settings struct {
	out    io.Writer
	sized  int // sagas whose memory is measured
	left   int // sagas that are run and forgotten
	keep   time.Duration
	few    int // sagas at rest
	many   int
	first  int // sagas that are run before a comparison
	rounds int
	length time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(workload.WithTrace(context.Background(), workload.Trace), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s := settings{out: out}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.IntVar(&s.sized, "sized", 20_000, "sagas in each state whose memory is measured; 0: do not")
	flags.IntVar(&s.left, "left", 200_000, "sagas that are run, and of which nothing should be left; 0: do not")
	flags.DurationVar(&s.keep, "keep", 5*time.Second, "how long results of the latter are kept")
	flags.IntVar(&s.few, "few", 1000, "sagas at rest, to compare")
	flags.IntVar(&s.many, "many", 1_000_000, "with so many; 0: do not")
	flags.IntVar(&s.first, "first", 100_000, "sagas that are run before the comparison, so that tables of Redis have grown")
	flags.IntVar(&s.rounds, "rounds", 5, "how many interleaved runs the medians of a comparison are of")
	flags.DurationVar(&s.length, "length", 2*time.Second, "of one of these runs")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if s.sized < 0 || s.left < 0 || s.few < 1 || s.keep <= 0 || s.many < 0 || s.first < 0 || s.rounds < 1 || s.length <= 0 {
		return errors.New("keep, few, rounds and length are positive, and nothing is negative")
	}
	fmt.Fprintf(out, "%s, %d cores; sagas of three steps, 200 bytes in, 64 bytes a recorded output, IDs of 36 bytes\n", runtime.Version(), runtime.GOMAXPROCS(0))
	return errors.Join(s.sizes(ctx), s.leave(ctx), s.compare(ctx))
}

// start starts a server, and gives what closes it.
func start(ctx context.Context) (addr string, store measure.WholeServer, stop func(), err error) {
	server, err := redisserver.Start(ctx, redisserver.Options{})
	if err != nil {
		return "", store, nil, err
	}
	client := measure.Connect(server.Addr)
	return server.Addr, measure.WholeServer{Client: client}, func() {
		client.Close()
		server.Close()
	}, nil
}
