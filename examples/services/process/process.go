// Package process runs one service: its engine on the Redis that all share, its database, and its HTTP interface.
package process

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/skald-go/skald/examples/services/contract"
	"github.com/skald-go/skald/examples/services/database"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/redisx"
)

// Options are where a service finds what it needs.
type Options struct {
	Redis    string // host:port
	Database string // a directory, or the URL of a PostgreSQL database
	Secret   string // signs tokens
}

// Service is what a process runs. Its name is its namespace on Redis and the name of its database.
type Service struct {
	Name   string
	Tables string
	Books  string // a query for three figures: what is there, what was given away, and how often
	// Open gives the flow that the service serves, and its HTTP interface for an engine, or nil.
	Open func(ctx context.Context, db *sql.DB, o Options) (flow.Definition, func(*flow.Engine) http.Handler, error)
}

// Books are the figures of a service.
type Books struct{ Here, Gone, Times int64 }

// lease is how long others wait before they take over the sagas of a process that gives no sign of life.
const lease = 2 * time.Second

// Run runs the service until ctx ends. It listens on a free port of the loopback interface, which it tells listening.
func (s Service) Run(ctx context.Context, o Options, listening func(addr string)) error {
	db, err := database.Open(ctx, o.Database, s.Name, s.Tables)
	if err != nil {
		return err
	}
	defer db.Close()
	definition, api, err := s.Open(ctx, db, o)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	client := redis.NewClient(&redis.Options{Addr: o.Redis})
	defer client.Close()
	broker := redisx.New(client, redisx.Options{Namespace: s.Name, Service: s.Name})
	defer broker.Close()
	engine := flow.NewEngine(broker, flow.Options{Name: s.Name, Namespace: s.Name, Errors: contract.Errors, Lease: lease})
	engine.Serve(definition)
	return s.serve(ctx, engine, s.handler(db, engine, api), listening)
}

// handler is what the service serves over HTTP: its figures and its health, beside its own interface.
func (s Service) handler(db *sql.DB, e *flow.Engine, api func(*flow.Engine) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /books", func(w http.ResponseWriter, r *http.Request) {
		var b Books
		if err := db.QueryRowContext(r.Context(), s.Books).Scan(&b.Here, &b.Gone, &b.Times); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(b)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		if err := e.Health(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	if api != nil {
		mux.Handle("/", api(e))
	}
	return mux
}

// serve runs engine and HTTP server; when ctx ends, requests and steps that run are waited for.
func (s Service) serve(ctx context.Context, e *flow.Engine, h http.Handler, listening func(addr string)) error {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return e.Run(ctx) })
	all.Go(func() error {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		return nil
	})
	all.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return server.Shutdown(late)
	})
	listening(socket.Addr().String())
	return all.Wait()
}
