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
	ErrEviction   = errors.New("the server's maxmemory-policy is not noeviction: it may throw sagas away")
	ErrVersion    = errors.New("the server is older than Redis 6.2")
	ErrDurability = errors.New("the server does not have what Options.Durability asks for")
	ErrNamespace  = errors.New("the namespace was made by another version of Skald or with other partitions")
)

// layout names how keys are laid out; a broker uses only a namespace with its own.
const layout = "3"

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
	if d := b.opts.Durability; d != (Durability{}) {
		if _, err := b.parts[0].node(ctx); errors.Is(err, errClient) {
			return fmt.Errorf("redisx: Options.Durability is %v: %w", d, err)
		}
	}
	var server serverInfo
	for _, section := range []string{"server", "memory", "persistence"} {
		var info string
		err := b.persist(ctx, func() (err error) {
			info, err = b.client.Info(ctx, section).Result()
			return err
		})
		if refusedByServer(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("redisx: look at the server: %w", err)
		}
		server.read(info)
	}
	if err := server.judge(b.opts.Durability); err != nil {
		return fmt.Errorf("redisx: %w", err)
	}
	if server.aof == "0" {
		b.opts.Logger.Warn("redisx: the server keeps no append-only file: when it restarts, sagas are lost that were acknowledged since it saved "+
			"the last time; set appendonly yes", "namespace", b.opts.Namespace)
	}
	return b.configure(ctx)
}

// serverInfo is what INFO tells; what it did not tell is empty.
type serverInfo struct{ version, eviction, aof string }

func (s *serverInfo) read(info string) {
	for entry := range strings.Lines(info) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(entry), ":"); name {
		case "redis_version":
			s.version = value
		case "maxmemory_policy":
			s.eviction = value
		case "aof_enabled":
			s.aof = value
		}
	}
}

// judge says why a server will not do.
func (s serverInfo) judge(d Durability) error {
	switch {
	case s.version != "" && !atLeast(s.version, 6, 2):
		return fmt.Errorf("%w: it is %s", ErrVersion, s.version)
	case s.eviction != "" && s.eviction != "noeviction":
		return fmt.Errorf("%w: it is %s", ErrEviction, s.eviction)
	case d.fsync && s.version != "" && !atLeast(s.version, 7, 2):
		return fmt.Errorf("%w: it is %s, and Fsynced needs 7.2", ErrDurability, s.version)
	case d.fsync && s.aof == "0":
		return fmt.Errorf("%w: Fsynced needs appendonly yes", ErrDurability)
	}
	return nil
}

// refusedByServer says that the server answered, and does not let this user ask.
func refusedByServer(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && (redis.HasErrorPrefix(err, "NOPERM") || strings.Contains(err.Error(), "unknown command"))
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
	err := b.persist(ctx, func() error { return b.client.SetNX(ctx, key, want, 0).Err() })
	if err != nil {
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
