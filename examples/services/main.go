// Command services runs a shop of four services, each in a process of its own, with a database of its own: orders, payments, stock and
// shipping. They share one Redis, and a small package with what they send one another.
//
//	services demo                       starts a Redis and all four, places orders over HTTP, and kills payments in the middle
//	services run NAME -redis host:port  runs one of them
//
// Databases are files of SQLite in a directory (-db), or schemas of a PostgreSQL database (-db postgres://…).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/skald-go/skald/examples/services/process"
	"github.com/skald-go/skald/examples/services/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "services:", err)
		os.Exit(1)
	}
}

const usage = "usage: services demo [-db WHERE], or services run orders|payments|stock|shipping -redis host:port -db WHERE -secret SECRET"

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) >= 1 && args[0] == "demo":
		flags := flag.NewFlagSet("demo", flag.ExitOnError)
		where := flags.String("db", "", "a `directory` for SQLite, or the URL of a PostgreSQL database; a temporary directory by default")
		_ = flags.Parse(args[1:])
		return story.Tell(ctx, os.Stdout, *where)
	case len(args) >= 2 && args[0] == "run":
		return serve(ctx, args[1], args[2:])
	default:
		return fmt.Errorf("%s", usage)
	}
}

func serve(ctx context.Context, name string, args []string) error {
	i := slices.IndexFunc(services, func(s process.Service) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no service %q; %s", name, usage)
	}
	var o process.Options
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	flags.StringVar(&o.Redis, "redis", "127.0.0.1:6379", "`host:port` of the Redis that all services share")
	flags.StringVar(&o.Database, "db", ".", "a `directory` for SQLite, or the URL of a PostgreSQL database")
	flags.StringVar(&o.Secret, "secret", "", "signs the tokens of customers")
	untilEOF := flags.Bool("until-eof", false, "end when standard input does: with the process that holds its other end")
	_ = flags.Parse(args)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if *untilEOF {
		go func() { // ends with the process at the latest
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	return services[i].Run(ctx, o, func(addr string) { fmt.Println(addr) })
}
