package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/redisx"
)

const exportHelp = `Export writes sagas that have not ended as JSON: where they stand, what they recorded, when they wake, and their children. It changes nothing.

One ID is written to standard output, or to the file that -o names. Several IDs, or --dead-letters, are written to files in the directory that -o
names, each called after its saga. No file is overwritten. A child is exported with the saga that it belongs to.

Without --payloads a file is for people: it has paths, kinds, times, attempts and the texts of errors. With --payloads it also has the input, what
the steps took and gave, signals and headers, in full. Only such a file can be imported, or replayed in a test with sagatest.Replay. It may
hold secrets and personal data: files are readable by their owner only, and what you do with them is up to you.`

const exportExample = `  skald export order-42                                          to look at
  skald export order-42 --payloads -o testdata/order-42.json     for a test
  skald export --dead-letters --payloads -o letters              all that need a person`

type exporting struct {
	place
	payloads, dead bool
	out            string
}

// newExport makes the command export.
func newExport() *cobra.Command {
	var o exporting
	cmd := &cobra.Command{
		Use:     "export ID...",
		Short:   "Write sagas as JSON, to look at, to import or to replay in a test",
		Long:    exportHelp,
		Example: exportExample,
		Args:    cobra.ArbitraryArgs,
	}
	o.flags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.payloads, "payloads", false, "write payloads and headers too: they may hold secrets")
	flags.BoolVar(&o.dead, "dead-letters", false, "export all sagas that need a person")
	flags.StringVarP(&o.out, "output", "o", "", "file of one saga, or directory of several")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if err := o.check(ids); err != nil {
			return wrongly(cmd, err)
		}
		return o.on(cmd.Context(), func(ctx context.Context, b *redisx.Broker) error {
			return o.export(ctx, b, ids, cmd.OutOrStdout(), cmd.ErrOrStderr())
		})
	}
	return cmd
}

func (o *exporting) check(ids []string) error {
	switch {
	case len(ids) == 0 && !o.dead:
		return errors.New("name the sagas to export, or say --dead-letters")
	case len(ids) > 0 && o.dead:
		return errors.New("--dead-letters exports all of them: leave the IDs out")
	case o.several(ids) && o.out == "":
		return errors.New("several sagas go to files: name their directory with -o")
	}
	return o.place.check()
}

func (o *exporting) several(ids []string) bool { return o.dead || len(ids) > 1 }

func (o *exporting) export(ctx context.Context, b *redisx.Broker, ids []string, out, progress io.Writer) error {
	if !o.several(ids) {
		return o.one(ctx, b, ids[0], o.out, out, progress)
	}
	if o.dead {
		var err error
		if ids, err = deadLetters(ctx, b); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.out, 0o700); err != nil {
		return fmt.Errorf("make the directory of the files: %w", err)
	}
	for _, id := range ids {
		if err := o.one(ctx, b, id, filepath.Join(o.out, url.PathEscape(id)+".json"), out, progress); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "%s exported to %s\n", plural(len(ids), "saga"), o.out)
	return nil
}

// deadLetters gives the sagas that need a person, or that have a child that does.
func deadLetters(ctx context.Context, b broker.Broker) (ids []string, err error) {
	for s, err := range b.List(ctx, broker.Filter{State: broker.Buried}) {
		if err != nil {
			return nil, err
		}
		root, _, _ := strings.Cut(s.ID, "/")
		ids = append(ids, root)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// one exports a saga to a file, or to out if that has no name.
func (o *exporting) one(ctx context.Context, b broker.Broker, id, file string, out, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, oneSaga)
	defer cancel()
	x, err := flow.Export(ctx, b, id)
	if err != nil {
		return err
	}
	options := flow.ExportOptions{Payloads: o.payloads}
	if file == "" {
		return x.Write(out, options)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("export saga %q: %w", id, err)
	}
	if err := errors.Join(x.Write(f, options), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	if !o.payloads {
		fmt.Fprintf(progress, "%s is for people: with --payloads it can be imported\n", file)
	}
	return nil
}
