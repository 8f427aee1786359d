package main

import "github.com/skald-go/skald/redisx"

// namespace is that of the sagas' keys, in Redis and of idempotency.
const namespace = "chaos"

// store says how brokers of a run store sagas.
type store struct {
	Partitions int
	Replicas   int // that must have a write before it counts; 0: the server's own promise
}

func (s store) options() redisx.Options {
	o := redisx.Options{Namespace: namespace, Partitions: s.Partitions}
	if s.Replicas > 0 {
		o.Durability = redisx.Replicated(s.Replicas)
	}
	return o
}
