package floor

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

var errClosed = errors.New("it is closed")

// results is the channel on which those who work tell those who started.
const results = "floor:results"

// waiters are the callers that wait, by the saga's ID.
type waiters struct{ byID sync.Map }

func (w *waiters) add(id string) chan struct{} {
	done := make(chan struct{}, 1)
	w.byID.Store(id, done)
	return done
}

func (w *waiters) tell(id string) {
	if done, ok := w.byID.LoadAndDelete(id); ok {
		done.(chan struct{}) <- struct{}{}
	}
}

// await waits for what add has given.
func (f *Floor) await(ctx context.Context, done chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ctx.Done():
		return context.Cause(f.ctx)
	}
}

// hear tells callers what is published: "id=result;id=result;".
func (f *Floor) hear(ctx context.Context) error {
	return f.subscribe(ctx, f.client.Subscribe(ctx, results), func(text string) {
		for result := range strings.SplitSeq(text, ";") {
			if id, _, found := strings.Cut(result, "="); found {
				f.waiters.tell(id)
			}
		}
	})
}

// subscribe calls heard with each message until the floor is closed.
func (f *Floor) subscribe(ctx context.Context, sub *redis.PubSub, heard func(string)) error {
	if _, err := sub.Receive(ctx); err != nil {
		sub.Close()
		return err
	}
	messages := sub.Channel(redis.WithChannelSize(10_000))
	f.group.Go(func() {
		defer sub.Close()
		for {
			select {
			case m := <-messages:
				heard(m.Payload)
			case <-f.ctx.Done():
				return
			}
		}
	})
	return nil
}
