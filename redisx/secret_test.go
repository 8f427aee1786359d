package redisx_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/internal/redistest"
	"github.com/skald-go/skald/internal/workload"
	"github.com/skald-go/skald/redisx"
)

// told collects what is logged, by the engine and by the client.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *told) Printf(_ context.Context, format string, args ...any) {
	fmt.Fprintf(l, format+"\n", args...)
}

func (l *told) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Whatever goes wrong, neither the user's name nor the password is in an error or in a log.
func TestErrorsAndLogsNameNeitherUserNorPassword(t *testing.T) {
	const user, password = "geheimrat", "geheimnis"
	s := redistest.Start(t, redistest.User(user+" on >"+password+" ~* &* +@all"))
	for name, spoil := range map[string]func(t *testing.T, o *redis.Options){
		"wrong password":     func(_ *testing.T, o *redis.Options) { o.Password += " not" },
		"unknown user":       func(_ *testing.T, o *redis.Options) { o.Username += "-in" },
		"unreachable server": func(_ *testing.T, o *redis.Options) { o.Addr = "127.0.0.1:1" },
		"no permission": func(t *testing.T, _ *redis.Options) {
			require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", user, "-evalsha", "-eval").Err())
		},
		"no key": func(t *testing.T, _ *redis.Options) {
			require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", user, "+@all", "resetkeys").Err())
		},
		"no channel": func(t *testing.T, _ *redis.Options) {
			require.NoError(t, s.Client().Do(t.Context(), "ACL", "SETUSER", user, "+@all", "~*", "resetchannels").Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log told
			redis.SetLogger(&log)
			opts := s.ClientOptions()
			opts.Username, opts.Password, opts.MaxRetries = user, password, -1
			spoil(t, opts)
			texts := append(failures(t, opts, &log), log.String())
			for _, text := range texts {
				assert.NotContains(t, text, user)
				assert.NotContains(t, text, password)
			}
		})
	}
}

// failures are the texts of all errors that a broker and an engine give with such a client.
func failures(t *testing.T, client *redis.Options, log *told) (texts []string) {
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := redis.NewClient(client)
	t.Cleanup(func() { c.Close() })
	b := newBroker(t, c, redisx.Options{Logger: logger})
	opts := options()
	opts.Logger = logger
	e := flow.NewEngine(b, opts)
	e.Serve(workload.Success)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	note := func(err error) {
		if err != nil {
			texts = append(texts, err.Error(), fmt.Sprintf("%+v", err))
		}
	}
	_, err := b.Start(ctx, broker.Start{ID: "a", Served: broker.Served{Flow: "order"}})
	note(err)
	_, err = b.Join(ctx, broker.Member{Build: "b", Lease: time.Minute})
	note(err)
	_, err = b.Lookup(ctx, "a", true)
	note(err)
	note(b.Deliver(ctx, "a", broker.Event{ID: "e"}))
	_, err = b.Stats(ctx)
	note(err)
	for _, err := range e.List(ctx, flow.Filter{}) {
		note(err)
	}
	_, err = workload.Success.Start(ctx, e, workload.Input())
	note(err)
	note(e.Health(ctx))
	note(<-ended)
	require.NotEmpty(t, strings.Join(texts, ""), "nothing went wrong")
	return texts
}
