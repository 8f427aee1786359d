package inmem_test

import "sync/atomic"

type counter struct{ n atomic.Int64 }

// add counts from 0.
func (c *counter) add() int64 { return c.n.Add(1) - 1 }
