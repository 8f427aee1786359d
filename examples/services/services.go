package main

import (
	"context"
	"database/sql"
	"net/http"

	"github.com/skald-go/skald/examples/services/orders"
	"github.com/skald-go/skald/examples/services/payments"
	"github.com/skald-go/skald/examples/services/process"
	"github.com/skald-go/skald/examples/services/shipping"
	"github.com/skald-go/skald/examples/services/stock"
	"github.com/skald-go/skald/flow"
)

// services are all that there are.
var services = []process.Service{
	{Name: "orders", Tables: orders.Tables, Books: orders.Books, Open: openOrders},
	{Name: "payments", Tables: payments.Tables, Books: payments.Books, Open: openPayments},
	{Name: "stock", Tables: stock.Tables, Books: stock.Books, Open: openStock},
	{Name: "shipping", Tables: shipping.Tables, Books: shipping.Books, Open: openShipping},
}

// api makes the HTTP interface of a service.
type api = func(*flow.Engine) http.Handler

func openOrders(_ context.Context, db *sql.DB, _ process.Options) (flow.Definition, api, error) {
	order := orders.New(db).Flow()
	return order, func(e *flow.Engine) http.Handler { return orders.API(order, e) }, nil
}

func openPayments(ctx context.Context, db *sql.DB, o process.Options) (flow.Definition, api, error) {
	p := payments.New(db, o.Secret)
	for owner, cents := range map[string]int{"ada": 10_000_000, "bob": 999} {
		if err := p.Open(ctx, owner, cents); err != nil {
			return nil, nil, err
		}
	}
	return p.Flow(), nil, nil
}

func openStock(ctx context.Context, db *sql.DB, _ process.Options) (flow.Definition, api, error) {
	s := stock.New(db)
	return s.Flow(), nil, s.Fill(ctx, "lamp", 1_000, 2_500)
}

func openShipping(_ context.Context, db *sql.DB, _ process.Options) (flow.Definition, api, error) {
	return shipping.New(db).Flow(), nil, nil
}
