// Package redistest gives tests real redis-servers of package redisserver, and stops them when the test ends. Where there is no
// redis-server a test that asks for one fails and says how to get it.
package redistest

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/internal/redisserver"
)

// patience is how long a server may take to start, on a machine that has much else to do.
const patience = time.Minute

// Server is a redis-server process.
type Server struct {
	*redisserver.Server
	tb testing.TB
}

// Option changes how a server is started.
type Option func(*redisserver.Options)

// AOF makes the server write every command to disk before it answers.
func AOF(o *redisserver.Options) { o.AOF = true }

// Args adds arguments of redis-server, such as "--maxmemory", "100mb".
func Args(args ...string) Option {
	return func(o *redisserver.Options) { o.Args = append(o.Args, args...) }
}

// Password protects the default user.
func Password(word string) Option { return func(o *redisserver.Options) { o.Password = word } }

// User adds a user, as in a line "user …" of redis.conf.
func User(rule string) Option {
	return func(o *redisserver.Options) { o.Users = append(o.Users, rule) }
}

// TLS makes the server speak TLS only, with the certificates of authority.
func TLS(authority *redisserver.TLS) Option {
	return func(o *redisserver.Options) { o.TLS = authority }
}

// NewTLS makes certificates for servers and their clients.
func NewTLS(tb testing.TB) *redisserver.TLS {
	tb.Helper()
	authority, err := redisserver.NewTLS()
	if err != nil {
		tb.Fatal(err)
	}
	return authority
}

// Start starts a server that stores nothing on disk unless an option says so.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := redisserver.Start(ctx, collect(options))
	return own(tb, s, err)
}

// Replica starts a server that follows master and has what it has.
func Replica(tb testing.TB, master *Server, options ...Option) *Server {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := redisserver.StartReplica(ctx, master.Server, collect(options))
	return own(tb, s, err)
}

func collect(options []Option) redisserver.Options {
	var opts redisserver.Options
	for _, o := range options {
		o(&opts)
	}
	return opts
}

func own(tb testing.TB, s *redisserver.Server, err error) *Server {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, s.Close)
	return &Server{Server: s, tb: tb}
}

func closeAtEnd(tb testing.TB, stop func() error) {
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
}

// Client makes a client of the server, which is closed when the test ends.
func (s *Server) Client() *redis.Client {
	client := redis.NewClient(s.ClientOptions())
	s.tb.Cleanup(func() { client.Close() })
	return client
}

// TLSConfig is that of a client with a certificate of the server's authority, nil for a server without TLS.
func (s *Server) TLSConfig() *tls.Config { return s.ClientOptions().TLSConfig }

// Restart starts the process again, with what it had stored, and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Server.Restart(ctx); err != nil {
		s.tb.Fatal(err)
	}
}

// Sentinels starts n Sentinels that watch master under a name.
func Sentinels(tb testing.TB, n int, name string, master *Server) *redisserver.Sentinels {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := redisserver.StartSentinels(ctx, n, name, master.Server)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, s.Close)
	return s
}

// Cluster starts a Redis Cluster.
func Cluster(tb testing.TB, masters, replicasPerMaster int, options ...Option) *redisserver.Cluster {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := redisserver.StartCluster(ctx, masters, replicasPerMaster, collect(options))
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, c.Close)
	return c
}
