package redisx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Durability is what a broker waits for before it says that something is stored. The zero value is the server's own: a write is
// acknowledged when the server has applied it, and lasts as its appendonly, appendfsync and replicas make it last.
type Durability struct {
	replicas int
	fsync    bool
	within   time.Duration
}

// Replicated has every write confirmed by n replicas (WAIT), so that a failover to one of them loses nothing that was acknowledged,
// as long as the one that is promoted has confirmed. While fewer than n answer, calls wait and then fail. It panics if n is less than 1.
func Replicated(n int) Durability {
	if n < 1 {
		panic(fmt.Sprintf("redisx: Replicated(%d): at least one replica has to confirm", n))
	}
	return Durability{replicas: n, within: time.Second}
}

// Fsynced has every write on the server's disk (WAITAOF) before it is acknowledged. It needs Redis 7.2 with appendonly; where writes are
// few, appendfsync always does the same on any server.
func Fsynced() Durability {
	return Durability{fsync: true, within: time.Second}
}

// Within is d with another time than a second after which a confirmation that has not come is asked for again.
func (d Durability) Within(limit time.Duration) Durability {
	d.within = limit
	return d
}

// String gives what d is called in this package.
func (d Durability) String() string {
	switch {
	case d.fsync:
		return "Fsynced"
	case d.replicas > 0:
		return fmt.Sprintf("Replicated(%d)", d.replicas)
	}
	return "the server's own"
}

// lasting tells whether what a script writes is confirmed: all that is acknowledged to somebody, and what a worker takes, so that nothing runs
// of which the server may forget who owns it. Signs of life and chores are not: what is lost of them is done again.
func (d Durability) lasting(script *redis.Script) bool {
	if d == (Durability{}) {
		return false
	}
	switch script {
	case applyScript, commitScript, enqueueScript, receiveScript, ownedScript, restoreScript:
		return true
	}
	return false
}

var errUnconfirmed = errors.New("the server has the write, and has not confirmed that it will last")

// confirmed runs a script and has the server confirm it, on one connection: WAIT is about what was written there. A script that was
// applied before writes nothing when it is repeated, so a key is written behind it.
func (p *partition) confirmed(ctx context.Context, script *redis.Script, args []any) (any, error) {
	node, err := p.node(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := p.confirm(ctx, node, func(pipe redis.Pipeliner) *redis.Cmd { return script.EvalSha(ctx, pipe, p.keys, args...) })
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = p.confirm(ctx, node, func(pipe redis.Pipeliner) *redis.Cmd { return script.Eval(ctx, pipe, p.keys, args...) })
	}
	return reply, err
}

func (p *partition) confirm(ctx context.Context, node *redis.Client, run func(redis.Pipeliner) *redis.Cmd) (any, error) {
	d := p.b.opts.Durability
	pipe := node.Pipeline()
	ran := run(pipe)
	pipe.Set(ctx, p.prefix+"wt", "1", time.Minute)
	confirmed := d.ask(ctx, pipe)
	_, err := pipe.Exec(ctx)
	switch enough, failed := confirmed(); {
	case ran.Err() != nil:
		return nil, ran.Err()
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, err
	case !enough:
		return nil, fmt.Errorf("%w: durability is %v, and within %v too few confirmed", errUnconfirmed, d, d.within)
	}
	return ran.Val(), nil
}

// ask adds the question to a pipeline, and gives a function that reads the answer.
func (d Durability) ask(ctx context.Context, pipe redis.Pipeliner) func() (enough bool, err error) {
	millis := max(1, d.within.Milliseconds())
	if d.fsync {
		done := pipe.Do(ctx, "waitaof", 1, 0, millis)
		return func() (bool, error) {
			local := values(done.Val())
			return len(local) > 0 && number(local[0]) >= 1, done.Err()
		}
	}
	done := pipe.Do(ctx, "wait", d.replicas, millis)
	return func() (bool, error) { return number(done.Val()) >= int64(d.replicas), done.Err() }
}

// errClient is why a client will not do.
var errClient = errors.New("Options.Durability needs a *redis.Client or a *redis.ClusterClient")

// node gives the client of the node that has the partition.
func (p *partition) node(ctx context.Context) (*redis.Client, error) {
	return p.b.nodeOf(ctx, p.keys[0])
}

// nodeOf gives the client of the node that has a key.
func (b *Broker) nodeOf(ctx context.Context, key string) (*redis.Client, error) {
	switch client := b.client.(type) {
	case *redis.Client:
		return client, nil
	case *redis.ClusterClient:
		return client.MasterForKey(ctx, key)
	}
	return nil, errClient
}
