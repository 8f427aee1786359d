package flow

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/internal/saga"
)

// Options change what an Engine does. The zero value works.
type Options struct {
	Name      string // of this engine, for people: "host-pid" unless set
	Namespace string // first part of idempotency keys; "skald" unless set

	Errors      *errcodec.Codec // the errors that arrive as themselves; nil: only the standard library's
	Codec       Codec           // of payloads; nil: MsgPack
	Propagators []Propagator
	Logger      *slog.Logger // nil: slog.Default

	// Interceptors run around every attempt of a step or an undo, the first around the others. Without any they cost nothing.
	Interceptors []Interceptor

	// Concurrency is how many sagas this engine works on at once, and how many attempts it runs at once;
	// sagas that wait do not count. 0 is 1024.
	Concurrency int
	// Handlers is how many events of a group this engine handles at once, unless AtOnce says otherwise. 0 is 64.
	Handlers int
	// Lease is how long the broker waits for a sign of life before others take this engine's sagas. 0 is 15 s.
	Lease time.Duration
	// Grace is how long Run waits for running attempts when it is told to end. 0 is 10 s.
	Grace time.Duration
	// AbandonAfter is how long an attempt whose context has ended is waited for. 0 is 30 s.
	AbandonAfter time.Duration
	// Retention is how long a result can be read after the saga has ended. 0 is an hour.
	Retention time.Duration
	// NotYetLimit is how long a step or undo may answer NotYet. 0 is 24 h.
	NotYetLimit time.Duration
	// TakeoverLimit is how many workers may die in a row over one saga before it is a dead letter. 0 is 10.
	TakeoverLimit int
	// MaxPayload bounds one value, in bytes. 0 is 256 KB.
	MaxPayload int
	// MaxRecord bounds all that a saga records, in bytes. A quarter of it is kept for undos. 0 is 1 MB.
	MaxRecord int
	// SlowAfter is how long a saga may take before OnAlert hears of it; 0 is never.
	SlowAfter time.Duration

	// OnDeadLetter hears of every saga that this engine made a dead letter. It is called once for each, after it was
	// stored, and not again if the process dies meanwhile: List finds all of them. It may block; its ctx has what the
	// propagators extracted, and ends with the engine, when Grace is over.
	OnDeadLetter func(ctx context.Context, d DeadLetter)
	// OnDeadEvent hears of every event that this engine made a dead one, as OnDeadLetter does of sagas: DeadEvents finds all of them.
	OnDeadEvent func(ctx context.Context, d DeadEvent)
	// OnAlert hears of sagas that take too long: longer than SlowAfter, past a deadline that comes after the pivot, or an
	// attempt that outlived its context by AbandonAfter; and of events that a group lost. It may block, and gets a ctx as OnDeadLetter does.
	OnAlert func(ctx context.Context, a Alert)

	// DecodeAll makes every value that a step gets the decoded form of what was recorded, as after a
	// restart. It costs time, and finds values that do not survive one. For tests.
	DecodeAll bool
}

// moment is the longest wait that stays in memory rather than being handed to the broker.
const moment = 100 * time.Millisecond

func (o Options) withDefaults() Options {
	if o.Name == "" {
		host, _ := os.Hostname()
		o.Name = fmt.Sprintf("%s-%d", cmp.Or(host, "engine"), os.Getpid())
	}
	o.Namespace = cmp.Or(o.Namespace, "skald")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Concurrency = cmp.Or(o.Concurrency, 1024)
	o.Handlers = cmp.Or(o.Handlers, 64)
	o.Lease = cmp.Or(o.Lease, 15*time.Second)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.AbandonAfter = cmp.Or(o.AbandonAfter, 30*time.Second)
	o.Retention = cmp.Or(o.Retention, time.Hour)
	o.NotYetLimit = cmp.Or(o.NotYetLimit, 24*time.Hour)
	o.TakeoverLimit = cmp.Or(o.TakeoverLimit, 10)
	o.MaxPayload = cmp.Or(o.MaxPayload, 256<<10)
	o.MaxRecord = cmp.Or(o.MaxRecord, 1<<20)
	return o
}

func (o Options) check() error {
	for name, n := range map[string]int64{
		"Concurrency": int64(o.Concurrency), "Handlers": int64(o.Handlers), "Lease": int64(o.Lease), "Grace": int64(o.Grace), "AbandonAfter": int64(o.AbandonAfter),
		"Retention": int64(o.Retention), "NotYetLimit": int64(o.NotYetLimit), "TakeoverLimit": int64(o.TakeoverLimit),
		"MaxPayload": int64(o.MaxPayload), "MaxRecord": int64(o.MaxRecord), "SlowAfter": int64(o.SlowAfter),
	} {
		if n < 0 {
			return fmt.Errorf("flow: Options.%s is negative", name)
		}
	}
	for k, i := range o.Interceptors {
		if i == nil {
			return fmt.Errorf("flow: Options.Interceptors[%d] is nil", k)
		}
	}
	return nil
}

func (o Options) env(p *payloads, errs *wireErrors) saga.Env {
	return saga.Env{
		Payloads: p, Errors: errs, Fail: failure, Jitter: rand.Float64,
		Namespace: o.Namespace, MaxPayload: o.MaxPayload, MaxRecord: o.MaxRecord,
		Typed: o.Codec == nil, NotYetLimit: o.NotYetLimit, Moment: moment, Keep: o.Retention, SlowAfter: o.SlowAfter, DecodeAll: o.DecodeAll,
	}
}
