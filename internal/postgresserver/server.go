// Package postgresserver starts real PostgreSQL servers for tests, on free ports of the loopback interface and in directories of their own, and stops them.
// It needs no driver: who connects brings one.
//
// Every server ends with the process that started it. On Linux the kernel sees to that even when the parent is killed; elsewhere only Close does.
package postgresserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// InstallCommand installs PostgreSQL with the package manager of the system.
const InstallCommand = "apt-get install -y postgresql || dnf install -y postgresql-server || apk add postgresql || brew install postgresql"

// ErrMissing says that no PostgreSQL server is installed, and how to get one.
var ErrMissing = errors.New("postgresserver: no initdb and postgres in PATH or in /usr/lib/postgresql; run scripts/postgres, or: " + InstallCommand)

// errTaken says that somebody else listens on the server's port.
var errTaken = errors.New("the port is taken")

// Server is a PostgreSQL server that everybody on this machine may connect to. It does not survive a crash of the machine: nothing is synced.
type Server struct {
	bin, dir string
	port     int
	cmd      *exec.Cmd
	done     chan struct{} // closed when the process has ended
}

// Start starts a server and returns when it is ready. The end of ctx ends the wait, and not the server: Close does that. Without PostgreSQL the error is
// ErrMissing.
func Start(ctx context.Context) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("postgresserver: start: %w", err), s.Close())
	}
	return s, nil
}

// URL names a database of the server: "postgres" is there from the beginning.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Close kills the server and removes its directory. It may be called twice.
func (s *Server) Close() error {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
	}
	if s.dir == "" {
		return nil
	}
	return s.remove()
}

// remove waits until the server's own children, which see that it is gone, no longer write.
func (s *Server) remove() (err error) {
	for range 100 {
		if err = os.RemoveAll(s.dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// programs gives the directory of initdb and postgres, which Debian keeps out of PATH.
func programs() (string, error) {
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(candidates, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append([]string{filepath.Dir(real)}, candidates...)
		}
	}
	for _, dir := range candidates {
		_, noInit := exec.LookPath(filepath.Join(dir, "initdb"))
		_, noServer := exec.LookPath(filepath.Join(dir, "postgres"))
		if noInit == nil && noServer == nil {
			return dir, nil
		}
	}
	return "", ErrMissing
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

func (s *Server) begin(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "postgres-server-"); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir = s.dir
	if err := unprivileged(initdb, s.dir); err != nil {
		return err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	const tries = 10
	for range tries {
		if err = s.run(ctx, data); !errors.Is(err, errTaken) {
			break
		}
	}
	return err
}

func (s *Server) run(ctx context.Context, data string) (err error) {
	if s.port, err = freePort(); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", s.dir,
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	if err := unprivileged(cmd, s.dir); err != nil {
		return err
	}
	out, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, out, out
	started, done := make(chan error), make(chan struct{})
	go supervise(cmd, started, done)
	if err := <-started; err != nil {
		return err
	}
	s.cmd, s.done = cmd, done
	return s.ready(ctx)
}

// supervise runs cmd on a thread of its own until it ends: Linux takes the end of the thread that started a process for the end of its
// parent (golang.org/issue/27505).
func supervise(cmd *exec.Cmd, started chan<- error, done chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
		close(done)
	}
}

// ready waits until the server's log says so.
func (s *Server) ready(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		text, err := os.ReadFile(s.log())
		switch {
		case err != nil:
			return err
		case strings.Contains(string(text), "ready to accept connections"):
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.done:
			if text, _ = os.ReadFile(s.log()); strings.Contains(string(text), "Address already in use") {
				return errTaken
			}
			return fmt.Errorf("the server has ended:\n%s", text)
		case <-ctx.Done():
			return fmt.Errorf("%w, waiting for the server:\n%s", context.Cause(ctx), text)
		}
	}
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// freePort is a port that nobody listens on now. Somebody may by the time the server does.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
