package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
)

// gate holds one request inside its participant until it is opened.
type gate struct {
	reached chan struct{}
	open    func()
}

func gateAt(t *testing.T, w *world, at string) gate {
	reached, opened := make(chan struct{}), make(chan struct{})
	g := gate{reached: reached, open: sync.OnceFunc(func() { close(opened) })}
	t.Cleanup(g.open)
	w.town.Plan(participants.Fault{At: at, First: func() {
		close(reached)
		<-opened
	}})
	return g
}

// hurried is a context that has ended.
func hurried() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestTheCallerComesBackWithTheIDAndGetsTheResult(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		gate := gateAt(t, w, "move-pet/do")
		future, err := w.BuyPet.Start(soon(t), w.engine, shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"})
		require.NoError(t, err)
		<-gate.reached
		_, err = future.Await(hurried())
		running, ok := errors.AsType[*flow.RunningError](err)
		require.True(t, ok, "%v", err)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, future.ID(), running.SagaID)
		gate.open()
		pet, err := w.BuyPet.Attach(w.engine, running.SagaID).Await(soon(t))
		require.NoError(t, err)
		assert.Equal(t, rex, pet)
	})
}

func TestTheCauseWinsOverTheClock(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		before := w.town.State()
		w.town.Plan(participants.Fault{At: "sell-offer/do", Err: no})
		gate := gateAt(t, w, "pay-seller/undo")
		future, err := w.BuyPet.Start(soon(t), w.engine, shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"}, flow.ID(sagaID))
		require.NoError(t, err)
		<-gate.reached
		for name, wait := range map[string]func() (domain.Pet, error){
			"await":   func() (domain.Pet, error) { return future.Await(hurried()) },
			"decided": func() (domain.Pet, error) { return future.Decided(soon(t)) },
		} {
			_, err := wait()
			failed, ok := errors.AsType[*flow.Error](err)
			require.True(t, ok, "%s: %v", name, err)
			assert.Equal(t, flow.StateCompensating, failed.State, name)
			assert.Equal(t, no, failed.Cause, name)
		}
		gate.open()
		_, err = future.Await(soon(t))
		requireUndone(t, w, before, err, "sell-offer")
	})
}

// The token is valid when a saga starts, and expires while it is at one of its steps.
func TestAnExpiredTokenIsToldAtOnceAndAsItself(t *testing.T) {
	eachStep(t, brokers.Decoding, func(t *testing.T, w *world, tr trade, k int) {
		before := w.town.State()
		w.town.Plan(participants.Fault{At: tr.steps[k] + "/do", First: func() { w.town.Identity.Skip(2 * time.Hour) }})
		_, err := tr.run(soon(t), w)
		assert.ErrorIs(t, err, jwt.ErrTokenExpired)
		failed := requireUndone(t, w, before, err, tr.steps[k])
		assert.Equal(t, "token has invalid claims: token is expired", failed.Cause.Error())
		assert.Equal(t, undosOf(tr.steps[:k]), onlyUndos(calls(w, sagaID)), "with a token of the shop")
	})
}

func TestWhatIsRefusedIsToldWithinASecond(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		requireWithinASecond(t, func() {
			w := openAt(t, k, noon(), decoding(all))
			_, err := drawing(100)(soon(t), w)
			assert.ErrorAs(t, err, new(*domain.NotEnoughPoints))
		})
		requireWithinASecond(t, func() {
			w := openAt(t, k, noon(), decoding(all))
			w.town.Plan(participants.Fault{At: "sell-offer/do", First: func() { w.town.Identity.Skip(2 * time.Hour) }})
			_, err := buying("bob")(soon(t), w)
			assert.ErrorIs(t, err, jwt.ErrTokenExpired)
		})
	})
}

func TestAnErrorThatNobodyRegisteredArrivesWithItsText(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		w := openAt(t, k, noon(), decoding(all))
		before := w.town.State()
		w.town.Plan(participants.Fault{At: "create-quiz/do", Err: &domain.UnknownProblem{Type: "urn:rude", Detail: "word 7"}})
		_, err := posting("ada")(soon(t), w)
		failed := requireUndone(t, w, before, err, "create-quiz")
		assert.Equal(t, "word 7 (urn:rude)", failed.Cause.Error())
		_, same := errors.AsType[*domain.UnknownProblem](err)
		assert.False(t, same, "it would need an entry in domain.Errors")
	})
}

// ask sends a request to the shop's interface, whose customers wait as long as patience says.
func (w *world) ask(t *testing.T, patience time.Duration, method, path, token string) *http.Response {
	api := &shop.API{Shop: w.Shop, Engine: w.engine, Identity: w.town.Identity, Patience: patience}
	r := httptest.NewRequestWithContext(soon(t), method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	api.Handler().ServeHTTP(answer, r)
	return answer.Result()
}

func problemIn(t *testing.T, r *http.Response) (p domain.Problem) {
	require.Equal(t, domain.ProblemType, r.Header.Get("Content-Type"))
	require.NoError(t, json.NewDecoder(r.Body).Decode(&p))
	return p
}

func TestCustomersGetThePet(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	answer := w.ask(t, time.Minute, http.MethodPost, "/offers/o-1/purchases/p-1", w.as("bob").Token)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var pet domain.Pet
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&pet))
	assert.Equal(t, rex, pet)
}

func TestCustomersThatWaitTooLongAskAgain(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	gate := gateAt(t, w, "move-pet/do")
	token := w.as("bob").Token
	answer := w.ask(t, time.Nanosecond, http.MethodPost, "/offers/o-1/purchases/p-1", token)
	require.Equal(t, http.StatusAccepted, answer.StatusCode)
	gate.open()
	answer = w.ask(t, time.Minute, http.MethodGet, answer.Header.Get("Location"), token)
	assert.Equal(t, http.StatusOK, answer.StatusCode)
}

func TestCustomersAreToldWhatIsWrong(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	expired := w.town.Identity.Token("bob", -time.Hour)
	answer := w.ask(t, time.Minute, http.MethodPost, "/offers/o-1/purchases/p-1", expired)
	assert.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	assert.Equal(t, `Bearer error="invalid_token", error_description="token has invalid claims: token is expired"`, answer.Header.Get("WWW-Authenticate"))

	answer = w.ask(t, time.Minute, http.MethodPost, "/offers/o-1/purchases/p-2", w.as("zoe").Token)
	assert.ErrorIs(t, problemIn(t, answer).Err(), domain.ErrNoAccount)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)

	w.town.Plan(participants.Fault{At: "lock-offer/do", Err: &domain.NotEnoughPoints{User: "bob", Have: 999, Need: 1000}})
	answer = w.ask(t, time.Minute, http.MethodPost, "/offers/o-1/purchases/p-3", w.as("bob").Token)
	assert.Equal(t, http.StatusPaymentRequired, answer.StatusCode)
	assert.Equal(t, &domain.NotEnoughPoints{User: "bob", Have: 999, Need: 1000}, problemIn(t, answer).Err())

	answer = w.ask(t, time.Minute, http.MethodPost, "/offers/o-2/purchases/p-3", w.as("bob").Token)
	assert.Equal(t, http.StatusConflict, answer.StatusCode, "p-3 is another purchase")
}

func TestATokenThatExpiresInTheMiddleIsA401(t *testing.T) {
	w := openAt(t, brokers.All()[0], noon())
	w.town.Plan(participants.Fault{At: "move-pet/do", First: func() { w.town.Identity.Skip(2 * time.Hour) }})
	answer := w.ask(t, time.Minute, http.MethodPost, "/offers/o-1/purchases/p-1", w.as("bob").Token)
	assert.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	assert.ErrorIs(t, problemIn(t, answer).Err(), jwt.ErrTokenExpired)
	_, err := w.BuyPet.Attach(w.engine, "p-1").Await(soon(t))
	assert.ErrorIs(t, err, jwt.ErrTokenExpired)
}
