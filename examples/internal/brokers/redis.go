package brokers

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/redisserver"
	"github.com/skald-go/skald/redisx"
)

// Main runs the tests of a package, then ends the Redis that they shared and whatever else is to be closed, and fails if a goroutine is left.
func Main(m *testing.M, closers ...func() error) {
	flag.Parse()
	// Tests on a real server spend their time waiting, so more of them run side by side than there are cores.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	code := m.Run()
	err := shared.close()
	for _, closing := range closers {
		err = errors.Join(err, closing())
	}
	if code == 0 && err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// shared is the server of this process's tests, which the first of them starts.
var shared server

type server struct {
	mu     sync.Mutex
	server *redisserver.Server
}

func (s *server) get(t testing.TB) *redisserver.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var err error
		s.server, err = redisserver.Start(ctx, redisserver.Options{})
		require.NoError(t, err)
	}
	return s.server
}

func (s *server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	return s.server.Close()
}

// Client makes a client of the Redis that the tests of this process share. It is closed when the test ends.
func Client(t testing.TB) *redis.Client {
	client := redis.NewClient(shared.get(t).ClientOptions())
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// openRedis opens a broker in a namespace of its own.
func openRedis(t testing.TB) broker.Broker {
	b := redisx.New(Client(t), redisx.Options{Namespace: rand.Text(), Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// redisNetwork is services on the shared Redis, whose names have an end that no others have.
type redisNetwork struct{ end string }

func newRedisNetwork(testing.TB) Network { return redisNetwork{"-" + rand.Text()} }

func (n redisNetwork) Service(name string) string { return name + n.end }

func (n redisNetwork) Open(t testing.TB, name string) broker.Broker {
	service := n.Service(name)
	b := redisx.New(Client(t), redisx.Options{Namespace: "of-" + service, Service: service, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}
