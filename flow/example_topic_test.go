package flow_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// CouponRedeemed is an event that several services want to hear of.
type CouponRedeemed struct {
	User, Coupon string
}

// Two groups hear of one event; each handles it once, by whichever engine of the group is free.
func ExampleTopic() {
	redeemed := flow.NewTopic[CouponRedeemed]("coupon-redeemed").KeyedBy(func(c CouponRedeemed) string { return c.User })
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	var done = make(chan string, 2)
	redeemed.On(engine, "inbox", func(ctx context.Context, c CouponRedeemed) error {
		done <- "a message for " + c.User
		return nil
	})
	redeemed.On(engine, "statistics", func(ctx context.Context, c CouponRedeemed) error {
		done <- "one more of " + c.Coupon
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	if err := redeemed.Publish(ctx, engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("redemption-1")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-done)
	fmt.Println(<-done)
	// Unordered output:
	// a message for ada
	// one more of SUMMER
}

// A handler starts a saga: once for each event, however often the handler is called.
func ExampleTopic_On() {
	redeemed := flow.NewTopic[CouponRedeemed]("coupon-redeemed")
	grant := step.New("grant", func(ctx context.Context, c CouponRedeemed) (string, error) { return "a gift for " + c.User, nil })
	gift := flow.New[CouponRedeemed]("gift").Then(grant)
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	engine.Serve(gift)
	redeemed.On(engine, "gifts", func(ctx context.Context, c CouponRedeemed) error {
		_, err := gift.Start(ctx, engine, c, flow.ID(flow.DeliveryFrom(ctx).SagaID()))
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	if err := redeemed.Publish(ctx, engine, CouponRedeemed{"ada", "SUMMER"}, flow.EventID("redemption-1")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(gift.Attach(engine, "coupon-redeemed:gifts:redemption-1").Await(ctx))
	// Output: a gift for ada <nil>
}

// A step of a saga tells others what has happened. Its repeat tells nothing.
func ExampleTopic_Step() {
	redeemed := flow.NewTopic[CouponRedeemed]("coupon-redeemed")
	redeem := flow.New[CouponRedeemed]("redeem").Then(redeemed.Step("announce"))
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	engine.Serve(redeem)
	done := make(chan string, 1)
	redeemed.On(engine, "inbox", func(ctx context.Context, c CouponRedeemed) error {
		done <- c.User + " by " + flow.DeliveryFrom(ctx).EventID
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	if _, err := redeem.Start(ctx, engine, CouponRedeemed{"ada", "SUMMER"}, flow.ID("r-1")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-done)
	// Output: ada by skald/r-1/announce/do
}

// An event that a group cannot handle waits for a person, and holds up no other.
func ExampleEngine_DeadEvents() {
	redeemed := flow.NewTopic[CouponRedeemed]("coupon-redeemed")
	told := make(chan flow.DeadEvent, 1)
	engine := flow.NewEngine(inmem.New(), flow.Options{
		OnDeadEvent: func(ctx context.Context, d flow.DeadEvent) { told <- d },
	})
	redeemed.On(engine, "inbox", func(ctx context.Context, c CouponRedeemed) error {
		return step.Permanent(errors.New("inbox: no such user"))
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go engine.Run(ctx)

	if err := redeemed.Publish(ctx, engine, CouponRedeemed{"nobody", "SUMMER"}); err != nil {
		fmt.Println(err)
	}
	<-told
	for d, err := range engine.DeadEvents(ctx, "coupon-redeemed", "inbox") {
		if err != nil {
			fmt.Println(err)
			return
		}
		event, _ := redeemed.Read(engine, d)
		fmt.Println(event.User, d.Attempts, d.Err)
		fmt.Println(engine.DropEvent(ctx, d, flow.By{Who: "eva", Why: "the account was deleted"}))
	}
	// Output:
	// nobody 1 inbox: no such user
	// <nil>
}
