package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/redisx"
)

// ground is where the sagas of a bench are kept.
type ground struct {
	name  string // for people; it tells no password
	place measure.Place
	store measure.Store // nil in memory
	leave func() error  // removes what was brought
}

// prepare starts a server, or looks for the one that is named.
func (o options) prepare(ctx context.Context) (ground, error) {
	g := ground{
		name:  "in memory",
		place: measure.Place{Keep: o.keep, Steps: o.steps, Callers: o.concurrency},
		leave: func() error { return nil },
	}
	g.place.Broker = redisx.Options{Namespace: "skald-bench-" + strings.ToLower(rand.Text()[:12]), Partitions: o.partitions}
	switch {
	case o.broker == inMemory:
		return g, nil
	case o.addr == "":
		return g, g.startServer(ctx)
	}
	return g, g.useServer(ctx, o.addr)
}

// startServer lets the bench have a server of its own.
func (g *ground) startServer(ctx context.Context) error {
	server, err := redisserver.Start(ctx, redisserver.Options{})
	if errors.Is(err, redisserver.ErrMissing) {
		return fmt.Errorf("start a Redis to bench: %w\nor name one with --addr, or use --broker inmem", err)
	}
	if err != nil {
		return fmt.Errorf("start a Redis to bench: %w", err)
	}
	client := measure.Connect(server.Addr)
	g.leave = func() error { return errors.Join(client.Close(), server.Close()) }
	g.place.Addr, g.store = server.Addr, measure.WholeServer{Client: client}
	if err := g.greet(ctx, client, "started for this at "+server.Addr); err != nil {
		return errors.Join(err, g.leave())
	}
	return nil
}

// useServer benches somebody's server.
func (g *ground) useServer(ctx context.Context, addr string) error {
	client := measure.Connect(addr)
	space := measure.Namespace{Client: client, Name: g.place.Broker.Namespace}
	g.place.Addr, g.store = addr, space
	if err := g.greet(ctx, client, "at "+client.Options().Addr); err != nil {
		return errors.Join(err, client.Close())
	}
	g.leave = func() error { return errors.Join(remove(space), client.Close()) }
	return nil
}

// greet learns the server's version.
func (g *ground) greet(ctx context.Context, client *redis.Client, where string) error {
	version, err := measure.Version(ctx, client)
	if err != nil {
		return fmt.Errorf("bench Redis %s: %w\ncheck the address, the password and whether the server runs", where, err)
	}
	g.name = fmt.Sprintf("Redis %s %s", version, where)
	return nil
}

// size is that of the store.
func (g ground) size(ctx context.Context) (measure.Size, error) {
	if g.store == nil {
		return measure.Size{}, nil
	}
	return g.store.Size(ctx)
}

// remove deletes the namespace, also when the bench was interrupted.
func remove(space measure.Namespace) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := space.Remove(ctx); err != nil {
		return fmt.Errorf("%w\nkeys whose names contain %s may be left; results among them go by themselves after --keep", err, space.Name)
	}
	return nil
}
