// Package redistest starts real redis-server processes for tests, on free ports of the loopback interface and in temporary
// directories, and stops them.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Install is the command to run where there is no redis-server.
const Install = "apt-get install -y redis-server || dnf install -y redis || apk add redis || brew install redis"

// Server is a redis-server process.
type Server struct {
	Addr string

	tb   testing.TB
	args []string
	mu   sync.Mutex
	cmd  *exec.Cmd
}

// Option is an argument of redis-server, such as "--appendonly", "yes".
type Option []string

// AOF makes the server write every command to disk before it answers.
var AOF = Option{"--appendonly", "yes", "--appendfsync", "always"}

// Start starts a server that stores nothing on disk unless an option says so, and stops it when the test ends. It fails the test
// if there is no redis-server.
func Start(tb testing.TB, options ...Option) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Fatalf("redistest: no redis-server is installed: %v\nrun: %s", err, Install)
	}
	dir := tb.TempDir()
	port := freePort(tb)
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), tb: tb}
	s.args = []string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--logfile", filepath.Join(dir, "log"),
		"--save", "", "--daemonize", "no", "--enable-debug-command", "yes",
	}
	for _, o := range options {
		s.args = append(s.args, o...)
	}
	tb.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Client makes a client of the server, which is closed when the test ends.
func (s *Server) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: s.Addr, DisableIdentity: true, Protocol: 2, DialTimeout: 500 * time.Millisecond})
	s.tb.Cleanup(func() { client.Close() })
	return client
}

// Kill ends the process at once, as kill -9 does. A server that does not run stays so.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Restart starts the process that Kill ended, with what it had stored, and waits until it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatalf("redistest: start redis-server: %v", err)
	}
	if err := s.answers(10 * time.Second); err != nil {
		s.tb.Fatalf("redistest: redis-server on %s does not answer: %v", s.Addr, err)
	}
}

// answers waits until the server is ready to work.
func (s *Server) answers(patience time.Duration) error {
	client := redis.NewClient(&redis.Options{Addr: s.Addr, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited %v", patience), err)
		}
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("redistest: find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
