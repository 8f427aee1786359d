package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/identity"
	"github.com/skald-go/skald/examples/petshop/trace"
	"github.com/skald-go/skald/flow"
)

// API is the shop as its customers' browsers see it.
type API struct {
	Shop     *Shop
	Engine   *flow.Engine
	Identity *identity.Identity
	Patience time.Duration // how long a customer waits for an answer
}

// Handler serves
//
//	POST /offers/{offer}/purchases/{id}  buys a pet; the same id is the same purchase
//	GET  /purchases/{id}                 asks again how it went
//
// Both answer 200 with the pet, 202 if it takes longer, or a problem.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /offers/{offer}/purchases/{id}", a.purchase)
	mux.HandleFunc("GET /purchases/{id}", a.result)
	return mux
}

func (a *API) purchase(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	user, err := a.Identity.Verify(token)
	if err != nil {
		problem(w, err)
		return
	}
	id := r.PathValue("id")
	ctx := trace.With(r.Context(), trace.Trace{ID: id, User: user})
	in := OnOffer{Caller: Caller{User: user, Token: token}, Offer: r.PathValue("offer")}
	future, err := a.Shop.BuyPet.Start(ctx, a.Engine, in, flow.ID(id))
	if errors.Is(err, flow.ErrConflict) { // this id is another purchase
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	if err != nil {
		problem(w, err)
		return
	}
	a.answer(ctx, w, future)
}

func (a *API) result(w http.ResponseWriter, r *http.Request) {
	a.answer(r.Context(), w, a.Shop.BuyPet.Attach(a.Engine, r.PathValue("id")))
}

func (a *API) answer(ctx context.Context, w http.ResponseWriter, future flow.Future[domain.Pet]) {
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	pet, err := future.Decided(ctx)
	running, failed := new(flow.RunningError), new(flow.Error)
	switch {
	case errors.As(err, &running):
		w.Header().Set("Location", "/purchases/"+running.SagaID)
		w.WriteHeader(http.StatusAccepted)
	case errors.As(err, &failed):
		problem(w, failed.Cause)
	case err != nil:
		problem(w, err)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(pet)
	}
}

// problem answers with an error. What is wrong with a token is said as RFC 6750 asks for.
func problem(w http.ResponseWriter, err error) {
	p := domain.ProblemOf(err)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer error=%q, error_description=%q", "invalid_token", err.Error()))
	}
	p.Write(w)
}
