package floor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// naive is design N.
type naive struct {
	f      *Floor
	client *redis.Client // has a connection for every caller that waits
	input  string
	output string
}

func (f *Floor) openNaive(ctx context.Context) error {
	f.client.Close()
	f.client = connect(f.addr, f.work.Callers+100)
	n := &naive{f: f, client: f.client, input: strings.Repeat("p", f.work.Input), output: strings.Repeat("r", f.work.Output)}
	f.call = n.call
	return f.readEvents(ctx, n.handle)
}

func (n *naive) call(ctx context.Context, id string) error {
	if err := n.client.HSet(ctx, stateOf(id), "state", 0).Err(); err != nil {
		return fmt.Errorf("store its state: %w", err)
	}
	if err := n.client.Set(ctx, "floor:request:"+id, n.input, 0).Err(); err != nil {
		return fmt.Errorf("store its request: %w", err)
	}
	if err := n.publish(ctx, id, 0, n.input); err != nil {
		return err
	}
	if err := n.client.BLPop(ctx, 5*time.Second, resultOf(id)).Err(); err != nil {
		return fmt.Errorf("wait for its result: %w", err)
	}
	return nil
}

func (n *naive) publish(ctx context.Context, id string, step int, data string) error {
	if err := n.client.XAdd(ctx, &redis.XAddArgs{Stream: events, Values: []string{"i", id, "k", strconv.Itoa(step), "d", data}}).Err(); err != nil {
		return fmt.Errorf("publish the event of step %d: %w", step, err)
	}
	return nil
}

func (n *naive) handle(e event) error {
	if e.step < n.f.work.Steps-1 {
		if err := n.client.HSet(n.f.ctx, stateOf(e.id), "state", e.step+1).Err(); err != nil {
			return fmt.Errorf("store the state of step %d: %w", e.step+1, err)
		}
		if err := n.publish(n.f.ctx, e.id, e.step+1, e.data); err != nil {
			return err
		}
	} else if err := n.client.LPush(n.f.ctx, resultOf(e.id), n.output).Err(); err != nil {
		return fmt.Errorf("give the result: %w", err)
	}
	if err := n.client.XAck(n.f.ctx, events, group, e.entry).Err(); err != nil {
		return fmt.Errorf("acknowledge the event of step %d: %w", e.step, err)
	}
	return nil
}

func stateOf(id string) string  { return "{floor}:state:" + id }
func resultOf(id string) string { return "floor:result:" + id }
