package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/internal/chaos/history"
	"github.com/skald-go/skald/internal/chaos/sagas"
)

// check looks at everything that is left when no process runs any more. What is wrong goes to the desk.
func (r *run) check(ctx context.Context) (*tally, error) {
	wrong, err := r.town.Audit(ctx, population.Citizens, population.Pets, population.Money, population.Points)
	if err != nil {
		return nil, err
	}
	for _, w := range wrong {
		r.desk.found("", "the town has "+w)
	}
	for id, s := range r.desk.sagas {
		if err := r.checkEffects(ctx, id, s); err != nil {
			return nil, err
		}
	}
	entries, err := r.histories()
	if err != nil {
		return nil, err
	}
	if r.Store.Replicas > 0 { // until a saga has ended, a lookup may see what no replica has confirmed and a failover takes back
		entries = slices.DeleteFunc(entries, func(e history.Entry) bool { return e.Method == "lookup" && !e.Finished })
	}
	by := history.ByID(entries)
	for id, of := range by {
		legal, err := history.Check(of)
		if err != nil {
			r.desk.found(id, err.Error())
		} else if !legal {
			r.desk.found(id, "its history cannot be explained by a broker that does one thing at a time")
		}
	}
	if err := r.checkKeys(ctx); err != nil {
		return nil, err
	}
	return r.count(ctx, entries, len(by))
}

func (r *run) histories() (entries []history.Entry, err error) {
	files, err := filepath.Glob(filepath.Join(r.dir, "*.history"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		more, err := history.Read(file)
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	return entries, nil
}

// checkEffects compares the outcome of a saga with its effects in the town.
func (r *run) checkEffects(ctx context.Context, id string, s *story) error {
	if s.outcome == nil {
		if s.acked {
			r.desk.found(id, "its start was acknowledged, and it has no outcome")
		}
		return nil
	}
	effects, err := r.town.Effects(ctx, id, sagas.Shop)
	if err != nil {
		return fmt.Errorf("read the effects of saga %s: %w", id, err)
	}
	done, undone := map[string]bool{}, map[string]bool{}
	for _, e := range effects {
		step := e.Saga + "/" + e.Path
		if !e.Applied {
			continue
		}
		if e.Undo {
			undone[step] = true
		} else {
			done[step] = true
		}
	}
	for _, what := range contradictions(s, done, undone) {
		r.desk.found(id, what)
	}
	return nil
}

// contradictions says where an outcome and the effects differ.
func contradictions(s *story, done, undone map[string]bool) (wrong []string) {
	o := *s.outcome
	switch o.End {
	case "done":
		for _, step := range s.job.Steps() {
			if !done[step] {
				wrong = append(wrong, "it is done, but the town knows nothing of step "+step)
			}
		}
		for step := range undone {
			wrong = append(wrong, "it is done, but step "+step+" was undone")
		}
	case "undone":
		for step := range done {
			if !undone[step] {
				wrong = append(wrong, "it is undone, but the effect of step "+step+" is still there")
			}
		}
		if !o.Typed && !strings.Contains(o.Cause, "town: out of order") {
			wrong = append(wrong, "its cause is no error that a step returned: "+o.Cause)
		}
	default:
		wrong = append(wrong, "nobody asked for it to be a "+o.End+": "+o.Text)
	}
	for cause := range s.causes {
		if cause != o.Cause {
			wrong = append(wrong, fmt.Sprintf("while it went back the cause was %q, in the end it is %q", cause, o.Cause))
		}
	}
	if strings.Contains(o.Text, sagas.ErrLate.Error()) {
		wrong = append(wrong, "a step began after it had been undone")
	}
	return wrong
}

// checkKeys waits until all results are forgotten, and then looks for keys that are left.
func (r *run) checkKeys(ctx context.Context) error {
	l := r.servers.link()
	conn := l.client()
	defer conn.Close()
	deadline := time.Now().Add(r.Retention + 5*time.Second)
	for {
		left, err := keys(ctx, conn)
		if err != nil {
			return fmt.Errorf("list the keys: %w", err)
		}
		left = slices.DeleteFunc(left, func(key string) bool { return configures(key) || isEmptyInbox(ctx, conn, key) })
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			r.reportKeys(ctx, conn, left)
			return nil
		}
		sleep(ctx, 300*time.Millisecond)
	}
}

// configures says that a key is no saga's: the configuration of a service, and a key that is written to have replicas confirm it.
func configures(key string) bool {
	return strings.HasSuffix(key, ":config") || strings.HasSuffix(key, "}:wt")
}

// isEmptyInbox says that a key is what a service gets messages through, and that there are none.
func isEmptyInbox(ctx context.Context, conn redis.UniversalClient, key string) bool {
	if !strings.HasSuffix(key, ":inbox") {
		return false
	}
	n, err := conn.XLen(ctx, key).Result()
	return err == nil && n == 0
}

func (r *run) reportKeys(ctx context.Context, conn redis.UniversalClient, left []string) {
	for n, key := range left {
		if n == 20 {
			r.desk.found("", fmt.Sprintf("and %d more keys are left", len(left)-n))
			return
		}
		ttl := conn.PTTL(ctx, key).Val()
		_, id, _ := strings.Cut(key, "}:")
		_, id, _ = strings.Cut(id, ":")
		r.desk.found(id, fmt.Sprintf("key %q is left, a %s, to live for %v", key, conn.Type(ctx, key).Val(), ttl))
	}
}

// keys lists all keys of both services, on all masters.
func keys(ctx context.Context, conn redis.UniversalClient) (all []string, err error) {
	scan := func(ctx context.Context, node redis.Cmdable) ([]string, error) {
		var found []string
		walk := node.Scan(ctx, 0, "*"+sagas.Shop+"*", 1000).Iterator()
		for walk.Next(ctx) {
			found = append(found, walk.Val())
		}
		return found, walk.Err()
	}
	c, ok := conn.(*redis.ClusterClient)
	if !ok {
		return scan(ctx, conn)
	}
	found := make(chan []string, 1024)
	err = c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		some, err := scan(ctx, node)
		found <- some
		return err
	})
	close(found)
	for some := range found {
		all = append(all, some...)
	}
	return all, err
}
