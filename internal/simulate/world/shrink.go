package world

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shrink looks for the smallest run that still fails: with fewer sagas, fewer faults and smaller flows. It gives that run, which tells
// everything that happens, and what is wrong in it. c must fail.
func Shrink(c Config) (Config, *Violation) {
	s := &shrinker{c: c, run: violation}
	s.shrink()
	return s.c, s.worst
}

// shrinker holds the smallest run so far that fails.
type shrinker struct {
	c     Config
	worst *Violation
	run   func(Config) *Violation
}

func (s *shrinker) shrink() {
	if s.worst = s.run(s.c); s.worst == nil {
		return
	}
	for changed := true; changed; {
		changed = s.fewerSagas()
		changed = s.smallerFlows() || changed
		changed = s.fewerFaults() || changed
	}
	s.c.Log = true
	s.worst = s.run(s.c)
}

func violation(c Config) *Violation {
	_, err := Run(c)
	v, _ := errors.AsType[*Violation](err)
	return v
}

// keep takes a run over if it fails.
func (s *shrinker) keep(c Config) bool {
	v := s.run(c)
	if v == nil {
		return false
	}
	s.c, s.worst = c, v
	return true
}

// orders is in how many orders of things a saga is tried alone.
const orders = 300

// alone tries the saga that failed without the others, whose part was to be in its way: the order of things does the same.
func (s *shrinker) alone() bool {
	c := s.c.only([]int{s.worst.Family})
	for order := range uint64(orders) {
		c.Order = s.c.Order + order
		if s.keep(c) {
			return true
		}
	}
	return false
}

// fewerSagas tries one saga alone, or leaves out halves and single ones.
func (s *shrinker) fewerSagas() bool {
	all := s.c.numbers()
	if len(all) == 1 {
		return false
	}
	if s.alone() {
		return true
	}
	for n := len(all) / 2; n > 0; n /= 2 {
		for from := 0; from < len(all) && len(all) > n; {
			fewer := slices.Delete(slices.Clone(all), from, min(from+n, len(all)))
			if c := s.c; len(fewer) > 0 && s.keep(c.only(fewer)) {
				all = fewer
				continue
			}
			from += n
		}
	}
	return len(all) < len(s.c.numbers())
}

func (c Config) only(numbers []int) Config {
	c.Only = numbers
	return c
}

// smallerFlows tries flows of fewer parts, the smallest first.
func (s *shrinker) smallerFlows() bool {
	for parts := 1; parts < orElse(s.c.Parts, 14); parts++ {
		c := s.c
		if c.Parts = parts; s.keep(c) {
			return true
		}
	}
	return false
}

// fewerFaults leaves out one fault after the other.
func (s *shrinker) fewerFaults() (some bool) {
	for tries := 0; tries < 200; tries++ {
		left := s.worst.Faults
		if !slices.ContainsFunc(left, func(id FaultID) bool {
			c := s.c
			c.Without = append(slices.Clone(c.Without), id)
			return s.keep(c)
		}) {
			break
		}
		some = true
	}
	return some
}

// numbers are those of the sagas that a run starts.
func (c Config) numbers() []int {
	if c.Only != nil {
		return c.Only
	}
	all := make([]int, orElse(c.Sagas, 64))
	for k := range all {
		all[k] = k
	}
	return all
}

// Flags are the arguments of the command simulate that make this run.
func (c Config) Flags() string {
	flags := []string{fmt.Sprintf("-seed %d", c.Seed)}
	if c.Order != 0 {
		flags = append(flags, fmt.Sprintf("-order %d", c.Order))
	}
	if c.Only != nil {
		flags = append(flags, "-only "+commas(c.Only, strconv.Itoa))
	}
	if c.Parts != 0 {
		flags = append(flags, fmt.Sprintf("-parts %d", c.Parts))
	}
	if c.Without != nil {
		flags = append(flags, "-without "+commas(c.Without, FaultID.String))
	}
	if c.DecodeAll {
		flags = append(flags, "-decode")
	}
	if c.Log {
		flags = append(flags, "-log")
	}
	return strings.Join(flags, " ")
}

func commas[T any](all []T, text func(T) string) string {
	var parts []string
	for _, one := range all {
		parts = append(parts, text(one))
	}
	return strings.Join(parts, ",")
}

// String is "saga.fault", both as numbers.
func (id FaultID) String() string { return fmt.Sprintf("%d.%d", id.Family, id.Nth) }

// ParseFaultID reads what String gave.
func ParseFaultID(text string) (id FaultID, err error) {
	if _, err := fmt.Sscanf(text, "%d.%d", &id.Family, &id.Nth); err != nil {
		return id, fmt.Errorf("simulate: %q is no fault: it should be like 17.2, the second fault of saga 17: %w", text, err)
	}
	return id, nil
}
