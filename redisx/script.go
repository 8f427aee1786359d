package redisx

import (
	"context"
	_ "embed"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/broker"
)

var (
	//go:embed common.lua
	commonSource string
	//go:embed claim.lua
	claimSource string
	//go:embed apply.lua
	applySource string
	//go:embed commit.lua
	commitSource string
	//go:embed enqueue.lua
	enqueueSource string
	//go:embed receive.lua
	receiveSource string
	//go:embed owned.lua
	ownedSource string
	//go:embed join.lua
	joinSource string
	//go:embed beat.lua
	beatSource string
	//go:embed sweep.lua
	sweepSource string
	//go:embed tidy.lua
	tidySource string
	//go:embed patrol.lua
	patrolSource string
	//go:embed look.lua
	lookSource string
	//go:embed count.lua
	countSource string
	//go:embed restore.lua
	restoreSource string
)

var (
	applyScript   = redis.NewScript(commonSource + claimSource + applySource)
	commitScript  = redis.NewScript(commitSource)
	enqueueScript = redis.NewScript(enqueueSource)
	receiveScript = redis.NewScript(commonSource + receiveSource)
	ownedScript   = redis.NewScript(commonSource + ownedSource)
	joinScript    = redis.NewScript(commonSource + joinSource)
	beatScript    = redis.NewScript(commonSource + beatSource)
	sweepScript   = redis.NewScript(commonSource + claimSource + sweepSource)
	tidyScript    = redis.NewScript(commonSource + tidySource)
	patrolScript  = redis.NewScript(commonSource + patrolSource)
	lookScript    = redis.NewScript(commonSource + lookSource)
	countScript   = redis.NewScript(commonSource + countSource)
	restoreScript = redis.NewScript(commonSource + restoreSource)
)

var errReply = errors.New("the server's answer makes no sense")

// run runs a script on the partition, with what Options.Durability asks for if it writes what must not be lost. It is harmless if the client
// sends it twice, so a server that cannot answer now is asked again for a while.
func (p *partition) run(ctx context.Context, script *redis.Script, args ...any) (any, error) {
	return p.insist(ctx, script, args, p.b.opts.Durability.lasting(script))
}

func (p *partition) insist(ctx context.Context, script *redis.Script, args []any, confirm bool) (any, error) {
	return p.insistOn(ctx, script, append(p.call(make([]any, 0, callLength+len(args)), script), args...), confirm)
}

// callLength is how many words a call of a script has before its arguments.
const callLength = 4

// call appends the words with which a script is called, before its arguments.
func (p *partition) call(words []any, script *redis.Script) []any {
	return append(words, "evalsha", script.Hash(), "1", p.keys[0])
}

// runCall is run for what call began. The client may keep args as long as it runs.
func (p *partition) runCall(ctx context.Context, script *redis.Script, words []any) (any, error) {
	return p.insistOn(ctx, script, words, p.b.opts.Durability.lasting(script))
}

func (p *partition) insistOn(ctx context.Context, script *redis.Script, words []any, confirm bool) (any, error) {
	var reply any
	err := p.b.persist(ctx, func() (err error) {
		if confirm {
			reply, err = p.confirmed(ctx, script, words[callLength:])
			return err
		}
		reply, err = p.eval(ctx, words)
		if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = script.Eval(ctx, p.b.client, p.keys, words[callLength:]...).Result()
		}
		return err
	})
	if err != nil && strings.HasSuffix(err.Error(), "FENCED") {
		return nil, broker.ErrFenced
	}
	return reply, err
}

func (p *partition) eval(ctx context.Context, words []any) (any, error) {
	cmd := redis.NewCmd(ctx, words...)
	_ = p.b.client.Process(ctx, cmd)
	return cmd.Result()
}

// list is run for scripts that answer a list of at least n values.
func (p *partition) list(ctx context.Context, n int, script *redis.Script, args ...any) ([]any, error) {
	reply, err := p.run(ctx, script, args...)
	return listOf(n, reply, err)
}

func listOf(n int, reply any, err error) ([]any, error) {
	if err != nil {
		return nil, err
	}
	values, ok := reply.([]any)
	if !ok || len(values) < n {
		return nil, errReply
	}
	return values, nil
}

// number reads one value of an answer; what is no number is 0.
func number(v any) int64 {
	n, _ := v.(int64)
	return n
}

// text reads one value of an answer; what is no text is empty.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// values reads one value of an answer; what is no list is empty.
func values(v any) []any {
	l, _ := v.([]any)
	return l
}
