// Package story lets customers order from a shop of four services, and services die meanwhile.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/skald-go/skald/examples/services/orders"
	"github.com/skald-go/skald/examples/services/payments"
	"github.com/skald-go/skald/internal/redisserver"
)

// Tell starts a Redis and all services, tells what customers live through, and checks the books of all services. where is a directory for
// SQLite, the URL of a PostgreSQL database, or "" for a temporary directory.
func Tell(ctx context.Context, out io.Writer, where string) (err error) {
	if where == "" {
		where, err = os.MkdirTemp("", "skald-services-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(where)) }()
	}
	server, err := redisserver.Start(ctx, redisserver.Options{Args: []string{"--appendonly", "yes"}})
	if err != nil {
		return err
	}
	defer server.Close()
	s := &story{out: out, fleet: newFleet(server.Addr, where, uuid.NewString())}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, name := range Names {
		if err := s.start(name); err != nil {
			return err
		}
	}
	return s.tell(ctx)
}

// story is told while it happens.
type story struct {
	*fleet
	out io.Writer
	run string // begins the numbers of its orders: a database may have those of an earlier one
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *story) tell(ctx context.Context) error {
	s.run = uuid.NewString()[:8]
	before, err := s.ledger(ctx)
	if err != nil {
		return err
	}
	s.say("Four processes, a database each, one Redis: %v", Names)
	scenes := []scene{
		{title: "Ada orders two lamps", by: "ada", count: 2, status: http.StatusOK},
		{title: "Ada orders more lamps than there are: stock refuses", by: "ada", count: 100_000, status: http.StatusConflict},
		{title: "Bob orders a lamp and has 9.99: payments refuses, stock takes it back", by: "bob", count: 1, status: http.StatusPaymentRequired},
		{title: "Ada's token has expired: payments refuses, and the real reason comes back", by: "ada", valid: -time.Hour, count: 1, status: http.StatusUnauthorized},
		{title: "Ada orders to the moon: shipping refuses, money and lamp go back", by: "ada", count: 1, to: "the moon, crater 7", status: http.StatusUnprocessableEntity},
	}
	for k, scene := range scenes {
		if err := s.play(ctx, fmt.Sprintf("%s-%d", s.run, k+1), scene); err != nil {
			return err
		}
	}
	confirmed, err := s.crowd(ctx)
	if err != nil {
		return err
	}
	return s.audit(ctx, before, confirmed+1)
}

// audit compares what the services say.
func (s *story) audit(ctx context.Context, before ledger, confirmed int64) error {
	after, err := s.ledger(ctx)
	if err != nil {
		return err
	}
	if err := after.check(before, confirmed); err != nil {
		return err
	}
	s.say("\nThe books of all four agree: %d orders confirmed, paid, reserved and sent once each; nothing else was charged, reserved or sent.", confirmed)
	return nil
}

// scene is one order.
type scene struct {
	title, by string
	valid     time.Duration // of the token; an hour by default
	count     int
	to        string
	status    int // what has to come back
}

func (s *story) play(ctx context.Context, number string, c scene) error {
	a, err := s.order(ctx, number, c)
	if err != nil {
		return fmt.Errorf("%s: %w", c.title, err)
	}
	s.say("\n%s\n    %d %s, in %v", c.title, a.status, http.StatusText(a.status), a.took.Round(time.Millisecond))
	if why := a.header.Get("WWW-Authenticate"); why != "" {
		s.say("    WWW-Authenticate: %s", why)
	} else {
		s.say("    %s", a.text)
	}
	if a.status != c.status {
		return fmt.Errorf("%s: the answer was %d, not %d: %s", c.title, a.status, c.status, a.text)
	}
	return nil
}

func (s *story) order(ctx context.Context, number string, c scene) (answer, error) {
	valid, to := c.valid, c.to
	if valid == 0 {
		valid = time.Hour
	}
	if to == "" {
		to = "1 Harbour Road"
	}
	token, err := payments.Token(s.secret, c.by, valid)
	if err != nil {
		return answer{}, err
	}
	return s.place(ctx, number, token, orders.Request{Item: "lamp", Count: c.count, Address: to})
}
