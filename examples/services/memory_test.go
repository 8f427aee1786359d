package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/examples/services/database"
	"github.com/skald-go/skald/examples/services/payments"
	"github.com/skald-go/skald/examples/services/process"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
)

const secret = "of the test"

// open runs all services in this process, on a network in memory, and gives the HTTP interface of orders.
func open(t *testing.T) http.Handler {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	network, where := inmem.NewNetwork(), t.TempDir()
	var shop http.Handler
	for _, s := range services {
		db, err := database.Open(ctx, where, s.Name, s.Tables)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, db.Close()) })
		served, api, err := s.Open(ctx, db, process.Options{Secret: secret})
		require.NoError(t, err)
		e := flow.NewEngine(network.Broker(s.Name), flow.Options{Name: s.Name, Namespace: s.Name, Errors: contract.Errors, DecodeAll: true})
		e.Serve(served)
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })
		if api != nil {
			shop = api(e)
		}
	}
	return shop
}

// The services run without Redis and without processes in a test of their flows.
func TestOrdersInMemory(t *testing.T) {
	shop := open(t)
	for _, c := range []struct {
		number, payer, to string
		valid             time.Duration
		status            int
		says              string
	}{
		{"good", "ada", "1 Harbour Road", time.Hour, http.StatusOK, `"payer":"ada"`},
		{"expired", "ada", "1 Harbour Road", -time.Hour, http.StatusUnauthorized, "token is expired"},
		{"poor", "bob", "1 Harbour Road", time.Hour, http.StatusPaymentRequired, "not enough money"},
		{"nowhere", "ada", "the moon", time.Hour, http.StatusUnprocessableEntity, "no carrier"},
	} {
		token, err := payments.Token(secret, c.payer, c.valid)
		require.NoError(t, err)
		body := strings.NewReader(`{"item": "lamp", "count": 2, "address": "` + c.to + `"}`)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/orders/"+c.number, body)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		assert.Equal(t, c.status, w.Code, "%s: %s", c.number, w.Body)
		assert.Contains(t, w.Body.String(), c.says)
	}
}

func TestReasonsOfJWTArriveAsThemselves(t *testing.T) {
	err := contract.Errors.Decode(contract.Errors.Encode(errors.Join(jwt.ErrTokenInvalidClaims, jwt.ErrTokenExpired)))
	assert.ErrorIs(t, err, jwt.ErrTokenExpired)
}
