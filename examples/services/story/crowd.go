package story

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	customers = 8
	purchases = 25 // of each
)

// crowd lets many customers order at once, and kills payments when a quarter of them has been served. It gives how many orders were confirmed.
func (s *story) crowd(ctx context.Context) (int64, error) {
	s.say("\n%d customers order %d times each; payments is killed in the middle, and started again", customers, purchases)
	var served, confirmed atomic.Int64
	quarter := make(chan struct{})
	all, ctx := errgroup.WithContext(ctx)
	for n := range customers {
		all.Go(func() error {
			for k := range purchases {
				a, err := s.order(ctx, fmt.Sprintf("%s-crowd-%d-%d", s.run, n, k), oneOf(n, k))
				if err != nil {
					return err
				}
				if a.status != oneOf(n, k).status {
					return fmt.Errorf("order %d of customer %d: the answer was %d: %s", k, n, a.status, a.text)
				}
				if a.status == http.StatusOK {
					confirmed.Add(1)
				}
				if served.Add(1) == customers*purchases/4 {
					close(quarter)
				}
			}
			return nil
		})
	}
	all.Go(func() error { return s.disturb(ctx, quarter) })
	if err := all.Wait(); err != nil {
		return 0, err
	}
	s.say("    all %d were answered: %d confirmed, %d refused and undone", served.Load(), confirmed.Load(), served.Load()-confirmed.Load())
	return confirmed.Load(), nil
}

// oneOf gives customers something to do: most orders go well.
func oneOf(n, k int) scene {
	switch {
	case k%5 == n%5:
		return scene{by: "ada", count: 1, to: "the moon", status: http.StatusUnprocessableEntity}
	case k%7 == n%7:
		return scene{by: "bob", count: 1, status: http.StatusPaymentRequired}
	default:
		return scene{by: "ada", count: 1 + n%3, status: http.StatusOK}
	}
}

// outage is how long payments is gone.
const outage = 3 * time.Second

// disturb kills payments as soon as it may, and starts it again.
func (s *story) disturb(ctx context.Context, soon <-chan struct{}) error {
	select {
	case <-soon:
	case <-ctx.Done():
		return nil // something else went wrong
	}
	if err := s.kill("payments"); err != nil {
		return err
	}
	s.say("    payments is gone (kill -9)")
	select {
	case <-time.After(outage):
	case <-ctx.Done():
		return nil
	}
	if err := s.start("payments"); err != nil {
		return err
	}
	s.say("    payments is back, %v later", outage)
	return nil
}
