package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/examples/petshop/shop"
	"github.com/skald-go/skald/examples/petshop/trace"
	"github.com/skald-go/skald/flow"
)

// logged collects lines of JSON.
type logged struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func (l *logged) logger(o *flow.Options) {
	o.Logger = slog.New(trace.Handler{Next: slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})})
}

// The saga's callers, steps, undos and listeners do nothing for it: see trace.Propagator.
func TestTraceAndUserAreEverywhere(t *testing.T) {
	brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
		var log logged
		heard := make(chan trace.Trace, 2)
		dead := make(chan flow.DeadLetter, 1)
		w := openAt(t, k, noon(), decoding(all), log.logger, func(o *flow.Options) {
			o.SlowAfter = 20 * time.Millisecond
			o.OnAlert = func(ctx context.Context, _ flow.Alert) { heard <- trace.From(ctx) }
			o.OnDeadLetter = func(ctx context.Context, d flow.DeadLetter) {
				heard <- trace.From(ctx)
				dead <- d
			}
		})
		w.town.Plan(
			participants.Fault{At: "sell-offer/do", Err: no},
			participants.Fault{At: "take-points/undo", Err: no},
		)
		gate := gateAt(t, w, "pay-seller/do")
		belongs := trace.Trace{ID: "trace-7", User: "bob"}
		future, err := w.BuyPet.Start(trace.With(soon(t), belongs), w.engine, shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"}, flow.ID(sagaID))
		require.NoError(t, err)
		assert.Equal(t, belongs, <-heard, "the alert that it takes long")
		gate.open()
		_, err = future.Await(soon(t))
		require.Error(t, err)
		assert.Equal(t, belongs, <-heard, "the dead letter")
		assert.Equal(t, flow.Headers{"Trace-Id": "trace-7", "Trace-User": "bob"}, (<-dead).Headers)

		assert.Len(t, calls(w, sagaID), 9)
		for _, e := range w.town.Journal(sagaID) {
			assert.Equal(t, belongs, e.Trace, "%s, undo %t", e.Step(), e.Undo())
		}
		requireTraced(t, log.text(), belongs)
	})
}

func requireTraced(t *testing.T, log string, belongs trace.Trace) {
	t.Helper()
	lines := 0
	for dec := json.NewDecoder(bytes.NewBufferString(log)); dec.More(); lines++ {
		var line map[string]any
		require.NoError(t, dec.Decode(&line))
		assert.Equal(t, sagaID, line["saga"], line)
		assert.Equal(t, belongs.ID, line["trace"], line)
		assert.Equal(t, belongs.User, line["user"], line)
	}
	assert.Equal(t, 2, lines, "one that it takes long, one that it is a dead letter: %s", log)
}

// stored is all that a broker has of a saga.
func stored(t *testing.T, b broker.Broker, id string) []byte {
	s, err := b.Lookup(t.Context(), id, true)
	require.NoError(t, err)
	all := append(s.Record.Record, s.Outcome...)
	for _, e := range s.Journal {
		all = append(all, e.Data...)
	}
	for _, m := range s.Mail {
		all = append(all, m.Data...)
	}
	return all
}

func enciphering(t *testing.T) func(*flow.Options) {
	codec, err := flow.Cipher(nil, flow.Key{ID: "2025-11", Secret: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	return func(o *flow.Options) { o.Codec = codec }
}

func TestTokensAreNotReadableInWhatIsStored(t *testing.T) {
	for _, c := range []struct {
		name     string
		cipher   func(*testing.T) func(*flow.Options)
		readable bool
	}{
		{"with a cipher", enciphering, false},
		{"without", func(*testing.T) func(*flow.Options) { return func(*flow.Options) {} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			brokers.Each(t, func(t *testing.T, k brokers.Kind, all bool) {
				var log logged
				b := k.Open(t)
				kept := k
				kept.Open = func(testing.TB) broker.Broker { return b }
				w := openAt(t, kept, noon(), decoding(all), log.logger, c.cipher(t))
				in := shop.OnOffer{Caller: w.as("bob"), Offer: "o-1"}
				token := []byte(in.Caller.Token)
				w.town.Plan(
					participants.Fault{At: "sell-offer/do", Err: no},
					participants.Fault{At: "lock-offer/undo", Err: no},
				)
				gate := gateAt(t, w, "pay-seller/do")
				future, err := w.BuyPet.Start(soon(t), w.engine, in, flow.ID(sagaID))
				require.NoError(t, err)
				<-gate.reached
				assert.Equal(t, c.readable, bytes.Contains(stored(t, b, sagaID), token), "while it runs")
				gate.open()
				_, err = future.Await(soon(t))
				require.Error(t, err)
				assert.Equal(t, []string{sagaID}, deadLetters(t, w))
				assert.Equal(t, c.readable, bytes.Contains(stored(t, b, sagaID), token), "as a dead letter")
				assert.Equal(t, c.readable, bytes.Contains(stored(t, b, sagaID), []byte("patience")), "the text of its error")
				assert.NotContains(t, err.Error(), in.Caller.Token)
				assert.NotContains(t, log.text(), in.Caller.Token)
				require.NoError(t, w.engine.Relay(soon(t), sagaID, flow.By{Who: "support"}))
				_, err = future.Await(soon(t))
				refusal := &domain.SoldOut{}
				assert.ErrorAs(t, err, &refusal)
			})
		})
	}
}
