// Package floor does the Redis work of a saga and nothing else: no codec, no engine, no user code. It is what engines are
// measured against, in the same run and on the same server.
//
// Its designs keep sagas in four ways. Batches of A, E and El hold up to 128 operations, and two are under way at once.
package floor

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Design is how sagas are kept in Redis.
type Design string

const (
	// Naive needs a round trip for each command, keeps state and events apart, has callers wait in BLPOP, and deletes nothing.
	Naive Design = "N"
	// Events writes an event per step, atomically and in batches.
	Events Design = "A"
	// Queue has a queue, a set of what the worker owns, and a hash of states, written by fenced scripts; who starts and who works are apart.
	Queue Design = "E"
	// Local is Queue without the queue: the worker that starts a saga owns it at once.
	Local Design = "El"
)

// Designs are all of them, from the slowest to the fastest.
func Designs() []Design { return []Design{Naive, Events, Queue, Local} }

// Work says what a saga is. No field may be zero.
type Work struct {
	Steps   int           // of a saga
	Input   int           // bytes that its start writes: the input and headers
	Output  int           // bytes that each of its steps records
	Callers int           // how many call at once, at most
	Keep    time.Duration // how long results are kept
}

// Floor does the work of sagas. Make one with Open. Call may be used by as many goroutines at once as Work says.
type Floor struct {
	work    Work
	addr    string
	client  *redis.Client
	call    func(ctx context.Context, id string) error
	waiters waiters
	serial  atomic.Int64

	group  sync.WaitGroup
	ctx    context.Context // ends with Close, or with the error after which no saga ends
	cancel context.CancelCauseFunc
}

// Open prepares a design on the server at addr, which should be empty and is changed under keys that begin with "floor" or "{floor}".
func Open(ctx context.Context, addr string, design Design, work Work) (*Floor, error) {
	f := &Floor{work: work, addr: addr, client: connect(addr, 64)}
	f.ctx, f.cancel = context.WithCancelCause(context.Background())
	if err := f.open(ctx, design); err != nil {
		f.Close()
		return nil, fmt.Errorf("floor: prepare design %s on %s: %w", design, addr, err)
	}
	return f, nil
}

func (f *Floor) open(ctx context.Context, design Design) error {
	switch design {
	case Naive:
		return f.openNaive(ctx)
	case Events:
		return f.openEvents(ctx)
	case Queue:
		return f.openQueue(ctx)
	case Local:
		return f.openLocal(ctx)
	}
	return fmt.Errorf("it does not exist, the designs are %q", Designs())
}

func connect(addr string, connections int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, PoolSize: connections, PipelinePoolSize: connections, Protocol: 2, DisableIdentity: true, MaxRetries: -1,
	})
}

// Call does the work of one saga, and returns when its caller would have the result.
func (f *Floor) Call(ctx context.Context) error {
	if err := f.call(ctx, f.nextID()); err != nil {
		return fmt.Errorf("floor: do the work of a saga on %s: %w", f.addr, err)
	}
	return nil
}

func (f *Floor) nextID() string {
	return "01J" + strconv.FormatInt(1_000_000_000_000+f.serial.Add(1), 36) + "abcd"
}

// Close ends what works on sagas. Calls must have returned.
func (f *Floor) Close() {
	f.cancel(errClosed)
	f.client.Close()
	f.group.Wait()
}

// fail ends everything because of err: calls that wait would wait for ever.
func (f *Floor) fail(err error) { f.cancel(err) }
