package step

import (
	"cmp"
	"fmt"
	"time"

	"github.com/skald-go/skald/internal/plan"
)

// The pauses of a Retry that does not say.
const (
	DefaultDelay    = 100 * time.Millisecond
	DefaultMaxDelay = 30 * time.Second
)

// Retry is a policy for repeating failed attempts. The n-th pause is random between 0 and
// min(MaxDelay, Delay·2ⁿ⁻¹): exponential backoff with full jitter, after "Exponential Backoff And
// Jitter" (AWS Architecture Blog, 2015). The pause survives restarts.
type Retry struct {
	Attempts        int           // in all, the first one included; 0 is 10
	Delay, MaxDelay time.Duration // 0 is 100 ms and 30 s
}

func (r Retry) policy() plan.Retry {
	return plan.Retry{
		Attempts: cmp.Or(r.Attempts, 10),
		Delay:    cmp.Or(r.Delay, DefaultDelay),
		MaxDelay: max(cmp.Or(r.MaxDelay, DefaultMaxDelay), r.Delay),
	}
}

func (r Retry) check(step, method string) {
	if r.Attempts < 0 || r.Delay < 0 || r.MaxDelay < 0 {
		panic(fmt.Sprintf("step: %q.%s(%+v): a negative number", step, method, r))
	}
	if r.MaxDelay > 0 && r.MaxDelay < r.Delay {
		panic(fmt.Sprintf("step: %q.%s(%+v): MaxDelay is less than Delay", step, method, r))
	}
}
