// Package history records what processes see of a broker, and checks with Porcupine that one saga after the other can be explained by
// a broker that does one thing at a time.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Op is a call of a broker's method that concerns one saga.
type Op struct {
	Method string // start, commit, receive, lookup
	ID     string // of the saga
	Worker string // who calls, or is to own the saga; a new name for each membership
	Rev    uint64 `json:",omitempty"` // that a commit was made from
	Next   uint8  `json:",omitempty"` // of a commit
}

// Reply is what the method answered.
type Reply struct {
	Err       string `json:",omitempty"` // it failed: nobody knows whether it was done
	Rev       uint64 `json:",omitempty"` // of a commit: the new one; of receive and lookup: the current one
	Owned     bool   `json:",omitempty"`
	Existed   bool   `json:",omitempty"`
	Finished  bool   `json:",omitempty"` // of a lookup
	Takeovers int    `json:",omitempty"` // of receive
}

// line is one line of a log: a call when there is an Op, and a return when there is a Reply.
type line struct {
	N     uint64 // links a return to its call
	At    int64
	Since int64  `json:",omitempty"` // of a receive: when it may have happened at the earliest
	Op    *Op    `json:",omitempty"`
	Reply *Reply `json:",omitempty"`
}

// Log is a file to which one process writes. A process that is killed leaves what it has written, and calls without a return.
type Log struct {
	n    atomic.Uint64
	mu   sync.Mutex
	file *os.File
	err  error // of the first write that failed
}

// Create makes a log. The file must not exist.
func Create(file string) (*Log, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("history: make a log: %w", err)
	}
	return &Log{file: f}, nil
}

// Close closes the file, and tells whether something could not be written.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.err, l.file.Close())
}

// now is the time that all processes of the machine share, in ns.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("history: the machine has no monotonic clock: " + err.Error())
	}
	return t.Nano()
}

// call notes that op begins, and gives its number.
func (l *Log) call(op Op) uint64 {
	n := l.n.Add(1)
	l.write(line{N: n, At: now(), Op: &op})
	return n
}

// back notes what the call of that number answered.
func (l *Log) back(n uint64, r Reply) { l.write(line{N: n, At: now(), Reply: &r}) }

// both notes a call that began at a time and has returned.
func (l *Log) both(since int64, op Op, r Reply) {
	l.write(line{N: l.n.Add(1), At: now(), Since: since, Op: &op, Reply: &r})
}

func (l *Log) write(x line) {
	text, err := json.Marshal(x)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		_, err = l.file.Write(append(text, '\n'))
	}
	if l.err == nil {
		l.err = err
	}
}

// Entry is a call with what came of it.
type Entry struct {
	Op
	Reply
	Call, Return int64
	Open         bool // it has not returned
}

// Read gives the entries of a log, in the order of their calls. What a process wrote last before it was killed may be cut.
func Read(file string) ([]Entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("history: read a log: %w", err)
	}
	defer f.Close()
	var entries []Entry
	open := map[uint64]int{}
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var x line
		if json.Unmarshal(scan.Bytes(), &x) != nil {
			break
		}
		switch {
		case x.Op != nil && x.Reply != nil:
			entries = append(entries, Entry{Op: *x.Op, Reply: *x.Reply, Call: x.Since, Return: x.At})
		case x.Op != nil:
			open[x.N] = len(entries)
			entries = append(entries, Entry{Op: *x.Op, Call: x.At, Open: true})
		case x.Reply != nil:
			e := &entries[open[x.N]]
			e.Reply, e.Return, e.Open = *x.Reply, x.At, false
			delete(open, x.N)
		}
	}
	return entries, scan.Err()
}
