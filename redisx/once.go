package redisx

import "sync/atomic"

// once lets something be done by one goroutine at a time: a node that does not answer holds up what concerns it, and nothing else.
type once struct{ busy atomic.Bool }

// do calls f on a goroutine of the broker, unless the last call has not ended; then it says false.
func (o *once) do(b *Broker, f func()) bool {
	if !o.busy.CompareAndSwap(false, true) {
		return false
	}
	started := b.spawn(func() {
		defer o.busy.Store(false)
		f()
	})
	if !started {
		o.busy.Store(false)
	}
	return started
}
