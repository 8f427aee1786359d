package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/flow"
)

// world is the town with its participants, the shop with the engine that runs its sagas, and the
// shop's own HTTP interface.
type world struct {
	*shop.Shop
	town   *participants.Town
	engine *flow.Engine
	api    http.Server
	url    string // of the api
	stop   context.CancelFunc
	ended  chan error
}

// open starts a world. Its sagas are on b, which the caller closes.
func open(b broker.Broker, opts flow.Options, s participants.State) (*world, error) {
	town, err := participants.Open(s)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &world{
		Shop: shop.New(town.URL, town.Identity), town: town,
		engine: flow.NewEngine(b, opts), stop: stop, ended: make(chan error, 1),
	}
	w.engine.Serve(w.Flows()...)
	go func() { w.ended <- w.engine.Run(ctx) }()
	if err := w.listen(5 * time.Second); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// listen opens the shop's HTTP interface, whose customers wait so long for an answer.
func (w *world) listen(patience time.Duration) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.url = "http://" + l.Addr().String()
	w.api.Handler = (&shop.API{Shop: w.Shop, Engine: w.engine, Identity: w.town.Identity, Patience: patience}).Handler()
	go func() { _ = w.api.Serve(l) }()
	return nil
}

// close ends everything in the world.
func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := w.api.Shutdown(ctx)
	w.stop()
	return errors.Join(err, <-w.ended, w.town.Close(ctx))
}

// as gives the user with a token that is valid for an hour.
func (w *world) as(user string) shop.Caller {
	return shop.Caller{User: user, Token: w.town.Identity.Token(user, time.Hour)}
}

// purchase is what a customer's browser does. The body of the answer is closed.
func (w *world) purchase(ctx context.Context, user, offer, id string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/offers/"+offer+"/purchases/"+id, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+w.as(user).Token)
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	return answer, answer.Body.Close()
}
