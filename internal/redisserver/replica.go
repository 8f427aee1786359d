package redisserver

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// StartReplica starts a server that follows master, and returns when it has what master has. opts must have the password and TLS of
// master.
func StartReplica(ctx context.Context, master *Server, opts Options) (*Server, error) {
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		return nil, fmt.Errorf("redisserver: start a replica of %s: %w", master.Addr, err)
	}
	s, err := launch(ctx, &Server{opts: opts, settings: []string{"replicaof " + host + " " + port}})
	if err != nil {
		return nil, err
	}
	if err := s.Linked(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Linked waits until a replica follows its master.
func (s *Server) Linked(ctx context.Context) error {
	err := s.with(func(client *redis.Client) error {
		return until(ctx, s.process.ended(), func() error { return isLinked(ctx, client) })
	})
	if err != nil {
		return fmt.Errorf("redisserver: wait for the replica on %s to follow its master: %w\nits log:\n%s", s.Addr, err, s.Log())
	}
	return nil
}

func isLinked(ctx context.Context, client *redis.Client) error {
	link, err := info(ctx, client, "replication", "master_link_status")
	if err == nil && link != "up" {
		err = fmt.Errorf("master_link_status is %s", link)
	}
	return err
}
