// Command simulate runs Skald's state machines in worlds where everything goes wrong that can, as many as fit into a given time, and
// looks at every saga. A run follows from its seed: one that fails is made smaller, told, and printed with the command that repeats it.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/skald-go/skald/internal/simulate/world"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("simulate", flag.ExitOnError)
	t := team{}
	flags.DurationVar(&t.lasting, "for", time.Minute, "how long to make runs, if -seed does not name one")
	flags.IntVar(&t.most, "runs", 0, "how many runs to make at most; 0: as many as there is time for")
	flags.Uint64Var(&t.first, "from", rand.Uint64N(1<<40), "the first seed")
	flags.BoolVar(&t.rough, "rough", false, "do not look for a smaller run when one fails")
	var one world.Config
	flags.Func("seed", "make only the run of this seed", func(text string) (err error) {
		t.single = true
		one.Seed, err = strconv.ParseUint(text, 10, 64)
		return err
	})
	flags.Uint64Var(&one.Order, "order", 0, "with -seed: another order in which things happen")
	flags.IntVar(&one.Parts, "parts", 0, "with -seed: how large its flows are")
	flags.Func("only", "with -seed: the numbers of its sagas that are started, with commas", func(text string) (err error) {
		one.Only, err = each(text, strconv.Atoi)
		return err
	})
	flags.Func("without", "with -seed: the faults that do not happen, with commas", func(text string) (err error) {
		one.Without, err = each(text, world.ParseFaultID)
		return err
	})
	flags.BoolVar(&one.DecodeAll, "decode", false, "with -seed: use no live values")
	flags.BoolVar(&one.Log, "log", false, "with -seed: tell everything that happens")
	flags.Parse(args)
	if t.single {
		return single(one)
	}
	debug.SetGCPercent(400)
	return t.work()
}

// single makes one run, and tells it.
func single(c world.Config) error {
	w, err := world.Run(c)
	if err != nil {
		return err
	}
	for _, line := range w.Log {
		fmt.Println(line)
	}
	w.Tally().Report(os.Stdout, 0)
	return nil
}

func each[T any](text string, parse func(string) (T, error)) (all []T, err error) {
	for part := range strings.SplitSeq(text, ",") {
		one, err := parse(part)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
