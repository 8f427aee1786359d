package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/redisx"
)

// storeOptions say where sagas are kept.
type storeOptions struct {
	redis bool
	addr  string // of the Redis; empty: one is started
}

func (o *storeOptions) setRedis(addr string) error {
	o.redis = true
	if addr != "start" {
		o.addr = addr
	}
	return nil
}

// openStore opens the broker that opts ask for. Its Close leaves nothing behind.
func openStore(ctx context.Context, opts storeOptions) (broker.Broker, error) {
	switch {
	case !opts.redis:
		return inmem.New(), nil
	case opts.addr != "":
		return openRedis(&redis.Options{Addr: opts.addr}), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	server, err := redisserver.Start(ctx, redisserver.Options{})
	if err != nil {
		return nil, err
	}
	s := openRedis(server.ClientOptions())
	s.stop = server.Close
	return s, nil
}

// redisStore is a broker on Redis in a namespace that ends with it.
type redisStore struct {
	*redisx.Broker
	client    *redis.Client
	namespace string
	stop      func() error
}

func openRedis(opts *redis.Options) *redisStore {
	client, namespace := redis.NewClient(opts), "petshop-"+rand.Text()
	return &redisStore{
		Broker: redisx.New(client, redisx.Options{Namespace: namespace, Logger: slog.New(slog.DiscardHandler)}),
		client: client, namespace: namespace, stop: func() error { return nil },
	}
}

// Close implements broker.Broker.
func (s *redisStore) Close() error {
	return errors.Join(s.Broker.Close(), s.remove(), s.client.Close(), s.stop())
}

// remove removes the keys of the namespace.
func (s *redisStore) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for keys := s.client.Scan(ctx, 0, "*"+s.namespace+":*", 1000).Iterator(); ; {
		if !keys.Next(ctx) {
			return keys.Err()
		}
		if err := s.client.Unlink(ctx, keys.Val()).Err(); err != nil {
			return fmt.Errorf("petshop: remove %s: %w", keys.Val(), err)
		}
	}
}
