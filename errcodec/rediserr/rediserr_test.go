package rediserr_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/errcodectest"
	"github.com/skald-go/skald/errcodec/rediserr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// client is connected to a server that gives one answer to GET.
func client(t *testing.T, answer string) *redis.Client {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn, answer)
		}
	}()
	c := redis.NewClient(&redis.Options{
		Addr: listener.Addr().String(), MaxRetries: -1, Protocol: 2, DisableIdentity: true,
		ReadTimeout: 50 * time.Millisecond, PoolSize: 1, PoolTimeout: 20 * time.Millisecond,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func serve(conn net.Conn, answer string) {
	defer conn.Close()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch strings.ToUpper(lines.Text()) {
		case "GET":
			_, _ = fmt.Fprintf(conn, "%s", answer)
		case "HELLO":
			_, _ = fmt.Fprint(conn, "-ERR unknown command 'HELLO'\r\n")
		}
	}
}

func TestRealErrors(t *testing.T) {
	codec := errcodec.New(rediserr.Errors())
	get := func(c *redis.Client) error { return c.Get(context.Background(), "k").Err() }
	cases := map[string]struct {
		happen func(t *testing.T) error
		check  func(t *testing.T, err error)
	}{
		"nil":        {func(t *testing.T) error { return get(client(t, "$-1\r\n")) }, func(t *testing.T, err error) { require.ErrorIs(t, err, redis.Nil) }},
		"wrong type": {func(t *testing.T) error { return get(client(t, "-WRONGTYPE no\r\n")) }, isReply("WRONGTYPE")},
		"no script":  {func(t *testing.T) error { return get(client(t, "-NOSCRIPT No matching script. Please use EVAL.\r\n")) }, func(t *testing.T, err error) { require.ErrorIs(t, err, redis.ErrNoScript) }},
		"closed": {func(t *testing.T) error {
			c := client(t, "")
			_ = c.Close()
			return get(c)
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, redis.ErrClosed) }},
		"read time-out": {func(t *testing.T) error { return get(client(t, "")) }, func(t *testing.T, err error) {
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			assert.True(t, timeout.Timeout())
		}},
		"refused": {func(*testing.T) error {
			return get(redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1}))
		}, func(t *testing.T, err error) {
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		}},
		"cancelled": {func(t *testing.T) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return client(t, "").Get(ctx, "k").Err()
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, context.Canceled) }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := fmt.Errorf("redisx: %w", c.happen(t))
			c.check(t, want)
			c.check(t, errcodectest.Travels(t, codec, want))
		})
	}
}

func isReply(prefix string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		var reply redis.Error
		require.ErrorAs(t, err, &reply)
		assert.True(t, redis.HasErrorPrefix(err, prefix))
	}
}

func TestPoolTimeout(t *testing.T) {
	c := client(t, "$-1\r\n")
	only := c.Conn() // the pool has no other
	defer only.Close()
	require.ErrorIs(t, only.Get(t.Context(), "k").Err(), redis.Nil)
	err := c.Get(t.Context(), "k").Err()
	require.ErrorIs(t, err, redis.ErrPoolTimeout)
	errcodectest.Travels(t, errcodec.New(rediserr.Errors()), err)
}

func TestReplyWithTypeOfItsOwnKeepsItsText(t *testing.T) {
	err := client(t, "-LOADING the dataset is in memory soon\r\n").Get(t.Context(), "k").Err()
	codec := errcodec.New(rediserr.Errors())
	got := codec.Decode(codec.Encode(err))
	assert.Equal(t, err.Error(), got.Error())
	assert.True(t, redis.IsLoadingError(got))
	var opaque *errcodec.Opaque
	require.ErrorAs(t, got, &opaque)
	assert.Equal(t, "*proto.LoadingError", opaque.Kind())
}

func TestKeysStay(t *testing.T) {
	var keys []string
	for _, known := range errcodec.New(rediserr.Errors()).Registered() {
		if !known.Standard {
			keys = append(keys, known.Key)
		}
	}
	assert.Equal(t, []string{"redis.closed", "redis.pool-exhausted", "redis.pool-timeout", "redis.reply"}, keys)
}
