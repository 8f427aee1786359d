package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/skald-go/skald/internal/workload"
)

const benchHelp = `Bench runs sagas and says what one of them costs: time, the processor's and the server's, commands, bytes on the wire, and
what is left of it. It is what a Redis is sized with.

Every saga has steps with an undo each and an output of 64 bytes, and a caller that waits for it before it starts the next. The modes are:

  local     one process starts the sagas and runs them
  remote    one process starts them and another one runs them; Redis only
  rollback  as local, but the last step is refused and the others are undone
  latency   as local, one saga at a time

Without --addr, a redis-server is started in a temporary directory, which needs one to be installed, and removed at the end. With --addr nothing
on the server is touched but keys of a new namespace, skald-bench-…, and they are removed at the end. If bench is killed before it can do that,
results go by themselves after --keep, and a few keys of the namespace stay, which its name finds. Other clients' work on that server counts in
CPU, commands and bytes: bench a server that is at rest. Sentinels and clusters are not benched.

How it is measured: a tenth as many sagas, at most 10,000, are run first and do not count. Client CPU is that of all processes of the bench.
Redis CPU, commands (those that scripts call included) and bytes are what INFO said after less what it said before, without bench's own
questions. Left is the memory of the server's data when all results are gone, after MEMORY PURGE, less what it was before; it may be below zero by
what a server's housekeeping takes. With --addr it is what the namespace's keys take (MEMORY USAGE).

With --json there is one object a mode: broker, mode, sagas, concurrency, throughput (sagas a second), p50_us, p99_us, and per saga
client_cpu_us, redis_cpu_us, redis_commands, wire_bytes and left_bytes. What does not apply is absent, such as Redis with --broker inmem.`

const benchExample = `  skald bench                                            everything, on a Redis that it starts
  skald bench --broker inmem --sagas 100000              in memory
  skald bench --addr redis.example:6379 --mode remote    on your server, as in production
  skald bench --steps 10 --payload 4000 --mode local,rollback --json`

// newBench makes the command bench.
func newBench() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure what sagas cost, in memory or on Redis",
		Long:    benchHelp,
		Example: benchExample,
		Args:    cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.broker, "broker", onRedis, "where sagas are kept: inmem or redis")
	flags.StringVar(&o.addr, "addr", "", "host:port or URL of a Redis server (default: start one); SKALD_REDIS_URL says the same unseen by others")
	flags.IntVar(&o.sagas, "sagas", 20_000, "how many sagas each mode runs")
	flags.IntVar(&o.concurrency, "concurrency", 256, "how many callers wait at once")
	flags.IntVar(&o.steps, "steps", 3, "of a saga, 1 to 100")
	flags.IntVar(&o.payload, "payload", 200, "bytes of a saga's input")
	flags.StringSliceVar(&o.modes, "mode", nil, "local, remote, rollback or latency; several with commas or several flags (default: all)")
	flags.DurationVar(&o.keep, "keep", 3*time.Second, "how long results are kept; what is left is measured after that")
	flags.IntVar(&o.partitions, "partitions", 1, "of the namespace on Redis, 1 to 1024")
	flags.BoolVar(&o.json, "json", false, "print JSON, one object a mode")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.broker == onRedis && o.addr == "" {
			o.addr = os.Getenv("SKALD_REDIS_URL")
		}
		if err := o.check(); err != nil {
			return wrongly(cmd, err)
		}
		ctx := workload.WithTrace(cmd.Context(), workload.Trace)
		return o.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// run measures one mode after the other.
func (o options) run(ctx context.Context, out, progress io.Writer) (err error) {
	g, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.leave()) }()
	if !o.json {
		fmt.Fprintf(out, "%s: sagas of %s, %d bytes in; %s\n", g.name, plural(o.steps, "step"), o.payload, version())
	}
	for _, m := range o.modes {
		r, err := o.measure(ctx, g, m, progress)
		if err != nil {
			return fmt.Errorf("bench %s on %s: %w", m, g.name, err)
		}
		if err := o.print(out, r); err != nil {
			return fmt.Errorf("print what was measured: %w", err)
		}
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
