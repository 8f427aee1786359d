// Package main is the command skald. Bench says what sagas cost: here, or on a Redis server. Export and import take sagas out of a Redis and put them into one.
//
//	go run github.com/skald-go/skald/cmd/skald@latest bench --help
//
// It exits with 0 when all is well, with 1 when something failed, with 2 when it was called wrongly, and with 130 when it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
)

// The exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	logging.Disable() // what goes wrong with Redis comes back as an error
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with what belongs to the process as parameters. It gives the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, progress io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(progress)
	err := root.ExecuteContext(ctx)
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(progress, "skald: interrupted")
		return exitInterrupted
	case errors.As(err, &wrong):
		fmt.Fprintf(progress, "skald: %v\n%s --help says more\n", err, wrong.command)
		return exitUsage
	}
	fmt.Fprintln(progress, "skald:", err)
	return exitFailed
}
