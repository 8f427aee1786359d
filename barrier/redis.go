package barrier

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skald-go/skald/step"
)

// ErrBroken says that a script failed after it had written something. Redis keeps what a script wrote before it failed, so nobody can say how much of the
// effect there is: it is never run again, neither is its undo, and the saga becomes a dead letter. Who has put things right deletes the record, whose key is
// in the error.
var ErrBroken = errors.New("barrier: the script broke off after it had written")

// DefaultTTL is how long Redis keeps the record of an effect unless Redis.TTL says otherwise.
const DefaultTTL = 30 * 24 * time.Hour

// Redis makes effects happen once in a Redis of version 7.0 or later: a script and the record of it are one script. It is a plain value, and its methods
// may be called concurrently.
type Redis struct {
	// Client is of the Redis, Sentinel or Cluster that the effects are in.
	Client redis.Scripter
	// Name tells the barriers of one step apart.
	Name string
	// Prefix begins the keys of records, "skald:barrier:" unless set.
	Prefix string
	// TTL is how long a record is kept after its action or undo, DefaultTTL unless set. It is longer than a saga can live: see Prune.
	TTL time.Duration

	known bool
}

// Known is SQL.Known.
func (r Redis) Known(known bool) Redis {
	r.known = known
	return r
}

// Named is the same barrier for another effect of the step.
func (r Redis) Named(name string) Redis {
	r.Name = name
	return r
}

// Script is an effect in Redis.
type Script struct {
	source  string
	script  *redis.Script
	refuses map[string]error
}

//go:embed redis.lua
var frame string

// NewScript makes an effect of the text of a Lua script, as one would give it to EVAL: it has KEYS and ARGV, calls redis.call, and returns what is to be
// its result. It checks first and writes then, because Redis takes nothing back: see ErrBroken. To refuse, it calls refuse(code, text) before it has
// written; text may be left out.
//
// A result is recorded with cmsgpack, which takes tables up to 16 levels deep.
func NewScript(source string) Script {
	return Script{source: source, script: redis.NewScript("local effect = function(KEYS, ARGV, redis, refuse) " + source + "\nend\n" + frame)}
}

// Refuses gives a code of refuse its error. A code without one gets an error with the code and the text.
func (s Script) Refuses(code string, err error) Script {
	refuses := map[string]error{code: err}
	for old, err := range s.refuses {
		if old != code {
			refuses[old] = err
		}
	}
	s.refuses = refuses
	return s
}

// Do runs a script unless what ctx's step does has been done before, and gives its result as redis.Script.Run does: redis.Nil for nil. There is at least one
// key, and in a cluster all are in one slot; the record goes to the slot of the first. An undo whose action has not happened gives redis.Nil.
//
// The error is a refusal of the step if the script refused, or if its undo was there first. It is ErrBroken if the script failed after it had written. After
// any other error there was either no effect, or the connection was lost and the next attempt finds out.
func (r Redis) Do(ctx context.Context, s Script, keys []string, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	reply, err := r.run(ctx, s, keys, args)
	if err != nil {
		cmd.SetErr(err)
		return cmd
	}
	cmd.SetVal(reply)
	if reply == nil {
		cmd.SetErr(redis.Nil)
	}
	return cmd
}

func (r Redis) run(ctx context.Context, s Script, keys []string, args []any) (any, error) {
	if r.Client == nil || s.script == nil {
		return nil, errors.New("barrier: a Redis without Client, or a Script that NewScript did not make")
	}
	e, err := scopeOf(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	record, err := r.record(e, keys)
	if err != nil {
		return nil, err
	}
	operation := "do"
	switch {
	case e.again:
		operation = "again"
	case e.undo:
		operation = "undo"
	}
	ttl := r.TTL
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	args = append([]any{operation, max(ttl.Milliseconds(), 1), r.known}, args...)
	reply, err := s.script.Run(ctx, r.Client, append([]string{record}, keys...), args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("barrier: %v: %w", e, err)
	}
	return s.read(e, record, reply)
}

// read takes the reply of the script apart.
func (s Script) read(e scope, record string, reply []any) (any, error) {
	const result, refused, undone, broken, forgotten = 0, 1, 2, 3, 4
	kind, _ := reply[0].(int64)
	switch {
	case kind == result && len(reply) == 1: // what Lua has and no reply can be
		return nil, nil
	case kind == result && len(reply) == 2:
		return reply[1], nil
	case kind == refused && len(reply) == 3:
		return nil, step.Refused(s.refusal(reply[1].(string), reply[2].(string)))
	case kind == undone:
		return nil, e.late()
	case kind == forgotten:
		return nil, e.forgotten(true)
	case kind == broken && len(reply) == 2 && e.undo:
		return nil, step.GiveUp(fmt.Errorf("%w: %v, recorded at %q: %v", ErrBroken, e, record, reply[1]))
	case kind == broken && len(reply) == 2:
		return nil, step.Permanent(fmt.Errorf("%w: %v, recorded at %q: %v", ErrBroken, e, record, reply[1]))
	default:
		return nil, fmt.Errorf("barrier: %v: a reply of %d parts that begins with %v", e, len(reply), reply[0])
	}
}

// refusal is the error of a code.
func (s Script) refusal(code, text string) error {
	err := s.refuses[code]
	switch {
	case err == nil && text == "":
		return errors.New(code)
	case err == nil:
		return fmt.Errorf("%s: %s", code, text)
	case text == "":
		return err
	default:
		return fmt.Errorf("%s: %w", text, err)
	}
}

// record is the key of the effect's record, in the slot of the first key of the effect.
func (r Redis) record(e scope, keys []string) (string, error) {
	if len(keys) == 0 {
		return "", fmt.Errorf("barrier: %v: a script without keys: its record would be in no slot", e)
	}
	tag, err := hashTag(keys[0])
	if err != nil {
		return "", fmt.Errorf("barrier: %v: %w", e, err)
	}
	prefix := r.Prefix
	if prefix == "" {
		prefix = "skald:barrier:"
	}
	if strings.Contains(prefix, "{") {
		return "", fmt.Errorf("%w: prefix %q: it contains a brace, which would choose the slot", ErrName, prefix)
	}
	return prefix + "{" + tag + "}" + e.key, nil
}

// hashTag is what decides the slot of a key, as the specification of Redis Cluster says: the text in its first braces if there is any, else all of it.
func hashTag(key string) (string, error) {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
			return tag, nil
		}
	}
	if key == "" || strings.Contains(key, "}") {
		return "", fmt.Errorf("no other key can be in the slot of %q: give it a hash tag", key)
	}
	return key, nil
}
