package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/skald-go/skald/internal/measure"
	"github.com/skald-go/skald/redisx"
)

// place says on which Redis sagas are.
type place struct {
	addr       string
	namespace  string
	partitions int
}

// oneSaga is how long one saga may take to be read or stored.
const oneSaga = 30 * time.Second

func (p *place) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.addr, "addr", "", "host:port or URL of the Redis server; SKALD_REDIS_URL says the same unseen by others, with the password")
	flags.StringVar(&p.namespace, "namespace", "skald", "of the sagas: redisx.Options.Namespace of your program")
	flags.IntVar(&p.partitions, "partitions", 1, "of the namespace: redisx.Options.Partitions of your program")
}

func (p *place) check() error {
	if p.addr == "" {
		p.addr = os.Getenv("SKALD_REDIS_URL")
	}
	if p.addr == "" {
		return errors.New("name the Redis server with --addr or SKALD_REDIS_URL")
	}
	if err := measure.CheckAddr(p.addr); err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	if p.partitions < 1 || p.partitions > maxPartitions {
		return fmt.Errorf("--partitions is %d: there are 1 to %d", p.partitions, maxPartitions)
	}
	return nil
}

// on does something with the broker there.
func (p *place) on(ctx context.Context, do func(context.Context, *redisx.Broker) error) (err error) {
	client := measure.Connect(p.addr)
	defer func() { err = errors.Join(err, client.Close()) }()
	ping, cancel := context.WithTimeout(ctx, oneSaga)
	defer cancel()
	if err := client.Ping(ping).Err(); err != nil {
		return fmt.Errorf("ask Redis at %s: %w\ncheck the address, the password and whether the server runs", client.Options().Addr, err)
	}
	b := redisx.New(client, redisx.Options{Namespace: p.namespace, Partitions: p.partitions, Logger: slog.New(slog.DiscardHandler)})
	defer func() { err = errors.Join(err, b.Close()) }()
	return do(ctx, b)
}
