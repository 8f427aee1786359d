package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
)

// Redemption is an open saga: the coupon service and the points service carry it, and know nothing of each other.
var (
	Redemption = flow.NewOpen[CouponRedeemed]("redemption")
	Coupons    = Redemption.Party[string]("coupons") // joins with the coupon's name
	Points     = Redemption.Party[int]("points")     // joins with how many points it gives
)

var errFrozen = errors.New("points: the account is frozen")

// couponService remembers which coupons were used.
type couponService struct {
	mu   sync.Mutex
	used map[string]bool
}

func (s *couponService) set(coupon string, used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[coupon] = used
}

func (s *couponService) valid(coupon string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.used[coupon]
}

// listen joins each redemption, and makes the coupon valid again if it is rolled back.
func (s *couponService) listen(e *flow.Engine) {
	Redemption.OnStart(e, Coupons.Name(), func(ctx context.Context, c CouponRedeemed) error {
		if err := Coupons.Join(ctx, e, flow.DeliveryFrom(ctx).Saga, c.Coupon); err != nil {
			return err
		}
		s.set(c.Coupon, true)
		return Coupons.Done(ctx, e, flow.DeliveryFrom(ctx).Saga)
	})
	Coupons.OnRollback(e, func(_ context.Context, coupon string, cause error) error {
		s.set(coupon, false)
		return nil
	})
}

// redeeming runs an engine with the coupon service, and more listeners. ended gets every redemption that has ended.
func redeeming(more func(*flow.Engine)) (e *flow.Engine, coupons *couponService, ended chan flow.OpenSaga[CouponRedeemed], stop func()) {
	e = flow.NewEngine(inmem.New(), flow.Options{
		Errors: errcodec.New(errcodec.Sentinel("points.frozen", errFrozen)), Logger: slog.New(slog.DiscardHandler),
	})
	coupons = &couponService{used: map[string]bool{}}
	coupons.listen(e)
	ended = make(chan flow.OpenSaga[CouponRedeemed], 1)
	Redemption.OnEnd(e, "desk", func(_ context.Context, s flow.OpenSaga[CouponRedeemed]) error {
		ended <- s
		return nil
	})
	more(e)
	ctx, cancel := context.WithCancel(context.Background())
	go e.Run(ctx)
	return e, coupons, ended, cancel
}

// commits is the last service, which commits when the coupon is used.
func commits(e *flow.Engine) {
	Coupons.OnDone(e, "points", func(ctx context.Context, coupon string) error {
		return Redemption.Commit(ctx, e, flow.DeliveryFrom(ctx).Saga)
	})
}

// The points service fails: the redemption is rolled back with its error, and the coupon is valid again.
func ExampleOpen() {
	engine, coupons, ended, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnDone(e, "points", func(context.Context, string) error { return errFrozen })
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	s := <-ended
	fmt.Println(s.In.User, s.State, errors.Is(s.Cause, errFrozen), coupons.valid("SUMMER"))
	// Output: ada undone true true
}

func ExampleOpen_Start() {
	engine, _, ended, stop := redeeming(commits)
	defer stop()
	id, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.ID("redemption-1"))
	sure(err)
	s := <-ended
	fmt.Println(id, s.ID, s.State)
	// Output: redemption-1 redemption-1 done
}

// Whoever decides first, wins.
func ExampleOpen_Commit() {
	engine, coupons, ended, stop := redeeming(commits)
	defer stop()
	id, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println((<-ended).State, coupons.valid("SUMMER"))
	err = Redemption.Rollback(context.Background(), engine, id, errors.New("changed my mind"))
	fmt.Println(errors.Is(err, flow.ErrSettled))
	// Output:
	// done false
	// true
}

func ExampleOpen_Rollback() {
	joined := make(chan string, 1)
	engine, coupons, ended, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnDone(e, "desk-hears", func(_ context.Context, coupon string) error {
			joined <- coupon
			return nil
		})
	})
	defer stop()
	id, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	<-joined
	sure(Redemption.Rollback(context.Background(), engine, id, errors.New("the user went away")))
	s := <-ended
	fmt.Println(s.State, s.Parties, s.Cause, coupons.valid("SUMMER"))
	// Output: undone [coupons] the user went away true
}

func ExampleOpen_Status() {
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	ctx := context.Background()
	id, err := Redemption.Start(ctx, engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	sure(Points.Join(ctx, engine, id, 500))
	s, err := Redemption.Status(ctx, engine, id)
	fmt.Println(s.In.Coupon, s.State, s.Parties, err)
	// Output: SUMMER running [points] <nil>
}

// A listener of its own group: it hears of starts, and is no party.
func ExampleOpen_OnStart() {
	seen := make(chan string, 1)
	engine, _, _, stop := redeeming(func(e *flow.Engine) {
		Redemption.OnStart(e, "audit", func(ctx context.Context, c CouponRedeemed) error {
			seen <- c.User + " redeems " + c.Coupon
			return nil
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(<-seen)
	// Output: ada redeems SUMMER
}

// The terminal listener writes to the user's inbox: the flow ends there.
func ExampleOpen_OnEnd() {
	inbox := make(chan string, 1)
	engine, _, _, stop := redeeming(func(e *flow.Engine) {
		commits(e)
		Redemption.OnEnd(e, "inbox", func(_ context.Context, s flow.OpenSaga[CouponRedeemed]) error {
			inbox <- fmt.Sprintf("to %s: %s is %v", s.In.User, s.In.Coupon, s.State)
			return nil
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(<-inbox)
	// Output: to ada: SUMMER is done
}

func ExampleOpen_Party() {
	hotel := Redemption.Party[string]("hotel")
	fmt.Println(hotel.Name())
	// Output: hotel
}

func ExampleParty_Join() {
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	ctx := context.Background()
	id, err := Redemption.Start(ctx, engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(Points.Join(ctx, engine, id, 500), Points.Join(ctx, engine, id, 500))
	fmt.Println(errors.Is(Points.Join(ctx, engine, id, 700), flow.ErrConflict))
	// Output:
	// <nil> <nil>
	// true
}

// A party joins, acts, and says that it is done.
func ExampleParty_Done() {
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	ctx := context.Background()
	id, err := Redemption.Start(ctx, engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(errors.Is(Points.Done(ctx, engine, id), flow.ErrUnknown), "it has not joined")
	sure(Points.Join(ctx, engine, id, 500))
	fmt.Println(Points.Done(ctx, engine, id), Points.Done(ctx, engine, id))
	sure(Redemption.Rollback(ctx, engine, id, errors.New("no")))
	sure(Points.Done(ctx, engine, id)) // it was said before
	fmt.Println(errors.Is(Coupons.Join(ctx, engine, id, "SUMMER"), flow.ErrSettled))
	// Output:
	// true it has not joined
	// <nil> <nil>
	// true
}

// What comes next, when a party has done its part.
func ExampleParty_OnDone() {
	engine, coupons, ended, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnDone(e, "shop", func(ctx context.Context, coupon string) error {
			return Redemption.Commit(ctx, e, flow.DeliveryFrom(ctx).Saga)
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println((<-ended).State, coupons.valid("SUMMER"))
	// Output: done false
}

// Who has joined a saga.
func ExampleParty_OnJoin() {
	next := make(chan string, 1)
	engine, _, _, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnJoin(e, "next", func(_ context.Context, coupon string) error {
			next <- "somebody joined with " + coupon
			return nil
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(<-next)
	// Output: somebody joined with SUMMER
}

func ExampleParty_OnCommit() {
	given := make(chan int, 1)
	engine, _, _, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnDone(e, Points.Name(), func(ctx context.Context, _ string) error {
			id := flow.DeliveryFrom(ctx).Saga
			return errors.Join(Points.Join(ctx, e, id, 500), Redemption.Commit(ctx, e, id))
		})
		Points.OnCommit(e, func(_ context.Context, points int) error {
			given <- points
			return nil
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(<-given, "points")
	// Output: 500 points
}

func ExampleParty_OnRollback() {
	undone := make(chan string, 1)
	engine, _, _, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnJoin(e, Points.Name(), func(ctx context.Context, _ string) error {
			return errors.Join(Points.Join(ctx, e, flow.DeliveryFrom(ctx).Saga, 500), errFrozen)
		})
		Points.OnRollback(e, func(_ context.Context, points int, cause error) error {
			undone <- fmt.Sprint(points, " points are taken back: ", errors.Is(cause, errFrozen))
			return nil
		})
	})
	defer stop()
	_, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	fmt.Println(<-undone)
	// Output: 500 points are taken back: true
}

// A statistic that cannot be written is no reason to take a coupon back.
func ExampleNoRollbackFor() {
	errFull := errors.New("statistics: the disk is full")
	failed := make(chan bool, 1)
	engine, coupons, _, stop := redeeming(func(e *flow.Engine) {
		Coupons.OnDone(e, "statistics", func(ctx context.Context, _ string) error {
			if flow.DeliveryFrom(ctx).Attempt == 1 {
				return errFull
			}
			failed <- true
			return nil
		}, flow.NoRollbackFor(errFull))
	})
	defer stop()
	id, err := Redemption.Start(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"})
	sure(err)
	<-failed
	s, err := Redemption.Status(context.Background(), engine, id)
	fmt.Println(s.State, coupons.valid("SUMMER"), err)
	// Output: running false <nil>
}
