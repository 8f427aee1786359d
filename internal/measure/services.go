package measure

import (
	"context"
	"errors"

	"github.com/skald-go/skald/internal/workload"
)

// Calls prepares an engine of the service Here, which starts the sagas that it runs, and one of the service Away, which runs what they call. The place must
// be on Redis.
func (p Place) Calls(ctx context.Context) (Site, error) {
	away := p
	away.Broker.Namespace, away.Broker.Service = workload.Away, workload.Away
	b, _, closeAway := away.open()
	e, err := RunEngine(ctx, b, away.options(), workload.Called)
	if err != nil {
		return Site{}, errors.Join(err, closeAway())
	}
	closeAll := func() error { return errors.Join(e.Stop(), closeAway()) }
	here := p
	here.Broker.Namespace, here.Broker.Service = workload.Here, workload.Here
	site, err := here.Local(ctx, workload.CallingSaga)
	if err != nil {
		return Site{}, errors.Join(err, closeAll())
	}
	closeHere := site.Close
	site.Close = func() error { return errors.Join(closeHere(), closeAll()) }
	return site, nil
}
