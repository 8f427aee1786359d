package step

import (
	"context"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// Info tells a running step or undo where it is.
type Info struct {
	Namespace string            // of the engine
	Flow      string            // name of the flow
	Saga      string            // ID of the saga
	Path      string            // durable name of the step in its flow
	Attempt   int               // 1 is the first
	Undo      bool              // the undo runs, not the step
	Again     bool              // the undo runs for another reason, after an earlier one has answered Proceed
	Deadline  time.Time         // of the saga; zero if it has none
	Headers   map[string]string // of the saga; not to be changed
}

// Key is the idempotency key: the same for every attempt of this step of this saga, and another for
// its undo. An undo that comes after one that has answered Proceed has a third: it is no repeat of that one.
// Give it to the participant, so that it can tell a repeat.
func (i Info) Key() string {
	op := "/do"
	switch {
	case i.Undo && i.Again:
		op = "/undo-again"
	case i.Undo:
		op = "/undo"
	}
	return i.Namespace + "/" + i.Saga + "/" + i.Path + op
}

// InfoFrom gives the info of the step or undo that ctx belongs to, or the zero Info.
func InfoFrom(ctx context.Context) Info {
	if info, ok := ctx.Value(plan.InfoKey{}).(*Info); ok {
		return *info
	}
	return Info{}
}

// WithInfo returns a context in which InfoFrom finds info, for calling a step's function in a unit test.
func WithInfo(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, plan.InfoKey{}, &info)
}
