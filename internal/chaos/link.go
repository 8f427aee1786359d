package main

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// link says how a process reaches Redis.
type link struct {
	Addrs  []string          // of the server, the Sentinels, or the nodes
	Master string            // its name, with Sentinels
	Nodes  bool              // it is a cluster
	Via    map[string]string // address of a server → that of the proxy in front of it
}

// client makes a client as an application would, but for the proxies.
func (l link) client() redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: l.Addrs, MasterName: l.Master, IsClusterMode: l.Nodes, DialTimeout: 500 * time.Millisecond, DisableIdentity: true, Dialer: l.dial,
	})
}

func (l link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if proxy, ok := l.Via[addr]; ok {
		addr = proxy
	}
	d := net.Dialer{Timeout: 500 * time.Millisecond}
	return d.DialContext(ctx, network, addr)
}
