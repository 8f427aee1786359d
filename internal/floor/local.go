package floor

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
)

//go:embed commit.lua
var commitSource string

// The keys of designs E and El.
const (
	workersKey = "{floor}:w"
	statesKey  = "{floor}:s"
	ownedKey   = "{floor}:o:w1"
	queueKey   = "{floor}:q"
	bell       = "{floor}:bell"
)

// The one worker, and its token.
const (
	worker = "w1"
	token  = "1"
)

// owner is the worker of designs E and El.
type owner struct {
	f       *Floor
	writer  *batcher
	script  string
	channel string // where results are published, or ""
	keep    string
	input   string
	output  string
}

func (f *Floor) openOwner(ctx context.Context, channel string) (*owner, error) {
	if err := f.client.HSet(ctx, workersKey, worker, token).Err(); err != nil {
		return nil, fmt.Errorf("register the worker: %w", err)
	}
	script, err := f.load(ctx, commitSource)
	if err != nil {
		return nil, err
	}
	w := &owner{
		f: f, script: script, channel: channel, keep: f.keep(),
		input: strings.Repeat("p", f.work.Input), output: strings.Repeat("r", f.work.Output),
	}
	w.writer = f.batch(w.write)
	return w, nil
}

func (f *Floor) load(ctx context.Context, source string) (string, error) {
	sha, err := f.client.ScriptLoad(ctx, source).Result()
	if err != nil {
		return "", fmt.Errorf("load a script: %w", err)
	}
	return sha, nil
}

// openLocal prepares design El.
func (f *Floor) openLocal(ctx context.Context) error {
	w, err := f.openOwner(ctx, "")
	if err != nil {
		return err
	}
	f.call = func(_ context.Context, id string) error {
		if err := w.writer.submit(&op{kind: starts, id: id, value: w.input}); err != nil {
			return err
		}
		return w.run(id, w.input)
	}
	return nil
}

// run does the steps of a saga that the worker owns.
func (w *owner) run(id, state string) error {
	for range w.f.work.Steps - 1 {
		state += w.output
		if err := w.writer.submit(&op{kind: records, id: id, value: state}); err != nil {
			return err
		}
	}
	return w.writer.submit(&op{kind: finishes, id: id, value: w.output})
}

func (w *owner) write(ops []*op) error {
	var kinds [3][]*op
	for _, o := range ops {
		kinds[o.kind] = append(kinds[o.kind], o)
	}
	ended := kinds[finishes]
	args := make([]any, 0, 14+len(ended)+2*len(ops))
	args = append(args, "EVALSHA", w.script, 3+len(ended), workersKey, statesKey, ownedKey)
	for _, o := range ended {
		args = append(args, keptOf(o.id))
	}
	args = append(args, worker, token, w.keep, w.channel, len(kinds[starts]), len(kinds[records]), len(ended))
	for _, stored := range kinds[:finishes] {
		for _, o := range stored {
			args = append(args, o.id, o.value)
		}
	}
	if args = appendEnded(args, ended); w.channel != "" {
		args = append(args, message(ended))
	}
	if err := w.f.client.Do(w.f.ctx, args...).Err(); err != nil {
		return fmt.Errorf("write a batch of %d operations: %w", len(ops), err)
	}
	return nil
}

func appendEnded(args []any, ended []*op) []any {
	for _, o := range ended {
		args = append(args, o.id)
	}
	for _, o := range ended {
		args = append(args, o.value)
	}
	return args
}

func message(ended []*op) string {
	var text strings.Builder
	for _, o := range ended {
		text.WriteString(o.id + "=" + o.value + ";")
	}
	return text.String()
}
