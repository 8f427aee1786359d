package measure

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Run is what is measured, and where costs are read.
type Run struct {
	Call   Call
	Server redis.UniversalClient // nil: there is none
	Worker *Worker               // a process that works for the calls; nil: there is none
}

// Costs are what calls took.
type Costs struct {
	Times
	HasClient bool          // the system tells Client
	Client    time.Duration // processor time of this process and of the worker
	Server    ServerCosts   // zero without a server
}

// Measure makes the calls of load and reads what they cost.
func (r Run) Measure(ctx context.Context, load Load) (Costs, error) {
	client, server, err := r.read(ctx)
	if err != nil {
		return Costs{}, err
	}
	times, err := load.Run(ctx, r.Call)
	if err != nil {
		return Costs{}, err
	}
	clientAfter, serverAfter, err := r.read(ctx)
	costs := Costs{Times: times, Client: clientAfter - client}
	_, costs.HasClient = CPU()
	if r.Server != nil {
		costs.Server = serverAfter.Since(server)
	}
	return costs, err
}

func (r Run) read(ctx context.Context) (client time.Duration, server ServerCosts, err error) {
	client, _ = CPU()
	if r.Worker != nil {
		used, err := r.Worker.CPU()
		if err != nil {
			return 0, server, err
		}
		client += used
	}
	if r.Server != nil {
		server, err = ReadServer(ctx, r.Server)
	}
	return client, server, err
}

// Per is a cost of all calls for one of them, in microseconds.
func (c Costs) Per(cost time.Duration) float64 {
	return float64(cost.Nanoseconds()) / 1000 / float64(c.Calls)
}
