package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
)

// tellStory runs the shop for a day, its sagas on b.
func tellStory(out io.Writer, b broker.Broker) error {
	letters := make(chan flow.DeadLetter, 1)
	opts := shop.Options()
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.OnDeadLetter = func(_ context.Context, d flow.DeadLetter) { letters <- d }
	w, err := open(b, opts, morning())
	if err != nil {
		return err
	}
	n := &narrator{world: w, out: out}
	n.trade()
	n.troubles()
	n.deadLetter(letters)
	n.evening()
	n.fail(w.close())
	return n.err
}

// morning is what everybody has when the shop opens.
func morning() participants.State {
	return participants.State{
		Points: map[string]int{"ada": 500, "bob": 999, "eve": 3000},
		Stables: map[string]map[string]domain.Pet{
			"ada": {
				"rex": {ID: "rex", Kind: "griffin", Level: 7},
				"mia": {ID: "mia", Kind: "owl", Level: 2},
			},
			"bob": {"tom": {ID: "tom", Kind: "cat", Level: 5}},
		},
		Backdrops: map[string]domain.Backdrop{"beach": {Name: "beach", Price: 250}},
	}
}

func (n *narrator) trade() {
	play(n, scene{title: "Ada offers Rex for 1000 points", saga: "offer-rex"},
		n.OfferPet, shop.NewOffer{Caller: n.as("ada"), ID: "rex-for-sale", Pet: "rex", Price: 1000}, onSale)
	play(n, scene{title: "Bob wants Rex, and has 999", saga: "too-expensive"},
		n.BuyPet, shop.OnOffer{Caller: n.as("bob"), Offer: "rex-for-sale"}, bought)
	play(n, scene{title: "Bob writes a quiz, for 5000 points", saga: "quiz", points: shop.QuizReward, reason: "5000 for the quiz"},
		n.PostQuiz, shop.NewQuiz{Caller: n.as("bob"), Title: "Birds of the North"}, func(q domain.Quiz) string { return "posted: " + q.Title })
	full := participants.Fault{At: "move-pet/do", Err: &domain.StableFull{User: "bob", Limit: 12}}
	play(n, scene{title: "Bob buys Rex, but the third step refuses: two undos, in reverse", saga: "stable-full", faults: []participants.Fault{full}},
		n.BuyPet, shop.OnOffer{Caller: n.as("bob"), Offer: "rex-for-sale"}, bought)
	lost := participants.Fault{At: "pay-seller/do", Lose: true}
	play(n, scene{title: "Bob buys Rex, and a reply is lost after Ada was paid", saga: "lost-reply", faults: []participants.Fault{lost}},
		n.BuyPet, shop.OnOffer{Caller: n.as("bob"), Offer: "rex-for-sale"}, bought)
}

func (n *narrator) troubles() {
	play(n, scene{title: "Bob buys a backdrop, the last of which was sold while he paid", saga: "sold-out"},
		n.BuyBackdrop, shop.WantBackdrop{Caller: n.as("bob"), Backdrop: "beach"}, func(b domain.Backdrop) string { return b.Name })
	newer := &domain.UnknownProblem{Type: "https://petshop.example/problems/profanity", Detail: "word 7 is not for children"}
	play(n, scene{title: "Eve's quiz meets an error that nobody has registered", saga: "unregistered", faults: []participants.Fault{{At: "create-quiz/do", Err: newer}}},
		n.PostQuiz, shop.NewQuiz{Caller: n.as("eve"), Title: "Sailors' Songs"}, func(q domain.Quiz) string { return "posted: " + q.Title })
	silent := participants.Fault{At: "take-points/do", Lose: true, Times: participants.Always}
	play(n, scene{title: "Eve draws capsules, and nobody can say whether she paid", saga: "silence", faults: []participants.Fault{silent}},
		n.DrawCapsules, shop.Draw{Caller: n.as("eve"), Capsules: 3}, drawn)
	play(n, scene{title: "Ada offers Mia for 800 points", saga: "offer-mia"},
		n.OfferPet, shop.NewOffer{Caller: n.as("ada"), ID: "mia-for-sale", Pet: "mia", Price: 800}, onSale)
	n.expiringToken()
}

// expiringToken is a purchase through the shop's own HTTP interface.
func (n *narrator) expiringToken() {
	s := scene{title: "Eve buys Mia over HTTP, and her token expires in the middle", saga: "expired", faults: []participants.Fault{
		{At: "move-pet/do", First: func() { n.town.Identity.Skip(2 * time.Hour) }},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.begin(s)
	answer, err := n.purchase(ctx, "eve", "mia-for-sale", s.saga)
	if err != nil {
		n.fail(err)
		return
	}
	_, err = n.BuyPet.Attach(n.engine, s.saga).Await(ctx)
	n.end(s, nil, err)
	n.say("      %s · WWW-Authenticate: %s", answer.Status, answer.Header.Get("WWW-Authenticate"))
}

// deadLetter is a saga that needs a person.
func (n *narrator) deadLetter(letters <-chan flow.DeadLetter) {
	s := scene{title: "Eve buys Mia; it fails, and so does the undo: her account was closed meanwhile", saga: "dead-letter", points: -800, reason: "800 are open", faults: []participants.Fault{
		{At: "move-pet/do", Err: &domain.StableFull{User: "eve", Limit: 12}, First: func() { n.town.SetClosed("eve", true) }},
	}}
	play(n, s, n.BuyPet, shop.OnOffer{Caller: n.as("eve"), Offer: "mia-for-sale"}, bought)
	select {
	case d := <-letters:
		n.say("    ⚠ alert: saga %q of %s needs a person", d.SagaID, d.Flow)
	case <-time.After(5 * time.Second):
		n.fail(fmt.Errorf("nobody heard of the dead letter"))
		return
	}
	n.relay(scene{title: "Support opens the account and relays the saga: only what is open is done", saga: s.saga, points: 800, reason: "and they are back"})
}

func (n *narrator) relay(s scene) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.begin(s)
	seen := len(n.town.Journal(s.saga))
	n.town.SetClosed("eve", false)
	if err := n.engine.Relay(ctx, s.saga, flow.By{Who: "support", Why: "the account is open again"}); err != nil {
		n.fail(err)
		return
	}
	_, err := n.BuyPet.Attach(n.engine, s.saga).Await(ctx)
	n.endAfter(s, seen, nil, err)
}

func (n *narrator) evening() {
	play(n, scene{title: "Ada takes Mia back", saga: "withdraw"},
		n.WithdrawOffer, shop.OnOffer{Caller: n.as("ada"), Offer: "mia-for-sale"}, bought)
	play(n, scene{title: "Eve draws three capsules", saga: "capsules", points: -3 * shop.CapsulePrice, pets: 3, reason: "900 for three pets"},
		n.DrawCapsules, shop.Draw{Caller: n.as("eve"), Capsules: 3}, drawn)
	play(n, scene{title: "Bob lets Tom go, for 40 points a level", saga: "release", points: 5 * shop.RewardByLevel, pets: -1, reason: "200 for Tom"},
		n.ReleasePet, shop.TakePet{Caller: n.as("bob"), Pet: "tom"}, func(b domain.Balance) string { return fmt.Sprintf("%s has %d points", b.User, b.Points) })
	n.say("")
}

func onSale(o domain.Offer) string {
	return fmt.Sprintf("%s is %s for %d", o.Pet.ID, o.Status, o.Price)
}

func bought(p domain.Pet) string { return fmt.Sprintf("%s, %s of level %d", p.ID, p.Kind, p.Level) }

func drawn(pets []domain.Pet) string { return fmt.Sprintf("%d pets", len(pets)) }
