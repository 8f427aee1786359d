// Package coupons is a transaction without a flow: a coupon is redeemed by services that only hear of each other's events. The coupon
// service marks it used, the points service pays, and at the end a message goes to the user's inbox. If anyone fails, the coupon is valid again.
package coupons

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
)

// Redeemed is what a redemption is about.
type Redeemed struct {
	User, Coupon string
	Points       int
}

// Message goes to a user's inbox.
type Message struct{ User, Text string }

// What the services share.
var (
	Redemption = flow.NewOpen[Redeemed]("coupon-redeemed")
	Coupons    = Redemption.Party[string]("coupons")  // with the coupon
	Points     = Redemption.Party[Redeemed]("points") // with what it pays
	Inbox      = flow.NewTopic[Message]("inbox-message").KeyedBy(func(m Message) string { return m.User })

	ErrUsed   = errors.New("coupons: the coupon is used")
	ErrFrozen = errors.New("points: the account is frozen")
	Errors    = errcodec.New(errcodec.Sentinel("coupons.used", ErrUsed), errcodec.Sentinel("points.frozen", ErrFrozen))
)

// World is what the services have stored.
type World struct {
	mu     sync.Mutex
	used   map[string]string // coupon → saga
	points map[string]int
	frozen map[string]bool
	inbox  map[string][]string
	paid   map[string]bool // sagas
	read   map[string]bool // keys of deliveries
}

// NewWorld makes one in which nothing has happened.
func NewWorld(frozen ...string) *World {
	w := &World{
		used: map[string]string{}, points: map[string]int{}, frozen: map[string]bool{}, inbox: map[string][]string{}, paid: map[string]bool{}, read: map[string]bool{},
	}
	for _, user := range frozen {
		w.frozen[user] = true
	}
	return w
}

// do changes the world.
func (w *World) do(change func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return change()
}

// CouponService joins every redemption, and marks the coupon used.
func (w *World) CouponService(e *flow.Engine) {
	Redemption.OnStart(e, Coupons.Name(), func(ctx context.Context, r Redeemed) error {
		saga := flow.DeliveryFrom(ctx).Saga
		if err := Coupons.Join(ctx, e, saga, r.Coupon); err != nil { // before it acts: from now on it is told how this ends
			return err
		}
		if err := w.use(r.Coupon, saga); err != nil {
			return err
		}
		return Coupons.Done(ctx, e, saga)
	})
	Coupons.OnRollback(e, func(ctx context.Context, coupon string, _ error) error {
		return w.do(func() error {
			if w.used[coupon] == flow.DeliveryFrom(ctx).Saga {
				delete(w.used, coupon)
			}
			return nil
		})
	})
}

// use marks a coupon used by a saga, once.
func (w *World) use(coupon, saga string) error {
	return w.do(func() error {
		if by := w.used[coupon]; by != "" && by != saga {
			return ErrUsed
		}
		w.used[coupon] = saga
		return nil
	})
}

// PointsService joins every redemption, pays when the coupon is used, and commits.
func (w *World) PointsService(e *flow.Engine) {
	Redemption.OnStart(e, Points.Name(), func(ctx context.Context, r Redeemed) error {
		return Points.Join(ctx, e, flow.DeliveryFrom(ctx).Saga, r)
	})
	Coupons.OnDone(e, Points.Name(), func(ctx context.Context, coupon string) error {
		saga := flow.DeliveryFrom(ctx).Saga
		s, err := Redemption.Status(ctx, e, saga)
		if err != nil {
			return err
		}
		if err := w.pay(saga, s.In); err != nil {
			return err
		}
		return Redemption.Commit(ctx, e, saga)
	})
	Points.OnRollback(e, func(ctx context.Context, r Redeemed, _ error) error {
		return w.do(func() error {
			if saga := flow.DeliveryFrom(ctx).Saga; w.paid[saga] {
				delete(w.paid, saga)
				w.points[r.User] -= r.Points
			}
			return nil
		})
	})
}

// pay gives points, once for each saga.
func (w *World) pay(saga string, r Redeemed) error {
	return w.do(func() error {
		switch {
		case w.frozen[r.User]:
			return ErrFrozen
		case w.paid[saga]:
			return nil
		}
		w.paid[saga] = true
		w.points[r.User] += r.Points
		return nil
	})
}

// Desk hears how redemptions end, and tells the user.
func (w *World) Desk(e *flow.Engine) {
	Redemption.OnEnd(e, "desk", func(ctx context.Context, s flow.OpenSaga[Redeemed]) error {
		text := s.In.Coupon + " is redeemed"
		if s.Cause != nil {
			text = s.In.Coupon + " is not redeemed: " + s.Cause.Error()
		}
		return Inbox.Publish(ctx, e, Message{User: s.In.User, Text: text}, flow.Once())
	})
}

// InboxService stores messages: their flow ends here.
func (w *World) InboxService(e *flow.Engine) {
	Inbox.On(e, "inbox", func(ctx context.Context, m Message) error {
		return w.do(func() error {
			if key := flow.DeliveryFrom(ctx).Key(); !w.read[key] {
				w.read[key] = true
				w.inbox[m.User] = append(w.inbox[m.User], m.Text)
			}
			return nil
		})
	})
}

// Valid tells whether a coupon can be used.
func (w *World) Valid(coupon string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used[coupon] == ""
}

// Balances are the users' points.
func (w *World) Balances() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.points)
}

// Messages are what a user was told.
func (w *World) Messages(user string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.inbox[user]...)
}
