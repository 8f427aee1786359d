package errcodec

import (
	"cmp"
	"time"
)

// Limits bounds what one error may cost. Zero fields have useful values.
type Limits struct {
	// Bytes is the largest encoding, 64 KiB by default and at least 512.
	// Beyond it long texts lose their ends, then the last causes are cut.
	Bytes int

	// Nodes is how many errors of a tree are sent, 1,000 by default and at
	// most 10,000. What is registered among the others still answers to
	// errors.Is, up to 32 sentinels.
	Nodes int

	// Patience is how long all methods of unregistered types together may
	// take, 400 ms by default; the first millisecond of each does not
	// count. One call gets half of what is left.
	Patience time.Duration
}

const (
	leastBytes = 512
	mostNodes  = 10_000
)

func (l Limits) withDefaults() Limits {
	return Limits{
		Bytes:    max(leastBytes, cmp.Or(l.Bytes, 64<<10)),
		Nodes:    min(mostNodes, max(1, cmp.Or(l.Nodes, 1000))),
		Patience: max(0, cmp.Or(l.Patience, 400*time.Millisecond)),
	}
}
