package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/workload"
)

// Crowd brings sagas of package workload to rest: so many that are Ready for a worker, Owned by one while their step runs, Parked after their
// first step, or Finished and kept. It returns when at least so many are there. Those that are owned end with Close of the site; the
// others stay.
func (p Place) Crowd(ctx context.Context, state broker.State, sagas int) (Site, error) {
	site, start, err := p.gather(ctx, state, sagas)
	if err != nil {
		return Site{}, err
	}
	_, err = Load{Callers: min(256, sagas), Calls: sagas}.Run(ctx, start)
	if err == nil {
		err = arrived(ctx, site.Broker, state, sagas)
	}
	if err != nil {
		return Site{}, errors.Join(fmt.Errorf("measure: bring %d sagas to rest: %w", sagas, err), site.Close())
	}
	return site, nil
}

// gather prepares an engine for a crowd, and what brings one saga there.
func (p Place) gather(ctx context.Context, state broker.State, sagas int) (Site, Call, error) {
	starting := func(site Site, saga workload.Saga, err error) (Site, Call, error) {
		return site, func(ctx context.Context) error { return saga.Start(ctx, site.Engine) }, err
	}
	switch state {
	case broker.Ready:
		return starting(p.Starter(workload.SuccessSaga), workload.SuccessSaga, nil)
	case broker.Parked:
		site, err := p.Local(ctx, workload.WaitingSaga)
		return starting(site, workload.WaitingSaga, err)
	case broker.Finished:
		site, err := p.Local(ctx, workload.SuccessSaga)
		return site, site.Call, err
	case broker.Owned:
		released := make(chan struct{})
		saga := workload.Blocked(released)
		p.Callers = max(p.Callers, 2*sagas)
		site, err := p.Local(ctx, saga)
		if err != nil {
			return site, nil, err
		}
		closeSite := site.Close
		site.Close = func() error {
			close(released)
			return closeSite()
		}
		return starting(site, saga, nil)
	}
	return Site{}, nil, fmt.Errorf("measure: no crowd rests in state %v", state)
}

// arrived waits until b counts so many sagas in a state.
func arrived(ctx context.Context, b broker.Broker, state broker.State, sagas int) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		stats, err := b.Stats(ctx)
		if err != nil || count(stats, state) >= sagas {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d are there: %w", count(stats, state), sagas, ctx.Err())
		}
	}
}

func count(s broker.Stats, state broker.State) int {
	switch state {
	case broker.Ready:
		return s.Ready
	case broker.Owned:
		return s.Owned
	case broker.Parked:
		return s.Parked
	}
	return s.Finished
}
