package inmem

import "time"

// Option changes a default of New.
type Option func(*options)

type options struct {
	backlog    int
	retain     int
	earlyFor   time.Duration
	earlyLimit int
	shuffle    bool
	seed       uint64
	bus        *Bus
}

func defaults() options {
	return options{retain: 131_072, earlyFor: 24 * time.Hour, earlyLimit: 65_536}
}

// Backlog makes Start answer broker.ErrOverload while limit sagas are ready and wait for a worker. Sagas
// that a worker owns at once, and those that another saga starts, are stored nevertheless; starts that run
// at the same moment can exceed the limit by their number. Without this option there is no limit.
func Backlog(limit int) Option {
	return func(o *options) { o.backlog = limit }
}

// Retain sets how many finished sagas are kept at most, 131,072 by default. Beyond that the one whose
// Transition.Keep ends first is forgotten before its time.
func Retain(limit int) Option {
	return func(o *options) { o.retain = limit }
}

// EarlyMail sets how long mail waits for the start of its saga, 24 hours after the last event by default,
// and how many such events are kept at most, 65,536 by default. Beyond that Deliver answers
// broker.ErrOverload; what another saga sends is kept nevertheless.
func EarlyMail(keep time.Duration, limit int) Option {
	return func(o *options) { o.earlyFor, o.earlyLimit = keep, limit }
}

// Shuffle hands out ready sagas in a random order that follows from seed, instead of oldest first: for
// tests of what must not depend on the order.
func Shuffle(seed uint64) Option {
	return func(o *options) { o.shuffle, o.seed = true, seed }
}

// OnBus lets the broker carry events over bus, which other brokers may use as well, instead of over one of its own.
func OnBus(bus *Bus) Option {
	return func(o *options) { o.bus = bus }
}
