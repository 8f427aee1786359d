// Package reservation holds books for readers, until they are collected or the hold expires.
package reservation

import (
	"context"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Taken refuses a book that is held for somebody else.
type Taken struct{ Book, Reader string }

func (e *Taken) Error() string { return fmt.Sprintf("%q is held for %s", e.Book, e.Reader) }

// Errors is how it travels.
var Errors = errcodec.New(
	partner.Errors,
	errcodec.Type("library.taken",
		func(enc *msgpack.Encoder, e *Taken) error { return enc.EncodeMulti(e.Book, e.Reader) },
		func(dec *msgpack.Decoder) (*Taken, error) {
			e := new(Taken)
			return e, dec.DecodeMulti(&e.Book, &e.Reader)
		}),
)

// Wish is a reader's for a book.
type Wish struct{ Book, Reader string }

// Reservation is what became of it.
type Reservation struct {
	Wish  Wish
	Desk  string // where the book was collected; empty if it was not
	Until time.Time
}

func (r Reservation) collected() bool { return r.Desk != "" }

// Collected tells a reservation that the reader has the book.
var Collected = flow.NewSignal[string]("collected")

// Library is the services of a library, and what they know.
type Library struct {
	*partner.Partners
	Hold time.Duration     // how long a book waits for its reader
	Held map[string]string // reader by book
	Lent map[string]string
}

func (l *Library) hold(ctx context.Context, w Wish) (time.Time, error) {
	return l.Do(ctx, func() (time.Time, error) {
		if other, held := l.Held[w.Book]; held {
			return time.Time{}, step.Refused(&Taken{Book: w.Book, Reader: other})
		}
		l.Held[w.Book] = w.Reader
		return time.Now().Add(l.Hold).UTC(), nil
	})
}

func (l *Library) free(ctx context.Context, e step.Effect[Wish, time.Time]) error {
	return l.Undo(ctx, e.Known, func() error {
		delete(l.Held, e.In.Book)
		return nil
	})
}

func (l *Library) expire(ctx context.Context, r Reservation) error {
	_, err := l.Do(ctx, func() (bool, error) {
		delete(l.Held, r.Wish.Book)
		return true, nil
	})
	return err
}

func (l *Library) lend(ctx context.Context, r Reservation) error {
	_, err := l.Do(ctx, func() (bool, error) {
		delete(l.Held, r.Wish.Book)
		l.Lent[r.Wish.Book] = r.Wish.Reader
		return true, nil
	})
	return err
}

// giveBack takes a book back that its reader has collected.
func (l *Library) giveBack(ctx context.Context, e step.Effect[Reservation, Reservation]) error {
	return l.Undo(ctx, e.Known, func() error {
		delete(l.Lent, e.In.Wish.Book)
		return nil
	})
}

// Reserve is the saga of a reservation.
func (l *Library) Reserve() flow.Flow[Wish, Reservation] {
	return flow.New[Wish]("reserve").
		Also(step.New("hold", l.hold).Compensate(l.free), func(w Wish, until time.Time) Reservation { return Reservation{Wish: w, Until: until} }).
		WaitFor(Collected, l.Hold, func(r Reservation, desk string) Reservation {
			r.Desk = desk
			return r
		}, step.Do("expire", l.expire).Retriable()).
		When("if-collected", Reservation.collected, step.Do("lend", l.lend).Compensate(l.giveBack).Retriable())
}

// shelf is what a reservation locks: as long as it goes on, nobody else reserves the book.
func shelf(w Wish) []string { return []string{"book/" + w.Book} }

// ReserveNext is Reserve, where a reader who comes second waits until the first reservation is over.
func (l *Library) ReserveNext() flow.Flow[Wish, Reservation] { return l.Reserve().Lock(shelf) }

// ReserveNow is Reserve, where a reader who comes second is refused before anything is stored.
func (l *Library) ReserveNow() flow.Flow[Wish, Reservation] { return l.Reserve().LockOrRefuse(shelf) }
