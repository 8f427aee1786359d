package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// berth is a place for one worker process after the other. Its methods may be called by one fault at a time: lock it.
type berth struct {
	sync.Mutex
	number int
	dir    string
	role   role              // of the next process, but for Name and Log
	gone   func(name string) // what to do when a process has ended

	born    int
	process *exec.Cmd
	out     *os.File
	exited  chan error
	name    string
}

// launch starts a process.
func (b *berth) launch() error {
	b.born++
	b.name = fmt.Sprintf("w%d-%d", b.number, b.born)
	b.role.Name, b.role.Log = b.name, filepath.Join(b.dir, b.name+".history")
	text, err := json.Marshal(b.role)
	if err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(b.dir, b.name+".log"))
	if err != nil {
		return fmt.Errorf("start worker %s: %w", b.name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start worker %s: %w", b.name, err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own: should the parent die, the system ends and continues it, also when it is stopped.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start worker %s: %w", b.name, err), out.Close())
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	b.process, b.out, b.exited = cmd, out, exited
	return nil
}

// kill ends the process at once.
func (b *berth) kill() {
	b.process.Process.Kill()
	<-b.exited
	b.buried()
}

// drain tells the process to end and waits for that.
func (b *berth) drain(patience time.Duration) error {
	if err := b.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("tell worker %s to end: %w", b.name, err)
	}
	select {
	case err := <-b.exited:
		b.buried()
		if err != nil && !terminated(err) {
			return fmt.Errorf("worker %s ended with %w: see %s", b.name, err, b.out.Name())
		}
		return nil
	case <-time.After(patience):
		b.process.Process.Signal(syscall.SIGQUIT) // for its stacks
		<-b.exited
		b.buried()
		return fmt.Errorf("worker %s has not ended within %v: see its stacks in %s", b.name, patience, b.out.Name())
	}
}

// terminated says that a process ended by SIGTERM: it was so young that it did not yet listen to signals.
func terminated(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

func (b *berth) buried() {
	b.out.Close()
	b.process = nil
	b.gone(b.name)
}

// stop freezes the process, and resume lets it go on.
func (b *berth) stop() error   { return b.process.Process.Signal(syscall.SIGSTOP) }
func (b *berth) resume() error { return b.process.Process.Signal(syscall.SIGCONT) }

// died tells whether the process has ended by itself, and how.
func (b *berth) died() (error, bool) {
	select {
	case err := <-b.exited:
		b.buried()
		return err, true
	default:
		return nil, false
	}
}
