package redisserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// errTaken says that somebody else listens on the server's port.
var errTaken = errors.New("the port is taken")

// run starts the process and waits until it is ready to work. If it never is, the process is killed.
func (s *Server) run(ctx context.Context) error {
	if err := s.process.start(); err != nil {
		return err
	}
	err := s.answers(ctx)
	if err == nil {
		return nil
	}
	s.Kill()
	log := s.Log()
	if strings.Contains(log, "Address already in use") || strings.Contains(log, "Failed listening on port") {
		err = errors.Join(errTaken, err)
	}
	return fmt.Errorf("%w\nlog of the server on %s:\n%s", err, s.Addr, log)
}

// answers waits until the process has loaded its data and answers.
func (s *Server) answers(ctx context.Context) error {
	return s.with(func(client *redis.Client) error {
		return until(ctx, s.process.ended(), func() error { return s.isReady(ctx, client) })
	})
}

// isReady asks for the number of the process, as somebody else's server may answer on the port, and whether it takes commands.
func (s *Server) isReady(ctx context.Context, client *redis.Client) error {
	pid, err := info(ctx, client, "server", "process_id")
	if err != nil {
		return err
	}
	if pid != strconv.Itoa(s.PID()) {
		return fmt.Errorf("process %s answers on %s: %w", pid, s.Addr, errTaken)
	}
	return client.Ping(ctx).Err()
}

// with gives f a client that does not try again by itself, and closes it.
func (s *Server) with(f func(*redis.Client) error) error {
	opts := s.ClientOptions()
	opts.MaxRetries, opts.PoolSize = -1, 1
	client := redis.NewClient(opts)
	defer client.Close()
	return f(client)
}

// info is one field of INFO.
func info(ctx context.Context, client *redis.Client, section, field string) (string, error) {
	text, err := client.Info(ctx, section).Result()
	if err != nil {
		return "", err
	}
	value, found := fieldOf(text, field)
	if !found {
		return "", fmt.Errorf("INFO %s has no %s", section, field)
	}
	return value, nil
}

// fieldOf finds a line "name:value".
func fieldOf(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return value, true
		}
	}
	return "", false
}

// until calls ask every few milliseconds until it returns nil, the process ends, or ctx does. At the end it says what ask said last.
func until(ctx context.Context, ended <-chan struct{}, ask func() error) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ended:
			return fmt.Errorf("the process has ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("%w, waiting for: %w", context.Cause(ctx), err)
		}
	}
}
