package redisx

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// seat is a worker's membership in one partition. If a node of a cluster is down, the seats in its partitions end, and what they
// own is lost to others; the worker goes on in the others, and takes its seat again when it can. A worker without any seat is dead.
type seat struct {
	w *worker
	p *partition

	beating alone

	mu     sync.Mutex
	token  string
	taken  bool
	expiry *time.Timer // without a good sign of life until then, the seat takes itself for lost
	failed error       // why the last sign of life was not heard
	heard  time.Time   // when the last one was
	uneven bool        // what the server says it owns differed from what it knows, when it looked last
}

// take joins the partition under a new token.
func (s *seat) take(ctx context.Context, said []byte) error {
	token := s.w.b.node + randomName(workerLength-nodeLength)
	begun := time.Now()
	now, err := s.p.run(ctx, joinScript, token, said, s.w.member.Lease.Milliseconds())
	if err != nil {
		return err
	}
	s.p.clocked(number(now))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.taken, s.uneven = token, true, false
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.expiry = time.AfterFunc(time.Until(begun.Add(s.w.trust())), func() { s.lose(token) })
	s.w.b.enlist(token, s)
	return nil
}

// name gives the token under which the seat is taken.
func (s *seat) name() (token string, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.taken
}

// lose ends the seat that was taken under token: the sagas that it owns belong to others.
func (s *seat) lose(token string) {
	s.mu.Lock()
	lost := s.taken && s.token == token
	if lost {
		s.taken = false
		s.expiry.Stop()
	}
	s.mu.Unlock()
	if !lost {
		return
	}
	s.w.b.strike(token)
	if !s.w.seated() {
		s.w.die(broker.ErrFenced)
		return
	}
	s.w.forfeit(s.p)
}

// mourn ends the seat if err says that it is lost, unless the worker is about to leave. It gives err.
func (s *seat) mourn(token string, err error) error {
	if errors.Is(err, broker.ErrFenced) && s.w.status() == nil {
		s.lose(token)
	}
	return err
}

// errSeat is why a saga is lost of a worker that lives, and whose seat in the saga's partition is lost.
var errSeat = fmt.Errorf("%w: the worker was declared dead in the saga's partition", broker.ErrStale)

// fenced gives what a commit of a lost seat answers.
func (s *seat) fenced() error {
	if s.w.ended.Err() != nil || len(s.w.seats) == 1 {
		return broker.ErrFenced
	}
	return errSeat
}

// beat gives a sign of life, or takes the seat again.
func (s *seat) beat(said []byte) {
	token, taken := s.name()
	if !taken {
		s.beaten(s.take(s.w.b.ctx, said))
		return
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(s.w.b.ctx, s.w.trust())
	defer cancel()
	v, err := s.p.list(ctx, 2, beatScript, token, s.w.member.Lease.Milliseconds())
	if errors.Is(err, broker.ErrFenced) {
		s.mourn(token, err)
	}
	s.beaten(err)
	if err != nil {
		return
	}
	s.p.clocked(number(v[1]))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken && s.token == token {
		s.expiry.Reset(time.Until(begun.Add(s.w.trust())))
		was := s.uneven
		s.uneven = number(v[0]) != int64(s.w.count(s.p))
		if was && s.uneven {
			s.w.inbox.suspect(s.p.number)
		}
	}
}

// beaten notes whether a sign of life was heard.
func (s *seat) beaten(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.heard = time.Now()
	}
	s.failed = err
}

// errSilent is why a sign of life is missed of which nothing is known yet.
var errSilent = errors.New("the server has not answered yet")

// trouble says why signs of life are not heard, or gives nil.
func (s *seat) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	silence := time.Since(s.heard).Round(time.Millisecond)
	err := s.failed
	if err == nil && silence > 3*s.w.pace() {
		err = errSilent
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("no sign of life of worker %q was heard in partition %d for %v: %w", s.w.member.Name, s.p.number, silence, err)
}
