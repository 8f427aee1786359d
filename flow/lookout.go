package flow

import (
	"context"
	"errors"
	"time"

	"github.com/skald-go/skald/broker"
)

// lookout looks now and then whether a saga that was there is there still: a broker tells how it ends, and cannot tell of what it has
// forgotten.
type lookout struct {
	timer  *time.Timer // nil: not begun
	rings  <-chan time.Time
	pause  time.Duration
	missed bool
}

const (
	firstLookout = 5 * time.Second
	lastLookout  = 5 * time.Minute
)

// start begins to look out, if that has not begun.
func (l *lookout) start() {
	if l.timer == nil {
		l.timer, l.pause = time.NewTimer(firstLookout), firstLookout
		l.rings = l.timer.C
	}
}

func (l *lookout) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// sees says that the saga of h is gone: it was there, and twice in a row it was not. Otherwise it looks again later.
func (l *lookout) sees(ctx context.Context, h *handle) (gone bool) {
	h.mu.Lock()
	known := h.known && !h.local && h.res == nil
	h.mu.Unlock()
	missing := false
	if known {
		_, err := h.e.broker.Lookup(ctx, h.id, false)
		missing = errors.Is(err, broker.ErrUnknown) && h.result() == nil
	}
	if missing && l.missed {
		return true
	}
	if l.missed = missing; missing {
		l.timer.Reset(time.Second)
		return false
	}
	l.pause = min(2*l.pause, lastLookout)
	l.timer.Reset(l.pause)
	return false
}
