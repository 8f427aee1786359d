package redisx

import (
	"context"
	"time"
)

const (
	patrolEvery = 2 * time.Second      // a chunk of the sagas
	patrolPause = 5 * time.Millisecond // between chunks when the server may have lost something
)

// patrol looks for sagas that the server has lost sight of, a chunk now and then, and all of them after the connection was lost: then the
// server may be another, which does not have all that was acknowledged.
func (b *Broker) patrol() {
	cursors := make([]string, len(b.parts))
	for i := range cursors {
		cursors[i] = "0"
	}
	tick := time.NewTicker(patrolEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.alarm:
			for i, p := range b.parts {
				cursors[i] = p.patrolAll(b.ctx)
			}
		case <-tick.C:
			for i, p := range b.parts {
				cursors[i] = p.patrol(b.ctx, cursors[i])
			}
		case <-b.ctx.Done():
			return
		}
	}
}

// suspect has all sagas looked at soon.
func (b *Broker) suspect() {
	select {
	case b.alarm <- struct{}{}:
	default:
	}
}

// patrol looks at one chunk, and gives the next cursor. What cannot be looked at now is looked at later.
func (p *partition) patrol(ctx context.Context, cursor string) string {
	v, err := p.list(ctx, 2, patrolScript, cursor, p.b.node)
	if err != nil {
		return "0"
	}
	if found := number(v[1]); found > 0 {
		p.b.opts.Logger.Warn("redisx: the server had lost sight of sagas, which go on now: it lost a part of what it had acknowledged, as a failover "+
			"without Options.Durability or a restart without appendonly does", "namespace", p.b.opts.Namespace, "partition", p.number, "sagas", found)
	}
	return text(v[0])
}

func (p *partition) patrolAll(ctx context.Context) string {
	cursor := "0"
	for {
		if cursor = p.patrol(ctx, cursor); cursor == "0" {
			return cursor
		}
		select {
		case <-time.After(patrolPause):
		case <-ctx.Done():
			return cursor
		}
	}
}
