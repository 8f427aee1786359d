package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options say how a server is started. The zero value is a server that keeps nothing on disk.
type Options struct {
	// Dir is where the server keeps its files. By default it is a temporary directory that Close removes; another one must exist and stays.
	Dir string
	// Args are added to the command line, such as "--maxmemory", "100mb".
	Args []string
	// AOF makes the server write every command to disk before it answers, so that Restart finds what was acknowledged.
	AOF bool
	// Password is that of the default user, none by default. Replicas and Sentinels use it too.
	Password string
	// Users are further users, each as in a line "user …" of redis.conf: "app on >secret ~* +@all".
	Users []string
	// TLS makes the server speak TLS only.
	TLS *TLS
}

// Server is a redis-server process. Its methods may be called concurrently.
type Server struct {
	// Addr is host:port, the same for the server's whole life.
	Addr string

	opts     Options
	settings []string // lines of redis.conf beyond those of opts
	sentinel bool
	process  *process
	ownsDir  bool
}

// Start starts a server and returns when it is ready to work. The end of ctx ends the wait, and not the server: Close does that.
// Without a redis-server the error is ErrMissing.
func Start(ctx context.Context, opts Options) (*Server, error) {
	return launch(ctx, &Server{opts: opts})
}

// launch starts s on a free port, and on another if somebody takes that first.
func launch(ctx context.Context, s *Server) (*Server, error) {
	if !Installed() {
		return nil, ErrMissing
	}
	if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("redisserver: make a directory for redis-server: %w", err)
	}
	const tries = 10
	var err error
	for range tries {
		if err = s.configure(); err != nil {
			break
		}
		if err = s.run(ctx); !errors.Is(err, errTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("redisserver: start redis-server: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) makeDir() (err error) {
	s.process = &process{dir: s.opts.Dir}
	if s.opts.Dir == "" {
		s.ownsDir = true
		s.process.dir, err = os.MkdirTemp("", "redis-server-")
	}
	return err
}

// configure chooses a port and writes redis.conf. A file, as Sentinels change their servers' configuration and their own, and as the command
// line of a process can be read by everybody.
func (s *Server) configure() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	lines := []string{
		"bind " + host, fmt.Sprintf("dir %q", s.process.dir), "daemonize no",
	}
	if s.opts.TLS != nil {
		tls, err := s.opts.TLS.settings(s.process.dir, port)
		if err != nil {
			return err
		}
		lines = append(lines, tls...)
	} else {
		lines = append(lines, fmt.Sprintf("port %d", port))
	}
	if !s.sentinel {
		lines = append(lines, s.opts.settings()...)
	}
	lines = append(lines, s.settings...)
	s.Addr = address(port)
	if err := os.RemoveAll(s.process.logFile()); err != nil {
		return err
	}
	file := filepath.Join(s.process.dir, "redis.conf")
	s.process.args = append([]string{file}, s.opts.Args...)
	if s.sentinel {
		s.process.args = append(s.process.args, "--sentinel")
	}
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// settings are the lines of redis.conf for a server that is no Sentinel.
func (o Options) settings() []string {
	lines := []string{`save ""`, "repl-diskless-sync-delay 0", "enable-debug-command yes"}
	if o.AOF {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if o.Password != "" {
		lines = append(lines, fmt.Sprintf("requirepass %q", o.Password), fmt.Sprintf("masterauth %q", o.Password))
	}
	for _, user := range o.Users {
		lines = append(lines, "user "+user)
	}
	return lines
}

// PID is the number of the process, also when it has ended.
func (s *Server) PID() int { return s.process.pid() }

// Running tells whether the process runs; a paused one does.
func (s *Server) Running() bool {
	s.process.mu.Lock()
	defer s.process.mu.Unlock()
	return s.process.running()
}

// Log is the end of what the server has printed, for messages.
func (s *Server) Log() string { return s.process.log() }

// Kill ends the process at once, as kill -9 does, and returns when it is gone. A server that does not run stays so.
func (s *Server) Kill() { s.process.kill() }

// Restart starts the process again, at the same address and with what it had stored, and returns when it is ready to work. A process
// that runs is killed first.
func (s *Server) Restart(ctx context.Context) error {
	s.Kill()
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("redisserver: restart redis-server on %s: %w", s.Addr, err)
	}
	return nil
}

// Pause stops the process in its tracks, as SIGSTOP does: connections stay, and nothing is answered until Resume.
func (s *Server) Pause() error { return s.signal("pause", pause) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.signal("resume", resume) }

func (s *Server) signal(what string, send func(*os.Process) error) error {
	if err := s.process.signal(send); err != nil {
		return fmt.Errorf("redisserver: %s redis-server on %s: %w", what, s.Addr, err)
	}
	return nil
}

// Close kills the process and removes the server's directory, if Start made it. It may be called twice.
func (s *Server) Close() error {
	s.Kill()
	if !s.ownsDir {
		return nil
	}
	return os.RemoveAll(s.process.dir)
}

// ClientOptions are those for a client of this server, with the default user's password and TLS as the server has them.
func (s *Server) ClientOptions() *redis.Options {
	return &redis.Options{
		Addr: s.Addr, Password: s.opts.Password, TLSConfig: s.opts.TLS.Client(),
		DialTimeout: 500 * time.Millisecond, DisableIdentity: true, Protocol: 2,
	}
}
