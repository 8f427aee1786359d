package redisx

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Options say how a broker works. All brokers of a namespace should have the same.
type Options struct {
	// Namespace begins the name of every key and channel, "skald" by default. It may not contain any of {}*?[]\.
	Namespace string
	// Partitions is over how many partitions sagas are spread, 1 by default and at most 1024. A saga, and those that it starts, are in
	// the partition that the hash of their root's ID names, whose keys are on one node. One is right for a single server; a cluster wants several for each
	// node that it may once have, say 16 to 64. It is fixed when the namespace is first used: a broker with another number
	// refuses to work, with ErrNamespace.
	Partitions int
	// Service is the name under which other services call this one, and under which it calls them with flow.Ref: "" if it does neither. All services
	// use one Redis, each with a namespace of its own. Messages for a service are appended to the stream "<service>:inbox", and nothing else of it
	// is touched by others. A process that has workers keeps a connection that reads it.
	Service string
	// Durability is what is waited for before something is said to be stored: by default nothing beyond the server's own.
	Durability Durability
	// Logger hears what a person ought to know of the server, such as that it stores nothing on disk: slog.Default by default.
	Logger *slog.Logger
	// Backlog makes Start answer broker.ErrOverload while so many sagas are ready, and wait for a worker, in the partition of the new one. Sagas that a worker
	// owns at once, and those that another saga starts, are stored nevertheless. 0: no limit.
	Backlog int
	// EarlyFor is how long mail waits for the start of its saga, 24 hours after the last event by default.
	EarlyFor time.Duration
	// EarlyMail is how many such events are kept in each partition, 65,536 by default. Beyond that Deliver answers broker.ErrOverload; what another
	// saga sends is kept nevertheless.
	EarlyMail int
	// ReadBack is how old a watch is when the broker looks for the first time whether the news of it was lost, 1 s by default;
	// each further look waits twice as long, up to 16 times ReadBack. A result that is kept for a shorter time than
	// that (flow.Options.Retention) may be missed by who waits for it elsewhere, if news of it was lost.
	ReadBack time.Duration
	// Bus says how events are carried.
	Bus BusOptions
}

const (
	defaultNamespace = "skald"
	defaultEarlyFor  = 24 * time.Hour
	defaultEarlyMail = 65_536
	defaultReadBack  = time.Second
	maxPartitions    = 1024
	maxService       = 255
)

func (o Options) check() error {
	switch {
	case strings.ContainsAny(o.Namespace, `{}*?[]\`):
		return fmt.Errorf("redisx: Options.Namespace is %q: it may not contain any of {}*?[]\\", o.Namespace)
	case strings.ContainsAny(o.Service, `{}*?[]\~/#`) || len(o.Service) > maxService:
		return fmt.Errorf("redisx: Options.Service is %q: it has at most %d bytes, and none of {}*?[]\\~/#", o.Service, maxService)
	case o.Partitions < 0 || o.Partitions > maxPartitions:
		return fmt.Errorf("redisx: Options.Partitions is %d: there are 1 to %d", o.Partitions, maxPartitions)
	case o.Durability.within < 0:
		return fmt.Errorf("redisx: Options.Durability is within %v: a time is not negative", o.Durability.within)
	case o.Backlog < 0 || o.EarlyMail < 0:
		return fmt.Errorf("redisx: Options.Backlog is %d and EarlyMail %d: a limit is not negative", o.Backlog, o.EarlyMail)
	case o.EarlyFor < 0 || o.ReadBack < 0:
		return fmt.Errorf("redisx: Options.EarlyFor is %v and ReadBack %v: a time is not negative", o.EarlyFor, o.ReadBack)
	}
	return o.Bus.check()
}

func (o Options) withDefaults() Options {
	o.Namespace = cmp.Or(o.Namespace, defaultNamespace)
	o.Partitions = cmp.Or(o.Partitions, 1)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.EarlyFor = max(cmp.Or(o.EarlyFor, defaultEarlyFor), time.Millisecond)
	o.EarlyMail = cmp.Or(o.EarlyMail, defaultEarlyMail)
	o.ReadBack = cmp.Or(o.ReadBack, defaultReadBack)
	o.Bus = o.Bus.withDefaults()
	return o
}
