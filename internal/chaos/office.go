package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/skald-go/skald/internal/chaos/sagas"
	"github.com/skald-go/skald/internal/chaos/town"
)

// office is where callers get what to start, and report what they were told.
type office interface {
	// next blocks for a while for a task, and gives nil if there is none.
	next(ctx context.Context, caller string) (*task, error)
	report(ctx context.Context, r report) error
}

// task is a saga to start, or to ask for.
type task struct {
	N      uint64
	Job    sagas.Job
	Attach bool // only ask
}

// report is what a caller knows of a saga.
type report struct {
	Caller  string
	Task    uint64
	ID      string
	Acked   bool           // the start was acknowledged
	Outcome *sagas.Outcome // as told
	Wrong   string         // an answer that must not be
	Over    bool           // the task is done
	Back    bool           // the caller stops before the task is done
}

// window serves the office and the town to worker processes.
type window struct {
	server   *http.Server
	listener net.Listener
	served   chan error
}

func openWindow(o office, t *town.Town) (*window, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /next", answer(func(ctx context.Context, caller string) (*task, error) { return o.next(ctx, caller) }))
	mux.HandleFunc("POST /report", answer(func(ctx context.Context, r report) (bool, error) { return true, o.report(ctx, r) }))
	mux.HandleFunc("POST /town", answer(t.Ask))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for workers: %w", err)
	}
	w := &window{server: &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}, listener: l, served: make(chan error, 1)}
	go func() { w.served <- w.server.Serve(l) }()
	return w, nil
}

func (w *window) url() string { return "http://" + w.listener.Addr().String() }

func (w *window) close() {
	w.server.Close()
	<-w.served
}

// answer makes a handler that reads an I and writes an O.
func answer[I, O any](f func(context.Context, I) (O, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in I
		err := json.NewDecoder(r.Body).Decode(&in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(w).Encode(out)
	}
}

// counter is the office and the town as a worker process sees them.
type counter struct {
	url    string
	client *http.Client
}

func newCounter(url string) *counter {
	return &counter{url: url, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

func (c *counter) next(ctx context.Context, caller string) (*task, error) {
	return post[*task](ctx, c, "/next", caller)
}

func (c *counter) report(ctx context.Context, r report) error {
	_, err := post[bool](ctx, c, "/report", r)
	return err
}

func (c *counter) ask(ctx context.Context, call town.Call) (town.Verdict, error) {
	return post[town.Verdict](ctx, c, "/town", call)
}

func post[O any](ctx context.Context, c *counter, path string, in any) (out O, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("%s: %s", path, bytes.TrimSpace(text))
	}
	return out, json.Unmarshal(text, &out)
}
