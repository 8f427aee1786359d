package redisx

import "sync/atomic"

// alone lets something be done by one goroutine at a time: a node that does not answer holds up what concerns it, and nothing else.
type alone struct{ busy atomic.Bool }

// do calls f on a goroutine of the broker, unless the last call has not ended; then it says false.
func (a *alone) do(b *Broker, f func()) bool {
	if !a.busy.CompareAndSwap(false, true) {
		return false
	}
	started := b.spawn(func() {
		defer a.busy.Store(false)
		f()
	})
	if !started {
		a.busy.Store(false)
	}
	return started
}
