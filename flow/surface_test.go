package flow_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Three realistic flows that use the whole surface: that they compile without type arguments is the
// first test of it.

type (
	shopRequest struct {
		OrderID, Region string
		SKUs            []string
		Express         bool
	}
	shopReserved struct {
		shopRequest
		Hold string
	}
	shopCharged struct {
		shopReserved
		Payment string
	}
	shopShipped struct {
		shopCharged
		Label string
	}
	shopReceipt struct {
		OrderID, Label, Mail string
		Points               int
	}
	shopApproval struct {
		By string
		OK bool
	}
	shopPayment struct{ Cents int }
)

var errShopDeclined = errors.New("declined")

func (c shopCharged) express() bool { return c.Express }

func shopReserve(_ context.Context, r shopRequest) (shopReserved, error) {
	return shopReserved{shopRequest: r}, nil
}

func shopRelease(_ context.Context, e step.Effect[shopRequest, shopReserved]) error {
	if !e.Known {
		return e.Proceed(shopReserved{})
	}
	return nil
}

func shopCharge(_ context.Context, r shopReserved) (shopCharged, error) {
	return shopCharged{shopReserved: r}, nil
}
func shopRefund(context.Context, step.Effect[shopReserved, shopCharged]) error { return nil }
func shopLabel(_ context.Context, c shopCharged) (shopShipped, error) {
	return shopShipped{shopCharged: c}, nil
}
func shopEmail(context.Context, shopShipped) (string, error)           { return "", nil }
func shopPoints(context.Context, shopShipped) (int, error)             { return 1, nil }
func shopPick(_ context.Context, sku string) (int, error)              { return len(sku), nil }
func shopPoll(_ context.Context, s shopShipped) (shopShipped, error)   { return s, nil }
func shopPay(_ context.Context, cents int) (shopPayment, error)        { return shopPayment{cents}, nil }
func shopPayBack(context.Context, step.Effect[int, shopPayment]) error { return nil }
func shopReceive(s shopShipped, mail string, points int) shopReceipt {
	return shopReceipt{s.OrderID, s.Label, mail, points}
}

var (
	reserveStep = step.New("reserve", shopReserve).Compensate(shopRelease).Timeout(time.Second).Retry(step.Retry{Attempts: 5})
	chargeStep  = step.New("charge", shopCharge).Compensate(shopRefund).Refuses(errShopDeclined)
	courierStep = step.New("courier", shopLabel)
	postStep    = step.New("post", shopLabel)
	emailStep   = step.New("email", shopEmail)
	pointsStep  = step.New("points", shopPoints)
	pickStep    = step.New("pick", shopPick)
	pollStep    = step.New("poll", shopPoll)
	auditStep   = step.Do("audit", func(context.Context, shopCharged) error { return nil })
	payStep     = step.New("pay", shopPay).Compensate(shopPayBack)
	approval    = flow.NewSignal[shopApproval]("approve")
	byPost      = flow.New[shopCharged]("by-post").Then(auditStep).Then(postStep)
)

var orderFlow = flow.New[shopRequest]("order").
	Deadline(time.Hour).
	Then(reserveStep).
	Then(chargeStep).
	When("big", shopCharged.express, auditStep).
	If("carrier", shopCharged.express, courierStep, byPost).
	Each("pick", func(s shopShipped) []string { return s.SKUs }, pickStep, func(s shopShipped, _ []int) shopShipped { return s }, flow.Parallel(8)).
	Race("track", pollStep, pollStep.As("poll2")).
	Loop("until-there", 100, pollStep, func(s shopShipped) bool { return s.Label != "" }).
	Delay("settle", func(shopShipped) time.Duration { return time.Minute }).
	Wait(approval, func(s shopShipped, _ shopApproval) shopShipped { return s }).
	Use(payStep, func(shopShipped) int { return 42 }, func(s shopShipped, _ shopPayment) shopShipped { return s }).
	All3("book", emailStep, pointsStep, emailStep.As("mail2"), func(s shopShipped, _ string, _ int, _ string) shopShipped { return s }).
	Both("notify", emailStep, pointsStep, shopReceive)

type (
	trip      struct{ Who string }
	booking   struct{ Ref string }
	itinerary struct{ Flight, Car, Hotel booking }
)

func book(context.Context, trip) (booking, error)              { return booking{}, nil }
func unbook(context.Context, step.Effect[trip, booking]) error { return nil }

var (
	flightStep = step.New("flight", book).Compensate(unbook)
	carFlow    = flow.New[trip]("car").Then(step.New("rent", book).Compensate(unbook))
	travelFlow = flow.New[trip]("travel").
			All3("book", flightStep, flow.Child(carFlow), carFlow.As("hotel"), func(_ trip, f, c, h booking) itinerary { return itinerary{f, c, h} })
	regionalFlow = flow.New[shopCharged]("regional").
			Switch("region", func(c shopCharged) string { return c.Region }, flow.Case("eu", courierStep), flow.Case("us", byPost), flow.Default(postStep))
	approvedFlow = flow.New[shopShipped]("approved").
			WaitFor(approval, time.Hour, func(s shopShipped, _ shopApproval) shopShipped { return s }, pollStep)
)

type (
	draw  struct{ User string }
	prize struct{ Kind string }
	drawn struct {
		draw
		Prizes []prize
	}
	paid struct {
		drawn
		Receipt string
	}
)

func drawPrizes(context.Context, draw) ([]prize, error)          { return nil, nil }
func takePoints(_ context.Context, d drawn) (paid, error)        { return paid{drawn: d}, nil }
func givePoints(context.Context, step.Effect[drawn, paid]) error { return nil }

var capsulesFlow = flow.New[draw]("draw-capsules").
	Also(step.New("draw", drawPrizes), func(d draw, p []prize) drawn { return drawn{d, p} }).
	Then(step.New("take", takePoints).Compensate(givePoints)).
	Then(step.Do("add", func(context.Context, paid) error { return nil })).
	Map(func(p paid) []prize { return p.Prizes })

var nestedFlow = flow.New[shopRequest]("outer").
	Use(flow.Child(capsulesFlow), func(shopRequest) draw { return draw{} }, func(r shopRequest, _ []prize) shopRequest { return r }).
	Then(flow.Child(orderFlow)).
	UndoInOrder().
	Version(2)

// Sagas in flight are stored under these paths: when this fails, a path was renamed.
func TestStepsOfRealFlows(t *testing.T) {
	want, err := os.ReadFile("testdata/steps.golden")
	require.NoError(t, err)
	var got strings.Builder
	for _, f := range []interface {
		flow.Definition
		Steps() []string
	}{orderFlow, travelFlow, regionalFlow, approvedFlow, capsulesFlow, nestedFlow} {
		got.WriteString(f.Name() + "\n\t" + strings.Join(f.Steps(), "\n\t") + "\n")
	}
	require.Equal(t, string(want), got.String())
}
