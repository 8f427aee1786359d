package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/chaos/history"
	"github.com/skald-go/skald/internal/chaos/sagas"
	"github.com/skald-go/skald/internal/chaos/town"
	"github.com/skald-go/skald/redisx"
)

// workerEnv holds the role of a worker process; with it the program is a worker and nothing else.
const workerEnv = "SKALD_CHAOS_WORKER"

// role is what a worker process has to know.
type role struct {
	Name      string // new for each process
	Service   string
	URL       string // of the window
	Log       string // file of the history
	Link      link
	Lease     time.Duration
	Retention time.Duration
	Callers   int
	Store     store
}

// beWorker runs sagas of its service, and starts some of the shop, until it is told to end or its parent is gone.
func beWorker(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("chaos: read the role of a worker: %w", err)
	}
	log, err := history.Create(r.Log)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client := r.Link.client()
	b := redisx.New(client, r.Store.options(r.Service))
	desk := newCounter(r.URL)
	ask := func(ctx context.Context, c town.Call) (town.Verdict, error) {
		c.Worker = r.Name
		return desk.ask(ctx, c)
	}
	engine := newEngine(history.Record(b, log, r.Name), r.Service, r.Name, r.Lease, r.Retention)
	var group sync.WaitGroup
	if r.Service == sagas.Bank {
		engine.Serve(sagas.NewBank(ask))
	} else {
		book := sagas.New(ask)
		book.Serve(engine)
		group.Go(func() { (&callers{r.Name, desk, book, engine}).run(ctx, r.Callers) })
	}
	err = engine.Run(ctx)
	group.Wait()
	return errors.Join(err, b.Close(), client.Close(), log.Close())
}

func newEngine(b *history.Recorder, service, name string, lease, retention time.Duration) *flow.Engine {
	return flow.NewEngine(b, flow.Options{
		Name: name, Namespace: service, Errors: sagas.Errors(), Lease: lease, Retention: retention, TakeoverLimit: 1000, Grace: 2 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
}
