package history

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/skald-go/skald/broker"
)

var (
	_ broker.Broker = (*Recorder)(nil)
	_ broker.Linked = (*Recorder)(nil)
)

// Recorder is a broker that writes down what it is asked and what it answers.
type Recorder struct {
	broker.Broker
	log     *Log
	process string
	joins   atomic.Int64
}

// Record wraps b. process names the caller in the log.
func Record(b broker.Broker, log *Log, process string) *Recorder {
	return &Recorder{Broker: b, log: log, process: process}
}

// Service implements broker.Linked.
func (r *Recorder) Service() string {
	if l, ok := r.Broker.(broker.Linked); ok {
		return l.Service()
	}
	return ""
}

// worker is a membership with a name of its own.
type worker struct {
	broker.Worker
	log    *Log
	name   string
	joined int64
}

// Start implements broker.Broker.
func (r *Recorder) Start(ctx context.Context, s broker.Start) (broker.Started, error) {
	op := Op{Method: "start", ID: s.ID}
	switch by := s.By.(type) {
	case *worker:
		op.Worker, s.By = by.name, by.Worker
	case submitter:
		op.Worker, s.By = by.name, by.Worker
	}
	n := r.log.call(op)
	started, err := r.Broker.Start(ctx, s)
	r.log.back(n, Reply{Err: text(err), Owned: started.Owned, Existed: started.Existed})
	return started, err
}

// Lookup implements broker.Broker.
func (r *Recorder) Lookup(ctx context.Context, id string, journal bool) (broker.Snapshot, error) {
	n := r.log.call(Op{Method: "lookup", ID: id})
	s, err := r.Broker.Lookup(ctx, id, journal)
	r.log.back(n, Reply{Err: text(err), Rev: s.Rev, Finished: s.State == broker.Finished})
	return s, err
}

// Join implements broker.Broker.
func (r *Recorder) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	at := now()
	w, err := r.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	own := &worker{Worker: w, log: r.log, name: fmt.Sprintf("%s/%d", r.process, r.joins.Add(1)), joined: at}
	if inner, ok := w.(broker.Submitter); ok {
		return submitter{own, inner}, nil
	}
	return own, nil
}

// Receive implements broker.Worker. A saga that it hands out may be the worker's since that joined.
func (w *worker) Receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	got, err := w.Worker.Receive(ctx, room)
	for _, d := range got {
		if d.Saga != nil {
			w.log.both(w.joined, Op{Method: "receive", ID: d.ID, Worker: w.name}, Reply{Rev: d.Saga.Rev, Owned: true, Takeovers: d.Saga.Takeovers})
		}
	}
	return got, err
}

// Commit implements broker.Worker.
func (w *worker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	n := w.log.call(Op{Method: "commit", ID: t.ID, Worker: w.name, Rev: t.Rev, Next: uint8(t.Next)})
	ack, err := w.Worker.Commit(ctx, t)
	w.log.back(n, Reply{Err: text(err), Rev: ack.Rev, Owned: ack.Owned})
	return ack, err
}

// submitter is the worker of a broker whose workers are submitters.
type submitter struct {
	*worker
	inner broker.Submitter
}

// Submit implements broker.Submitter.
func (w submitter) Submit(t broker.Transition, to broker.Submission) {
	n := w.log.call(Op{Method: "commit", ID: t.ID, Worker: w.name, Rev: t.Rev, Next: uint8(t.Next)})
	w.inner.Submit(t, submission{to, w.log, n})
}

// submission writes the answer down before it tells.
type submission struct {
	broker.Submission
	log  *Log
	call uint64
}

// Answered implements broker.Submission.
func (s submission) Answered(ack broker.Ack, err error) {
	s.log.back(s.call, Reply{Err: text(err), Rev: ack.Rev, Owned: ack.Owned})
	s.Submission.Answered(ack, err)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
