package engines

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/broker/brokerfault"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/simulate/world"
)

// life is what persons do while sagas run: they send what is waited for, decide about dead letters, and take sagas from their workers.
type life struct {
	steady  bool // nobody takes sagas from their workers
	fleet   *fleet
	town    *town
	books   *books
	broker  *brokerfault.Broker
	random  *rand.Rand
	signals []flow.Signal[world.Num]
	decided map[string]int
	seized  int
}

func (l *life) live(ctx context.Context) {
	for round := 0; wait(ctx, 500*time.Millisecond); round++ {
		l.send(ctx, round)
		l.decide(ctx)
		if !l.steady && l.random.IntN(2) == 0 {
			l.seize(ctx)
		}
	}
}

// send gives sagas that are parked the signals that they may wait for, now and then one of them twice, and some to those that run.
func (l *life) send(ctx context.Context, round int) {
	ids := l.ids(ctx, broker.Parked)
	if round%3 == 0 {
		ids = append(ids, l.ids(ctx, broker.Owned)...)
	}
	for _, id := range ids {
		if l.random.IntN(3) == 0 {
			continue
		}
		for k, signal := range l.signals {
			for range 1 + l.random.IntN(2) {
				err := signal.Send(ctx, l.fleet.any(l.random.IntN(8)), id, world.Num(7), flow.SignalID(fmt.Sprintf("%d-%d", round, k)))
				if err != nil && !errors.Is(err, flow.ErrSettled) && ctx.Err() == nil {
					l.town.complain("%s: send: %v", id, err)
				}
			}
		}
	}
}

// ids lists the sagas in a state.
func (l *life) ids(ctx context.Context, state broker.State) (ids []string) {
	for s, err := range l.broker.Broker.List(ctx, broker.Filter{State: state}) {
		if err == nil {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// decide relays dead letters, settles some, and those that were relayed in vain.
func (l *life) decide(ctx context.Context) {
	by, end := flow.By{Who: "ann", Why: "because"}, errors.New("a person ended it")
	l.town.note(end)
	for _, id := range l.ids(ctx, broker.Buried) {
		e := l.fleet.any(l.random.IntN(8))
		l.decided[id]++
		l.town.soothe(id)
		var err error
		switch stuck := stuckUndo(ctx, e, id); {
		case l.decided[id] > 3 || l.random.IntN(10) == 0:
			err = e.SettleFailed(ctx, id, end, by)
		case stuck != "" && l.random.IntN(3) == 0:
			err = e.Skip(ctx, id, stuck, by)
		default:
			err = e.Relay(ctx, id, by)
		}
		if err != nil && !errors.Is(err, flow.ErrNotDead) && ctx.Err() == nil {
			l.town.complain("%s: a person's decision: %v", id, err)
		}
	}
}

// stuckUndo gives the path of an undo that failed for good, if there is one.
func stuckUndo(ctx context.Context, e *flow.Engine, id string) string {
	snap, err := e.Snapshot(ctx, id)
	if failure, ok := errors.AsType[*flow.Error](snap.Err); ok && err == nil {
		for _, u := range failure.Undone {
			if u.Err != nil && !strings.Contains(u.Step, "child") {
				return u.Step
			}
		}
	}
	return ""
}

// seize takes a saga from its worker, as a broker does that has forgotten a write.
func (l *life) seize(ctx context.Context) {
	owned := l.ids(ctx, broker.Owned)
	if len(owned) == 0 {
		return
	}
	id := owned[l.random.IntN(len(owned))]
	l.books.of(id).loosen()
	if err := l.broker.Seize(ctx, id); err == nil {
		l.seized++
	}
}
