package redisx

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// The reasons why a broker refuses a server.
var (
	ErrEviction  = errors.New("the server's maxmemory-policy is not noeviction: it may throw sagas away")
	ErrVersion   = errors.New("the server is older than Redis 6.2")
	ErrNamespace = errors.New("the namespace was made by another version of Skald or with other partitions")
)

// layout names how keys are laid out; a broker uses only a namespace with its own.
const layout = "2"

// readiness remembers that the server was looked at.
type readiness struct {
	done atomic.Bool
	mu   sync.Mutex
}

// check looks at the server once. What the broker may not ask, it takes to be right.
func (r *readiness) check(ctx context.Context, b *Broker) error {
	if r.done.Load() {
		return nil
	}
	_, err := ask(ctx, b, func(ctx context.Context) (struct{}, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.done.Load() {
			return struct{}{}, nil
		}
		err := b.inspect(ctx)
		r.done.Store(err == nil)
		return struct{}{}, err
	})
	return err
}

func (b *Broker) inspect(ctx context.Context) error {
	for _, section := range []string{"server", "memory"} {
		info, err := b.client.Info(ctx, section).Result()
		if refusedByServer(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("redisx: look at the server: %w", err)
		}
		if err := judge(info); err != nil {
			return fmt.Errorf("redisx: %w", err)
		}
	}
	return b.configure(ctx)
}

// refusedByServer says that the server answered, and does not let this user ask.
func refusedByServer(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && (redis.HasErrorPrefix(err, "NOPERM") || strings.Contains(err.Error(), "unknown command"))
}

// judge reads INFO.
func judge(info string) error {
	for entry := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(entry), ":")
		switch name {
		case "redis_version":
			if !atLeast(value, 6, 2) {
				return fmt.Errorf("%w: it is %s", ErrVersion, value)
			}
		case "maxmemory_policy":
			if value != "noeviction" {
				return fmt.Errorf("%w: it is %s", ErrEviction, value)
			}
		}
	}
	return nil
}

func atLeast(version string, major, minor int) bool {
	parts := strings.Split(version+".0", ".")
	x, err1 := strconv.Atoi(parts[0])
	y, err2 := strconv.Atoi(parts[1])
	return err1 != nil || err2 != nil || x > major || x == major && y >= minor
}

// configure fixes the namespace's configuration at its first use, and compares it ever after.
func (b *Broker) configure(ctx context.Context) error {
	key, want := configKey(b.opts.Namespace), "layout "+layout+", partitions "+strconv.Itoa(b.opts.Partitions)
	if err := b.client.SetNX(ctx, key, want, 0).Err(); err != nil {
		return fmt.Errorf("redisx: configure namespace %q: %w", b.opts.Namespace, err)
	}
	got, err := b.client.Get(ctx, key).Result()
	if err != nil {
		return fmt.Errorf("redisx: configure namespace %q: %w", b.opts.Namespace, err)
	}
	if got != want {
		return fmt.Errorf("redisx: namespace %q: %w: it has %s, this broker has %s", b.opts.Namespace, ErrNamespace, got, want)
	}
	return nil
}
