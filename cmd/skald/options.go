package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/internal/measure"
)

// options are what the flags of bench say.
type options struct {
	broker      string
	addr        string
	sagas       int
	concurrency int
	steps       int
	payload     int
	modes       []string
	keep        time.Duration
	partitions  int
	json        bool
}

// The brokers.
const (
	inMemory = "inmem"
	onRedis  = "redis"
)

// The modes.
const (
	local    = "local"
	remote   = "remote"
	rollback = "rollback"
	latency  = "latency"
)

// The bounds of what is measured. A payload may be as large as engines take unless they are told otherwise, less what encoding adds.
const (
	maxSteps      = 100
	maxPayload    = 256<<10 - 64
	maxPartitions = 1024
)

// check says what is wrong with the options, and fills in the modes.
func (o *options) check() error {
	switch {
	case o.broker != inMemory && o.broker != onRedis:
		return fmt.Errorf("--broker is %q: it is %s or %s", o.broker, inMemory, onRedis)
	case o.broker == inMemory && o.addr != "":
		return errors.New("--addr names a Redis server, which --broker inmem does not use: leave one of them out")
	case o.sagas < 1:
		return fmt.Errorf("--sagas is %d: at least one saga must run", o.sagas)
	case o.concurrency < 1:
		return fmt.Errorf("--concurrency is %d: at least one caller must wait", o.concurrency)
	case o.steps < 1 || o.steps > maxSteps:
		return fmt.Errorf("--steps is %d: a saga has 1 to %d here", o.steps, maxSteps)
	case o.payload < 0 || o.payload > maxPayload:
		return fmt.Errorf("--payload is %d: an input has 0 to %d bytes here", o.payload, maxPayload)
	case o.partitions < 1 || o.partitions > maxPartitions:
		return fmt.Errorf("--partitions is %d: there are 1 to %d", o.partitions, maxPartitions)
	case o.keep < time.Second || o.keep > time.Hour:
		return fmt.Errorf("--keep is %v: results are kept for 1s to 1h here", o.keep)
	}
	if o.addr != "" {
		if err := measure.CheckAddr(o.addr); err != nil {
			return fmt.Errorf("--addr: %w", err)
		}
	}
	return o.checkModes()
}

func (o *options) checkModes() error {
	if len(o.modes) == 0 {
		o.modes = []string{local, remote, rollback, latency}
		if o.broker == inMemory {
			o.modes = []string{local, rollback, latency}
		}
		return nil
	}
	var modes []string
	for _, m := range o.modes {
		m = strings.TrimSpace(m)
		switch {
		case !slices.Contains([]string{local, remote, rollback, latency}, m):
			return fmt.Errorf("--mode is %q: it is %s, %s, %s or %s", m, local, remote, rollback, latency)
		case m == remote && o.broker == inMemory:
			return errors.New("--mode remote needs two processes, which share no memory: use --broker redis")
		case !slices.Contains(modes, m):
			modes = append(modes, m)
		}
	}
	o.modes = modes
	return nil
}

// callers is how many wait at once in a mode.
func (o options) callers(mode string) int {
	if mode == latency {
		return 1
	}
	return min(o.concurrency, o.sagas)
}
