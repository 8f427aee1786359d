package flow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

func ExampleFlow_Then() {
	pick := step.New("pick", func(_ context.Context, sku string) (int, error) { return len(sku), nil })
	label := step.New("label", func(_ context.Context, parcel int) (string, error) { return fmt.Sprint("label of ", parcel), nil })

	// What one step gives, the next one takes.
	ship := flow.New[string]("ship").Then(pick).Then(label)

	fmt.Println(runExample(ship, "shoes"))
	// Output: label of 5 <nil>
}

func ExampleFlow_Also() {
	type order struct{ Book, Price string }
	price := step.New("price", func(_ context.Context, book string) (string, error) { return "12.90", nil })

	// Then would leave the price only. Also keeps what is known, and adds to it.
	quote := flow.New[string]("quote").
		Also(price, func(book, price string) order { return order{book, price} })

	fmt.Println(runExample(quote, "Dune"))
	// Output: {Dune 12.90} <nil>
}

func ExampleFlow_Use() {
	type order struct {
		Book    string
		Cents   int
		Receipt string
	}
	// This step knows nothing of orders, so that any flow can use it.
	charge := step.New("charge", func(_ context.Context, cents int) (string, error) { return fmt.Sprint("receipt of ", cents), nil })

	buy := flow.New[order]("buy").
		Use(charge,
			func(o order) int { return o.Cents },
			func(o order, receipt string) order { o.Receipt = receipt; return o })

	fmt.Println(runExample(buy, order{Book: "Dune", Cents: 1290}))
	// Output: {Dune 1290 receipt of 1290} <nil>
}

func ExampleFlow_Map() {
	greet := step.New("greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })

	// Map computes between steps. It is not recorded and runs again after a restart: it must not touch the world.
	welcome := flow.New[string]("welcome").
		Map(strings.TrimSpace).
		Then(greet).
		Map(strings.ToUpper)

	fmt.Println(runExample(welcome, "  Ada "))
	// Output: HELLO, ADA <nil>
}

func ExampleFlow_If() {
	courier := step.New("courier", func(_ context.Context, kg int) (string, error) { return "a van comes", nil })
	post := step.New("post", func(_ context.Context, kg int) (string, error) { return "a stamp is on it", nil })

	// Both arms take what is known, and give values of one type.
	ship := flow.New[int]("ship").
		If("carrier", func(kg int) bool { return kg > 20 }, courier, post)

	fmt.Println(runExample(ship, 30))
	fmt.Println(runExample(ship, 1))
	// Output:
	// a van comes <nil>
	// a stamp is on it <nil>
}

func ExampleFlow_When() {
	wrap := step.New("wrap", func(_ context.Context, item string) (string, error) { return item + " with a bow", nil })

	// The part is run or left out, so it gives what it takes.
	pack := flow.New[string]("pack").
		When("gift", func(item string) bool { return strings.HasPrefix(item, "toy") }, wrap)

	fmt.Println(runExample(pack, "toy train"))
	fmt.Println(runExample(pack, "printer"))
	// Output:
	// toy train with a bow <nil>
	// printer <nil>
}

func ExampleFlow_Switch() {
	eu := step.New("vat", func(_ context.Context, country string) (string, error) { return "VAT", nil })
	us := step.New("sales-tax", func(_ context.Context, country string) (string, error) { return "sales tax", nil })

	region := func(country string) string { return map[string]string{"FR": "eu", "ES": "eu", "US": "us"}[country] }
	tax := flow.New[string]("tax").
		Switch("region", region, flow.Case("eu", eu), flow.Case("us", us))

	fmt.Println(runExample(tax, "FR"))
	_, err := runExample(tax, "JP") // no Case, and no Default
	fmt.Println(errors.Is(err, flow.ErrNoCase))
	// Output:
	// VAT <nil>
	// true
}

func ExampleDefault() {
	bike := step.New("bike", func(_ context.Context, city string) (string, error) { return "bike in " + city, nil })
	post := step.New("post", func(_ context.Context, city string) (string, error) { return "post to " + city, nil })

	deliver := flow.New[string]("deliver").
		Switch("city", func(city string) string { return city }, flow.Case("Oslo", bike), flow.Default(post))

	fmt.Println(runExample(deliver, "Oslo"))
	fmt.Println(runExample(deliver, "Bergen"))
	// Output:
	// bike in Oslo <nil>
	// post to Bergen <nil>
}

func ExampleFlow_Both() {
	flight := step.New("flight", func(_ context.Context, city string) (string, error) { return "seat 3A", nil })
	nights := step.New("hotel", func(_ context.Context, city string) (int, error) { return 2, nil })

	// The two run at the same time on the same value; their types may differ. If one fails for good, both are undone.
	trip := flow.New[string]("trip").
		Both("book", flight, nights, func(city, seat string, nights int) string {
			return fmt.Sprintf("to %s in %s, %d nights", city, seat, nights)
		})

	fmt.Println(runExample(trip, "Oslo"))
	// Output: to Oslo in seat 3A, 2 nights <nil>
}

func ExampleFlow_All3() {
	flight := step.New("flight", func(_ context.Context, city string) (string, error) { return "seat 3A", nil })
	hotel := step.New("hotel", func(_ context.Context, city string) (string, error) { return "room 12", nil })
	car := step.New("car", func(_ context.Context, city string) (string, error) { return "blue car", nil })

	trip := flow.New[string]("trip").
		All3("book", flight, hotel, car, func(city, flight, hotel, car string) string {
			return strings.Join([]string{city, flight, hotel, car}, ", ")
		})

	fmt.Println(runExample(trip, "Oslo"))
	// Output: Oslo, seat 3A, room 12, blue car <nil>
}

func ExampleFlow_Each() {
	count := step.New("count", func(ctx context.Context, word string) (int, error) {
		return len(word), nil // step.InfoFrom(ctx).Path is words[0]/count, words[1]/count, …
	})

	// The outputs come in the order of the items, whichever was ready first.
	measure := flow.New[string]("measure").
		Each("words", strings.Fields, count, func(text string, lengths []int) string { return fmt.Sprint(text, ": ", lengths) })

	fmt.Println(runExample(measure, "to be or not"))
	fmt.Println(runExample(measure, ""))
	// Output:
	// to be or not: [2 2 2 3] <nil>
	// : [] <nil>
}

func ExampleParallel() {
	charge := step.New("charge", func(_ context.Context, card string) (string, error) {
		if card == "expired" {
			return "", step.Refused(errors.New("bank: card declined"))
		}
		return "paid by " + card, nil
	}).Compensate(func(_ context.Context, e step.Effect[string, string]) error {
		fmt.Println("refund what was", e.Out)
		return nil
	})

	// One item at a time here. What is not begun yet when an item fails is left out, what is done is undone.
	split := flow.New[string]("split-bill").
		Each("cards", strings.Fields, charge, func(_ string, paid []string) []string { return paid }, flow.Parallel(1))

	_, err := runExample(split, "visa expired amex")
	fmt.Println(err)
	// Output:
	// refund what was paid by visa
	// flow: saga "example" of "split-bill" is undone: step "cards[1]/charge" failed: bank: card declined
}

func ExampleFlow_Race() {
	asked := make(chan struct{})
	slow := step.New("slow", func(ctx context.Context, _ string) (string, error) {
		close(asked)
		<-ctx.Done() // it is cancelled as soon as another has won
		return "", ctx.Err()
	}).Compensate(func(_ context.Context, e step.Effect[string, string]) error {
		fmt.Println("take back what slow may have done:", errors.Is(e.Cause, flow.ErrLostRace))
		return nil
	})
	fast := step.New("fast", func(context.Context, string) (string, error) {
		<-asked
		return "a room at fast", nil
	})

	// The first success wins, and the flow goes on when the losers are undone.
	room := flow.New[string]("room").Race("offer", slow, fast)

	fmt.Println(runExample(room, "Oslo"))
	// Output:
	// take back what slow may have done: true
	// a room at fast <nil>
}

func ExampleFlow_Loop() {
	halve := step.New("halve", func(ctx context.Context, n int) (int, error) {
		fmt.Println(step.InfoFrom(ctx).Path, n)
		return n / 2, nil
	})

	// At most three rounds; each one goes on with what the last one gave.
	small := flow.New[int]("small").
		Loop("round", 3, halve, func(n int) bool { return n < 10 })

	fmt.Println(runExample(small, 36))
	_, err := runExample(small, 1000)
	fmt.Println(errors.Is(err, flow.ErrRounds))
	// Output:
	// round#1/halve 36
	// round#2/halve 18
	// 9 <nil>
	// round#1/halve 1000
	// round#2/halve 500
	// round#3/halve 250
	// true
}

func ExampleChild() {
	pack := step.New("pack", func(ctx context.Context, item string) (string, error) {
		fmt.Println("packed in saga", step.InfoFrom(ctx).Saga)
		return "box of " + item, nil
	})
	// A saga of its own, with settings and a journal of its own, held for its parent: when the parent goes back, it is
	// undone as a whole.
	parcel := flow.New[string]("parcel").Version(2).Then(pack)
	order := flow.New[string]("order").Then(flow.Child(parcel))

	fmt.Println(runExample(order, "books"))
	// Output:
	// packed in saga example/parcel
	// box of books <nil>
}

func ExampleChildSaga_As() {
	parcel := flow.New[string]("parcel").
		Then(step.New("pack", func(_ context.Context, item string) (string, error) { return "box of " + item, nil }))
	order := flow.New[string]("order").
		Both("parcels", flow.Child(parcel), flow.Child(parcel).As("spare"), func(_, one, other string) string { return one + ", " + other })

	fmt.Println(order.Steps())
	fmt.Println(runExample(order, "books"))
	// Output:
	// [parcels/parcel parcels/spare]
	// box of books, box of books <nil>
}

// A flow is a part of other flows: it runs inside their saga, under its name.
func ExampleFlow_part() {
	stamp := step.New("stamp", func(ctx context.Context, letter string) (string, error) {
		fmt.Println("run", step.InfoFrom(ctx).Path)
		return letter + " with a stamp", nil
	})
	post := flow.New[string]("post").Map(strings.TrimSpace).Then(stamp)
	apply := flow.New[string]("apply").Then(post)

	fmt.Println(runExample(apply, " application "))
	// Output:
	// run post/stamp
	// application with a stamp <nil>
}
