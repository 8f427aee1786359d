package flow

import (
	"context"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// How often the store is read for somebody who follows a saga that another process runs.
const (
	followPause    = 10 * time.Millisecond
	maxFollowPause = 500 * time.Millisecond
)

// follow calls look until it says true: whenever this process commits something of the saga or hears of its
// end, and now and then.
func (h *handle) follow(ctx context.Context, look func() bool) error {
	for pause := followPause; ; pause = min(2*pause, maxFollowPause) {
		changed := h.channel(changedChannel)
		if look() {
			return nil
		}
		if h.result() != nil {
			changed = nil // it is closed for good
		}
		t := time.NewTimer(pause)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-h.e.closed:
			t.Stop()
			return broker.ErrClosed
		}
		t.Stop()
	}
}

// decided waits until it is known how the saga will end.
func (h *handle) decided(ctx context.Context) (res *result, err error) {
	h.enter()
	defer h.exit()
	if err := h.verify(ctx); err != nil {
		return nil, err
	}
	err = h.follow(ctx, func() bool {
		res = h.verdict(ctx)
		return res != nil
	})
	if err != nil {
		return h.gaveUp(err)
	}
	return res, nil
}

// verdict gives how the saga will end, or nil if that is open.
func (h *handle) verdict(ctx context.Context) *result {
	if res := h.standing(ctx); res != nil {
		return res
	}
	m, s, err := h.inspect(ctx)
	switch {
	case err != nil:
		return nil
	case m == nil:
		res := h.e.resultIn(h, s)
		return &res
	}
	defer m.Release()
	if !m.Compensating() {
		return nil
	}
	return &result{state: StateCompensating, err: failure(m.Failure(saga.Compensating))}
}
