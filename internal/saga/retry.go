package saga

import (
	"time"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

// backoff is the pause after the n-th attempt: see step.Retry.
func backoff(r plan.Retry, n int, jitter func() float64) time.Duration {
	d, limit := r.Delay, r.MaxDelay
	if d <= 0 {
		d, limit = step.DefaultDelay, step.DefaultMaxDelay
	}
	for ; n > 1 && d < limit; n-- {
		d += min(d, limit-d)
	}
	return time.Duration(jitter() * float64(min(d, limit)))
}
