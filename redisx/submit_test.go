package redisx_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokertest"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/redisx"
)

// The suite, with every commit submitted.
func TestBrokerOfSubmitters(t *testing.T) {
	h := harness(redistest.Start(t).Client(), 1)
	plain, kill := h.New, h.Kill
	h.New = func(t *testing.T, l brokertest.Limits) broker.Broker { return submitting{plain(t, l)} }
	h.Kill = func(t *testing.T, b broker.Broker, w broker.Worker) { kill(t, b, w.(submitter).Worker) }
	brokertest.Run(t, h)
}

// submitting is a broker whose workers submit what they are to commit, and wait.
type submitting struct{ broker.Broker }

func (b submitting) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if by, ok := s.By.(submitter); ok {
		s.By = by.Worker
	}
	return b.Broker.Start(ctx, s)
}

func (b submitting) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := b.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	return submitter{w}, nil
}

type submitter struct{ broker.Worker }

func (s submitter) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	if err := ctx.Err(); err != nil {
		return broker.Ack{}, err
	}
	to := make(answers, 1)
	s.Worker.(broker.Submitter).Submit(copied(t), to)
	select {
	case a := <-to:
		return a.Ack, a.err
	case <-ctx.Done():
		return broker.Ack{}, ctx.Err()
	}
}

// copied is t in memory of its own: the caller of Commit may reuse its own before the answer is there.
func copied(t broker.Transition) broker.Transition {
	t.Append, t.Consume, t.Send = slices.Clone(t.Append), slices.Clone(t.Consume), slices.Clone(t.Send)
	for i := range t.Append {
		t.Append[i].Data = slices.Clone(t.Append[i].Data)
	}
	t.Outcome = slices.Clone(t.Outcome)
	return t
}

type answer struct {
	broker.Ack
	err error
}

type answers chan answer

// Answered implements broker.Submission. A second answer finds no room, and blocks for ever.
func (a answers) Answered(ack broker.Ack, err error) { a <- answer{ack, err} }

// Whoever submitted something is told, also when the broker is closed before the server has answered.
func TestWhatWasSubmittedIsAnsweredWhenTheBrokerIsClosed(t *testing.T) {
	verifyNone(t)
	client := redistest.Start(t).Client()
	b := redisx.New(client, redisx.Options{})
	served := broker.Served{Flow: "order", Version: 1}
	w, err := b.Join(t.Context(), broker.Member{Build: "b", Flows: []broker.Served{served}, Lease: time.Minute})
	require.NoError(t, err)
	const sagas = 500
	for n := range sagas {
		started, err := b.Start(t.Context(), broker.Start{ID: fmt.Sprint("a", n), Served: served, By: w})
		require.NoError(t, err)
		require.True(t, started.Owned)
	}
	to := make(answers, sagas)
	for n := range sagas {
		if n == sagas/2 {
			go b.Close()
		}
		w.(broker.Submitter).Submit(broker.Transition{ID: fmt.Sprint("a", n), Rev: 1, Next: broker.Keep}, to)
	}
	for range sagas {
		if a := <-to; a.err != nil {
			require.ErrorIs(t, a.err, broker.ErrClosed)
		}
	}
	require.NoError(t, b.Close())
}
