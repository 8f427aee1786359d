package main

import "github.com/skald-go/skald/redisx"

// store says how brokers of a run store sagas.
type store struct {
	Partitions int
	Replicas   int // that must have a write before it counts; 0: the server's own promise
}

// options are those of the brokers of a service, whose name is its namespace.
func (s store) options(service string) redisx.Options {
	o := redisx.Options{Namespace: service, Service: service, Partitions: s.Partitions}
	if s.Replicas > 0 {
		o.Durability = redisx.Replicated(s.Replicas)
	}
	return o
}
