// Package bookshop is the saga of the testing guide, docs/testing.md: a book is reserved, paid, and a day later shipped. Its participants are
// fakes in memory; what matters here are the tests.
package bookshop

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Why an order is refused.
var (
	ErrSoldOut  = errors.New("stock: sold out")
	ErrDeclined = errors.New("bank: card declined")
)

// Errors are those that callers of an order tell apart.
var Errors = errcodec.New(errcodec.Sentinel("stock.sold-out", ErrSoldOut), errcodec.Sentinel("bank.declined", ErrDeclined))

// Request is what a saga starts with.
type Request struct {
	Book, Customer string
	Cents          int
}

// Shop has books, and its customers' money. What a saga holds or has paid is kept under the saga's ID.
type Shop struct {
	mu      sync.Mutex
	stock   map[string]int
	money   map[string]int
	held    map[string]string
	paid    map[string]int
	shipped map[string]string
}

// New is a shop with one book and two customers.
func New() *Shop {
	return &Shop{
		stock: map[string]int{"Dune": 1}, money: map[string]int{"ada": 5000, "bob": 10},
		held: map[string]string{}, paid: map[string]int{}, shipped: map[string]string{},
	}
}

// Order is the saga.
func (s *Shop) Order() flow.Flow[Request, Request] {
	return flow.New[Request]("order").
		Then(step.Do("reserve", s.reserve).Compensate(s.release)).
		Then(step.Do("charge", s.charge).Compensate(s.refund).Refuses(ErrDeclined)).
		Delay("cooling-off", func(Request) time.Duration { return 24 * time.Hour }).
		Then(step.Do("ship", s.ship).Pivot())
}

func (s *Shop) reserve(ctx context.Context, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	saga := step.InfoFrom(ctx).Saga
	if s.held[saga] != "" {
		return nil // a repeat
	}
	if s.stock[r.Book] == 0 {
		return step.Refused(ErrSoldOut)
	}
	s.stock[r.Book]--
	s.held[saga] = r.Book
	return nil
}

func (s *Shop) release(ctx context.Context, _ step.Effect[Request, Request]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	saga := step.InfoFrom(ctx).Saga
	if book := s.held[saga]; book != "" {
		s.stock[book]++
		delete(s.held, saga)
	}
	return nil
}

func (s *Shop) charge(ctx context.Context, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	saga := step.InfoFrom(ctx).Saga
	switch {
	case s.paid[saga] > 0:
		return nil // a repeat
	case s.money[r.Customer] < r.Cents:
		return ErrDeclined
	}
	s.money[r.Customer] -= r.Cents
	s.paid[saga] = r.Cents
	return nil
}

func (s *Shop) refund(ctx context.Context, e step.Effect[Request, Request]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	saga := step.InfoFrom(ctx).Saga
	s.money[e.In.Customer] += s.paid[saga]
	delete(s.paid, saga)
	return nil
}

func (s *Shop) ship(ctx context.Context, r Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	saga := step.InfoFrom(ctx).Saga
	s.shipped[saga] = r.Book
	delete(s.held, saga)
	return nil
}

// Money is all money that there is.
func (s *Shop) Money() (sum int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, some := range []map[string]int{s.money, s.paid} {
		for _, cents := range some {
			sum += cents
		}
	}
	return sum
}

// Held are the sagas that hold a book.
func (s *Shop) Held() (sagas []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for saga := range s.held {
		sagas = append(sagas, saga)
	}
	return sagas
}

// Books are what a saga that is undone leaves as it was.
func (s *Shop) Books() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []any{maps.Clone(s.stock), maps.Clone(s.money), maps.Clone(s.held), maps.Clone(s.paid), maps.Clone(s.shipped)}
}
