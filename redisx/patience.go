package redisx

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a call waits for a server that answers and cannot serve now, and how often it asks: a failover of Sentinel or Cluster takes
// seconds, the move of a slot as long as its keys need.
const (
	patience  = 15 * time.Second
	firstWait = 5 * time.Millisecond
	lastWait  = 500 * time.Millisecond
)

// persist calls f until it does not fail with something that passes, for a while.
func (b *Broker) persist(ctx context.Context, f func() error) error {
	var deadline time.Time
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		err := f()
		if err == nil || !b.passes(err) {
			return err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(patience)
		}
		pause := wait/2 + rand.N(wait)
		if time.Now().Add(pause).After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		case <-b.ctx.Done():
			return err
		}
	}
}

// passing are the beginnings of answers of servers that change their roles, load their data, or have a slot that moves.
var passing = []string{
	"TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "MOVED", "ASK", "UNBLOCKED", "BUSY ",
	"ERR Script attempted to access a non local key in a cluster node", // the probe of common.lua, while a slot moves
}

// passes tells whether it makes sense to ask again. A cluster whose node cannot be reached is asked anew which nodes it has.
func (b *Broker) passes(err error) bool {
	if errors.Is(err, errUnconfirmed) {
		return true
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		for _, prefix := range passing {
			if strings.HasPrefix(reply.Error(), prefix) {
				b.reload()
				return true
			}
		}
		return false
	}
	var op *net.OpError
	if cluster := b.cluster(); cluster != nil && errors.As(err, &op) {
		b.reload()
		return true
	}
	return false
}

// cluster gives the client of a cluster, or nil.
func (b *Broker) cluster() *redis.ClusterClient {
	cluster, _ := b.client.(*redis.ClusterClient)
	return cluster
}

// reload has a cluster's client learn its nodes anew: by itself it does so once a minute, and keeps a dead master for as long.
func (b *Broker) reload() {
	if cluster := b.cluster(); cluster != nil {
		cluster.ReloadState(b.ctx)
	}
}
