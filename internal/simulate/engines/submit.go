package engines

import (
	"context"

	"github.com/skald-go/skald/broker"
)

// postal is a broker whose workers answer later what is submitted, as those on a server do.
type postal struct{ broker.Broker }

var (
	_ broker.Broker    = postal{}
	_ broker.Submitter = submitter{}
)

// submitter is a worker of a postal broker.
type submitter struct{ broker.Worker }

// Start implements broker.Broker.
func (p postal) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	if by, ok := s.By.(submitter); ok {
		s.By = by.Worker
	}
	return p.Broker.Start(ctx, s)
}

// Join implements broker.Broker.
func (p postal) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := p.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	return submitter{w}, nil
}

// Submit implements broker.Submitter. The answer comes from another goroutine.
func (s submitter) Submit(t broker.Transition, to broker.Submission) {
	go func() { to.Answered(s.Commit(context.Background(), t)) }()
}
