package flow

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/step"
)

// part is something of an engine that can be down.
type part uint8

const (
	partJoin part = iota
	partReceive
	partCommit
	partSubscribe
	partHear
	parts
)

var partNames = [parts]string{"joining the broker", "receiving from the broker", "committing to the broker", "subscribing to events", "receiving events"}

// health remembers what fails at the moment.
type health struct {
	errs [parts]atomic.Pointer[error]
}

func (h *health) ok(p part) {
	if h.errs[p].Load() != nil {
		h.errs[p].Store(nil)
	}
}

func (h *health) failed(p part, err error) {
	h.errs[p].Store(&err)
}

// joined says that a new membership begins: what failed in the last one does not count any more.
func (h *health) joined() {
	for _, p := range []part{partJoin, partReceive, partCommit} {
		h.ok(p)
	}
}

// Health says what is wrong with the engine at the moment: the broker that does not answer, or what it says of its connection, readers and
// signs of life (broker.Checker), a part of the engine whose last call failed, its end, sagas that no living worker takes, other services that
// have not answered a call of this engine for a minute, or events that a group which it listens for lost within the last hour. nil is healthy. It
// asks the broker, and blocks as long as that takes or ctx allows.
//
// A dead letter that holds a lock or key which another saga waits for is told as well.
func (e *Engine) Health(ctx context.Context) error {
	if e.isZero() {
		return fmt.Errorf("flow: health: %w", ErrZero)
	}
	var errs []error
	if e.phase.Load() >= draining {
		errs = append(errs, ErrEnded)
	}
	for p := range e.health.errs {
		if err := e.health.errs[p].Load(); err != nil {
			errs = append(errs, fmt.Errorf("flow: %s: %w", partNames[p], *err))
		}
	}
	errs = append(errs, e.events.trouble()...)
	if c, ok := e.broker.(broker.Checker); ok {
		if err := c.Check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("flow: the broker: %w", err))
		}
	}
	stats, err := e.broker.Stats(ctx)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("flow: asking the broker: %w", err))
	case stats.Stranded > 0:
		errs = append(errs, fmt.Errorf("flow: no living worker takes %d sagas: serve their flow and version, or see List; what is a schedule ends with RemoveSchedule", stats.Stranded))
	}
	errs = append(errs, e.unanswered(ctx)...)
	if err == nil && stats.Buried > 0 {
		errs = append(errs, e.blocking(ctx)...)
	}
	return errors.Join(errs...)
}

func stackOf(err error) string {
	var p *step.PanicError
	if errors.As(err, &p) {
		return string(p.Stack)
	}
	return ""
}
