package redisx

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// onEach runs a script in all partitions of the bus, and gives each answer to read.
func (b *Broker) onEach(ctx context.Context, n int, read func([]any), script scripted) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	for _, p := range b.parts {
		answer, err := ask(ctx, b, func(ctx context.Context) ([]any, error) { return script(ctx, p, n) })
		if err != nil {
			return err
		}
		read(answer)
	}
	return nil
}

type scripted func(ctx context.Context, p *partition, n int) ([]any, error)

// Groups implements broker.Bus.
func (b *Broker) Groups(ctx context.Context, topic string) ([]broker.Group, error) {
	found := make(map[string]*broker.Group)
	var order []string
	err := b.home.onEach(ctx, 4, func(v []any) {
		order = readGroups(found, order, topic, v)
	}, func(ctx context.Context, p *partition, n int) ([]any, error) { return p.list(ctx, n, busLook, topic) })
	if err != nil {
		return nil, fmt.Errorf("redisx: groups of %q: %w", topic, err)
	}
	slices.Sort(order)
	var all []broker.Group
	for _, name := range order {
		all = append(all, *found[name])
	}
	return all, nil
}

// readGroups adds what bus_look.lua answers for one partition.
func readGroups(found map[string]*broker.Group, order []string, topic string, v []any) []string {
	meta := make(map[string]uint64)
	for i, pairs := 0, values(v[1]); i+1 < len(pairs); i += 2 {
		meta[text(pairs[i])], _ = strconv.ParseUint(text(pairs[i+1]), 10, 64)
	}
	sizes := values(v[3])
	for i := 0; i+2 < len(sizes); i += 3 {
		name := text(sizes[i])
		g := found[name]
		if g == nil {
			g = &broker.Group{Name: name}
			found[name], order = g, append(order, name)
		}
		g.Open += int(number(sizes[i+1]))
		g.Dead += int(number(sizes[i+2]))
		next := max(meta["c/"+name], max(meta["f"], 1))
		g.Unread += meta["n"] + 1 - min(next, meta["n"]+1)
		g.Lost += meta["x/"+name]
		if at := meta["y/"+name]; at > 0 && time.UnixMilli(int64(at)).After(g.LostAt) {
			g.LostAt = time.UnixMilli(int64(at))
		}
		g.Readers = readersOf(values(v[2]), topic, name)
	}
	return order
}

// readersOf names the subscribers of a group. Each says the same in every partition.
func readersOf(living []any, topic, group string) (names []string) {
	for _, said := range living {
		name, _, _ := strings.Cut(text(said), "\n")
		if strings.Contains(text(said), "\n"+topic+"/"+group+"\n") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// deadChunk is how many dead events are read at a time.
const deadChunk = 100

// Dead implements broker.Bus. The events of each partition are given one partition after the other.
func (b *Broker) Dead(ctx context.Context, topic, group string) iter.Seq2[broker.DeadEvent, error] {
	return func(yield func(broker.DeadEvent, error) bool) {
		err := b.home.usable(ctx)
		for _, p := range b.home.parts {
			if err != nil {
				break
			}
			var on bool
			if on, err = p.dead(ctx, topic, group, yield); err == nil && !on {
				return
			}
		}
		if err != nil {
			yield(broker.DeadEvent{}, fmt.Errorf("redisx: dead events of %q on %q: %w", group, topic, err))
		}
	}
}

// dead walks over the dead events of a partition, and says whether the walk goes on.
func (p *partition) dead(ctx context.Context, topic, group string, yield func(broker.DeadEvent, error) bool) (bool, error) {
	key := p.prefix + "ex:" + topic + "/" + group
	names, err := ask(ctx, p.b, func(ctx context.Context) ([]string, error) { return p.b.client.HKeys(ctx, key).Result() })
	if err != nil {
		return false, err
	}
	slices.SortFunc(names, func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
	for chunk := range slices.Chunk(names, deadChunk) {
		stored, err := ask(ctx, p.b, func(ctx context.Context) ([]any, error) { return p.b.client.HMGet(ctx, key, chunk...).Result() })
		if err != nil {
			return false, err
		}
		for i, v := range stored {
			if v == nil {
				continue // somebody has decided meanwhile
			}
			d, err := parseBuried(topic, group, text(v))
			if err != nil {
				return false, fmt.Errorf("event %s: %w", chunk[i], err)
			}
			d.Ref = strconv.Itoa(p.number) + ":" + chunk[i]
			if !yield(d, nil) {
				return false, nil
			}
		}
	}
	return true, nil
}

// Relive implements broker.Bus.
func (b *Broker) Relive(ctx context.Context, topic, group, ref string) error {
	return b.home.decide(ctx, "relive", topic, group, ref, 1)
}

// Drop implements broker.Bus.
func (b *Broker) Drop(ctx context.Context, topic, group, ref string) error {
	return b.home.decide(ctx, "drop", topic, group, ref, 0)
}

func (b *Broker) decide(ctx context.Context, what, topic, group, ref string, lives int) error {
	err := b.usable(ctx)
	if err == nil {
		err = b.decideIn(ctx, topic, group, ref, lives)
	}
	if err != nil {
		return fmt.Errorf("redisx: %s event %s of %q on %q: %w", what, ref, group, topic, err)
	}
	return nil
}

func (b *Broker) decideIn(ctx context.Context, topic, group, ref string, lives int) error {
	at, n, _ := strings.Cut(ref, ":")
	k, err := strconv.Atoi(at)
	if err != nil || k < 0 || k >= len(b.parts) {
		return broker.ErrNoEvent
	}
	p := b.parts[k]
	was, err := ask(ctx, b, func(ctx context.Context) (any, error) {
		return p.insist(ctx, busDecide, []any{topic, group, n, lives}, b.opts.Durability != (Durability{}))
	})
	switch {
	case err != nil:
		return err
	case number(was) == 0:
		return broker.ErrNoEvent
	}
	return nil
}

// Forget implements broker.Bus.
func (b *Broker) Forget(ctx context.Context, topic, group string) error {
	home := b.home
	err := home.usable(ctx)
	for _, p := range home.parts {
		if err != nil {
			break
		}
		var free any
		free, err = ask(ctx, home, func(ctx context.Context) (any, error) { return p.run(ctx, busForget, topic, group) })
		if err == nil && number(free) == 0 {
			err = broker.ErrRead
		}
	}
	if err != nil {
		return fmt.Errorf("redisx: forget group %q of %q: %w", group, topic, err)
	}
	return nil
}
