package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// usageError says that the program was called wrongly.
type usageError struct {
	command string // whose help says how it is called
	err     error
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "skald",
		Short:         "Tools for sagas that run on Skald",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(wrongly)
	root.AddCommand(newBench(), newExport(), newImport(), newWorker())
	for _, cmd := range append(root.Commands(), root) {
		check := cmd.Args
		cmd.Args = func(cmd *cobra.Command, args []string) error { return wrongly(cmd, check(cmd, args)) }
	}
	return root
}

// wrongly makes an error one of usage.
func wrongly(cmd *cobra.Command, err error) error {
	if err == nil || errors.As(err, new(usageError)) {
		return err
	}
	return usageError{command: cmd.CommandPath(), err: err}
}

// version is that of the module, as the build knows it.
func version() string {
	module := "(unknown)"
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		module = build.Main.Version
	}
	return fmt.Sprintf("%s %s %s/%s", module, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
