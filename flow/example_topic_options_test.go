package flow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// redemptions is the topic of the examples.
var redemptions = flow.NewTopic[CouponRedeemed]("coupon-redeemed")

// listen runs an engine that hands what its group "inbox" hears to the example.
func listen(tell func(context.Context, CouponRedeemed) string, opts ...flow.ListenOption) (e *flow.Engine, heard chan string, stop func()) {
	e = flow.NewEngine(inmem.New(), flow.Options{})
	heard = make(chan string, 10)
	redemptions.On(e, "inbox", func(ctx context.Context, c CouponRedeemed) error {
		heard <- tell(ctx, c)
		return nil
	}, opts...)
	ctx, cancel := context.WithCancel(context.Background())
	go e.Run(ctx)
	return e, heard, cancel
}

func userOf(_ context.Context, c CouponRedeemed) string { return c.User }

// sure ends an example that cannot go on.
func sure(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleTopic_Publish() {
	engine, heard, stop := listen(userOf)
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}))
	fmt.Println(<-heard)
	// Output: ada
}

// Events of one user are handled one after the other, those of different users side by side.
func ExampleTopic_KeyedBy() {
	byUser := redemptions.KeyedBy(func(c CouponRedeemed) string { return c.User })
	engine, heard, stop := listen(func(_ context.Context, c CouponRedeemed) string { return c.Coupon })
	defer stop()
	for _, coupon := range []string{"SPRING", "SUMMER", "AUTUMN"} {
		sure(byUser.Publish(context.Background(), engine, CouponRedeemed{"ada", coupon}))
	}
	fmt.Println(<-heard, <-heard, <-heard)
	// Output: SPRING SUMMER AUTUMN
}

// A publisher that does not know whether its event was stored publishes it again under the same ID.
func ExampleEventID() {
	engine, heard, stop := listen(userOf)
	defer stop()
	for range 3 {
		sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("redemption-1")))
	}
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"bob", "SUMMER"}))
	first, second := <-heard, <-heard
	fmt.Println(min(first, second), max(first, second))
	// Output: ada bob
}

// A step that publishes, among other things, tells it once however often it is attempted.
func ExampleOnce() {
	engine, heard, stop := listen(userOf)
	defer stop()
	redeem := func(ctx context.Context, c CouponRedeemed) error {
		return redemptions.Publish(ctx, engine, c, flow.Once())
	}
	ctx := step.WithInfo(context.Background(), step.Info{Namespace: "shop", Saga: "r-1", Path: "redeem"})
	sure(redeem(ctx, CouponRedeemed{"ada", "SUMMER"}))
	sure(redeem(ctx, CouponRedeemed{"ada", "SUMMER"}))
	fmt.Println(<-heard, len(heard))
	// Output: ada 0
}

func ExampleOrderKey() {
	engine, heard, stop := listen(userOf)
	defer stop()
	for _, name := range []string{"ada", "bob"} {
		sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{name, "SUMMER"}, flow.OrderKey("SUMMER")))
	}
	fmt.Println(<-heard, <-heard)
	// Output: ada bob
}

func ExampleEventHeaders() {
	engine, heard, stop := listen(func(ctx context.Context, c CouponRedeemed) string {
		return c.User + " " + flow.DeliveryFrom(ctx).Headers.Get("trace")
	})
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventHeaders(flow.Headers{"trace": "t-1"})))
	fmt.Println(<-heard)
	// Output: ada t-1
}

func ExampleDeliveryFrom() {
	engine, heard, stop := listen(func(ctx context.Context, _ CouponRedeemed) string {
		d := flow.DeliveryFrom(ctx)
		return fmt.Sprintf("%s of %s for %s, attempt %d", d.EventID, d.Topic, d.Group, d.Attempt)
	})
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("r-1")))
	fmt.Println(<-heard)
	// Output: r-1 of coupon-redeemed for inbox, attempt 1
}

// A handler gives the key to whom it calls, who can tell a repeat by it.
func ExampleDelivery_Key() {
	engine, heard, stop := listen(func(ctx context.Context, _ CouponRedeemed) string { return flow.DeliveryFrom(ctx).Key() })
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("r-1")))
	fmt.Println(<-heard)
	// Output: skald/r-1/~on/coupon-redeemed/inbox/do
}

func ExampleDelivery_SagaID() {
	engine, heard, stop := listen(func(ctx context.Context, _ CouponRedeemed) string { return flow.DeliveryFrom(ctx).SagaID() })
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("r-1")))
	fmt.Println(<-heard)
	// Output: coupon-redeemed:inbox:r-1
}

// Three attempts, a second apart at first; then a person decides.
func ExampleRedeliver() {
	attempts := make(chan int, 1)
	engine := flow.NewEngine(inmem.New(), flow.Options{
		OnDeadEvent: func(_ context.Context, d flow.DeadEvent) { attempts <- d.Attempts },
	})
	redemptions.On(engine, "inbox", func(context.Context, CouponRedeemed) error { return errors.New("inbox: full") },
		flow.Redeliver(step.Retry{Attempts: 3, Delay: time.Millisecond}))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)
	sure(redemptions.Publish(ctx, engine, CouponRedeemed{"ada", "SUMMER"}))
	fmt.Println(<-attempts)
	// Output: 3
}

func ExampleHandlerTimeout() {
	engine, heard, stop := listen(func(ctx context.Context, _ CouponRedeemed) string {
		due, _ := ctx.Deadline()
		return fmt.Sprint(time.Until(due) <= time.Second)
	}, flow.HandlerTimeout(time.Second))
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}))
	fmt.Println(<-heard)
	// Output: true
}

// One event at a time, in this engine: for a participant that can bear no more.
func ExampleAtOnce() {
	engine, heard, stop := listen(userOf, flow.AtOnce(1))
	defer stop()
	for _, name := range []string{"ada", "bob", "cleo"} {
		sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{name, "SUMMER"}))
	}
	fmt.Println(<-heard, <-heard, <-heard)
	// Output: ada bob cleo
}

// A group that cares for what comes, not for what was.
func ExampleFromNow() {
	broker := inmem.New()
	shop := flow.NewEngine(broker, flow.Options{})
	sure(redemptions.Publish(context.Background(), shop, CouponRedeemed{"ada", "SUMMER"}))
	for _, opts := range [][]flow.ListenOption{nil, {flow.FromNow()}} {
		group := fmt.Sprint("group-", len(opts))
		engine := flow.NewEngine(broker, flow.Options{})
		redemptions.On(engine, group, func(context.Context, CouponRedeemed) error { return errors.New("later") }, opts...)
		ctx, cancel := context.WithCancel(context.Background())
		go engine.Run(ctx)
		for len(groups(engine)) == len(opts) {
			time.Sleep(time.Millisecond)
		}
		defer cancel()
	}
	for _, g := range groups(shop) {
		fmt.Println(g.Group, g.Lag)
	}
	// Output:
	// group-0 1
	// group-1 0
}

func groups(e *flow.Engine) []flow.GroupStatus {
	all, err := e.Groups(context.Background(), "coupon-redeemed")
	sure(err)
	return all
}

// How far groups are: what a dashboard shows, and an alert watches.
func ExampleEngine_Groups() {
	engine, heard, stop := listen(userOf)
	defer stop()
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}))
	<-heard
	for groups(engine)[0].Lag > 0 {
		time.Sleep(time.Millisecond) // what the handler returned is being stored
	}
	for _, g := range groups(engine) {
		fmt.Println(g.Group, "lag", g.Lag, "dead", g.Dead, "lost", g.Lost)
	}
	// Output: inbox lag 0 dead 0 lost 0
}

// died gives an engine whose group "inbox" could not handle an event, which it will if it comes again.
func died() (e *flow.Engine, d flow.DeadEvent, heard chan string, stop func()) {
	dead, broken := make(chan flow.DeadEvent, 1), true
	e = flow.NewEngine(inmem.New(), flow.Options{OnDeadEvent: func(_ context.Context, d flow.DeadEvent) { dead <- d }})
	heard = make(chan string, 1)
	redemptions.On(e, "inbox", func(_ context.Context, c CouponRedeemed) error {
		if broken {
			broken = false
			return step.Permanent(errors.New("inbox: broken"))
		}
		heard <- c.User
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	go e.Run(ctx)
	sure(redemptions.Publish(ctx, e, CouponRedeemed{"ada", "SUMMER"}))
	<-dead
	for d, err := range e.DeadEvents(ctx, "coupon-redeemed", "inbox") {
		sure(err)
		return e, d, heard, cancel
	}
	panic("there is no dead event")
}

func ExampleEngine_Redeliver() {
	engine, dead, heard, stop := died()
	defer stop()
	sure(engine.Redeliver(context.Background(), dead, flow.By{Who: "eva", Why: "the inbox is mended"}))
	fmt.Println(<-heard)
	// Output: ada
}

func ExampleEngine_DropEvent() {
	engine, dead, _, stop := died()
	defer stop()
	by := flow.By{Who: "eva", Why: "nobody needs it"}
	fmt.Println(engine.DropEvent(context.Background(), dead, by))
	fmt.Println(errors.Is(engine.DropEvent(context.Background(), dead, by), flow.ErrNoEvent))
	// Output:
	// <nil>
	// true
}

func ExampleTopic_Read() {
	engine, dead, _, stop := died()
	defer stop()
	event, err := redemptions.Read(engine, dead)
	fmt.Println(event.User, err)
	// Output: ada <nil>
}

// A group whose code is gone: as long as the broker knows it, it keeps events for it.
func ExampleEngine_ForgetGroup() {
	engine, _, stop := listen(userOf)
	sure(redemptions.Publish(context.Background(), engine, CouponRedeemed{"ada", "SUMMER"}))
	for len(groups(engine)) == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(errors.Is(engine.ForgetGroup(context.Background(), "coupon-redeemed", "inbox"), flow.ErrListening))
	stop()
	for len(groups(engine)[0].Readers) > 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(engine.ForgetGroup(context.Background(), "coupon-redeemed", "inbox"))
	// Output:
	// true
	// <nil>
}
