package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/redisx"
)

const importHelp = `Import stores exported sagas in a Redis, as they were: a dead letter is a dead letter there, and what was running goes on as soon as an engine serves its
flow and version. What ran at the moment of the export counts as interrupted: nobody knows whether it had its effect.

An export is a copy. If the first one goes on as well, its effects happen twice.

All files are read before anything is stored. A saga whose ID exists is refused, and nothing of it is changed; with --skip-existing it is passed over. Nothing
is ever overwritten. An import that was interrupted is completed by the same command.`

const importExample = `  skald import order-42.json --addr staging.example:6379
  skald import letters/*.json --skip-existing
  skald export order-42 --payloads --addr old:6379 | skald import - --addr new:6379`

type importing struct {
	place
	skip bool
}

// newImport makes the command import.
func newImport() *cobra.Command {
	var o importing
	cmd := &cobra.Command{
		Use:     "import FILE...",
		Short:   "Store exported sagas in a Redis",
		Long:    importHelp,
		Example: importExample,
		Args:    cobra.MinimumNArgs(1),
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.skip, "skip-existing", false, "pass over sagas whose ID exists there")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		if err := o.check(); err != nil {
			return wrongly(cmd, err)
		}
		sagas, err := readExports(files, cmd.InOrStdin())
		if err != nil {
			return err
		}
		return o.on(cmd.Context(), func(ctx context.Context, b *redisx.Broker) error {
			return o.store(ctx, b, sagas, cmd.OutOrStdout())
		})
	}
	return cmd
}

func readExports(files []string, in io.Reader) (sagas []flow.Exported, err error) {
	for _, file := range files {
		x, err := readExport(file, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		sagas = append(sagas, x)
	}
	return sagas, nil
}

func readExport(file string, in io.Reader) (flow.Exported, error) {
	if file == "-" {
		return flow.ReadExport(in)
	}
	f, err := os.Open(file)
	if err != nil {
		return flow.Exported{}, err
	}
	defer f.Close()
	return flow.ReadExport(f)
}

func (o *importing) store(ctx context.Context, b *redisx.Broker, sagas []flow.Exported, out io.Writer) error {
	for _, x := range sagas {
		ctx, cancel := context.WithTimeout(ctx, oneSaga)
		err := flow.Import(ctx, b, x)
		cancel()
		switch {
		case o.skip && errors.Is(err, flow.ErrConflict):
			fmt.Fprintf(out, "%s: exists, passed over\n", x.ID())
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "%s: imported, %s, %v\n", x.ID(), plural(len(x.Sagas), "saga"), x.Sagas[0].State)
		}
	}
	return nil
}
