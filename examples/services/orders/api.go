package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/flow"
)

// patience is how long a customer waits for an answer before being told where to ask again.
const patience = 30 * time.Second

// api is the service as its customers see it.
type api struct {
	order  flow.Flow[Request, Receipt]
	engine *flow.Engine
}

// API serves
//
//	PUT /orders/{number}  places an order; the same number is the same order
//	GET /orders/{number}  asks again how it went
//
// Both answer 200 with the receipt, 202 while the order takes its time, or what is wrong with it.
func API(order flow.Flow[Request, Receipt], e *flow.Engine) http.Handler {
	a := api{order, e}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /orders/{number}", a.place)
	mux.HandleFunc("GET /orders/{number}", a.ask)
	return mux
}

func (a api) place(w http.ResponseWriter, r *http.Request) {
	want := Request{Token: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&want); err != nil || want.Count < 1 {
		http.Error(w, "an order is {item, count, address}, of at least one piece", http.StatusBadRequest)
		return
	}
	future, err := a.order.Start(r.Context(), a.engine, want, flow.ID(r.PathValue("number")))
	if err != nil {
		a.refuse(w, err)
		return
	}
	a.answer(r.Context(), w, future)
}

func (a api) ask(w http.ResponseWriter, r *http.Request) {
	a.answer(r.Context(), w, a.order.Attach(a.engine, r.PathValue("number")))
}

func (a api) answer(ctx context.Context, w http.ResponseWriter, future flow.Future[Receipt]) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	receipt, err := future.Await(ctx)
	if err != nil {
		a.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(receipt)
}

// refuse tells a customer what is wrong. What is wrong with a token is said as RFC 6750 asks for.
func (a api) refuse(w http.ResponseWriter, err error) {
	if running, ok := errors.AsType[*flow.RunningError](err); ok {
		w.Header().Set("Location", "/orders/"+running.SagaID)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	err = reason(err)
	status := statusOf(err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer error=%q, error_description=%q", "invalid_token", err.Error()))
	}
	http.Error(w, err.Error(), status)
}

// reason is the participant's error, inside what its saga and that of the order make of it.
func reason(err error) error {
	for {
		failed, ok := errors.AsType[*flow.Error](err)
		if !ok || failed.Cause == nil {
			return err
		}
		err = failed.Cause
	}
}

// statusOf gives the status of what went wrong, wherever it did: errors arrive as themselves.
func statusOf(err error) int {
	_, soldOut := errors.AsType[*contract.SoldOut](err)
	switch {
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenMalformed), errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return http.StatusUnauthorized
	case errors.Is(err, contract.ErrPoor):
		return http.StatusPaymentRequired
	case soldOut, errors.Is(err, flow.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, contract.ErrNowhere):
		return http.StatusUnprocessableEntity
	default:
		return http.StatusInternalServerError
	}
}
