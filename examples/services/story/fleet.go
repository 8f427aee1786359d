package story

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// Names are the services, in the order in which an order meets them.
var Names = []string{"orders", "stock", "payments", "shipping"}

// fleet is the processes of all services. Its methods may be called concurrently, except for stop.
type fleet struct {
	redis, database, secret string

	mu        sync.Mutex
	processes map[string]*service
}

func newFleet(redis, database, secret string) *fleet {
	return &fleet{redis: redis, database: database, secret: secret, processes: make(map[string]*service)}
}

// url is where a service is, or nothing.
func (f *fleet) url(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.processes[name]; p != nil {
		return p.url
	}
	return ""
}

func (f *fleet) set(name string, p *service) (was *service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was = f.processes[name]
	if f.processes[name] = p; p == nil {
		delete(f.processes, name)
	}
	return was
}

// service is a process.
type service struct {
	command *exec.Cmd
	hold    io.Closer // the process ends when this is closed
	url     string
}

// start starts a service, and returns when it listens. It lives until stop or kill.
func (f *fleet) start(name string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(program, "run", name, "-redis", f.redis, "-db", f.database, "-secret", f.secret, "-until-eof")
	c.Stderr = os.Stderr
	hold, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: it said nothing", name), c.Wait())
	}
	f.set(name, &service{c, hold, "http://" + strings.TrimSpace(addr)})
	return nil
}

// kill ends a process as a power cut does.
func (f *fleet) kill(name string) error {
	p := f.set(name, nil)
	err := p.command.Process.Kill()
	_ = p.command.Wait() // it says that the process was killed
	return err
}

// stop lets all processes finish what they do.
func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.processes {
		_ = p.hold.Close()
	}
	for name, p := range f.processes {
		if err := p.command.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
