// Package rediserr lets the errors of github.com/redis/go-redis/v9 travel as
// themselves:
//
//	codec := errcodec.New(rediserr.Errors())
package rediserr

import (
	"github.com/redis/go-redis/v9"
	"github.com/skald-go/skald/errcodec"
	"github.com/vmihailenco/msgpack/v5"
)

// Errors registers the errors of the client and the general type of the
// server's error replies, of which redis.Nil and redis.TxFailedErr are values.
// Replies that the library gives a type of its own, like LOADING and MOVED, cannot be
// rebuilt from outside; they arrive opaque, with their text.
func Errors() errcodec.Entry {
	return errcodec.Group(
		reply("redis.reply", redis.Nil),
		errcodec.Sentinel("redis.closed", redis.ErrClosed),
		errcodec.Sentinel("redis.pool-exhausted", redis.ErrPoolExhausted),
		errcodec.Sentinel("redis.pool-timeout", redis.ErrPoolTimeout),
	)
}

// reply names the type of its example, which stands in an internal package.
func reply[T interface {
	~string
	error
}](key string, _ T) errcodec.Entry {
	return errcodec.Type(key, func(enc *msgpack.Encoder, r T) error {
		return enc.EncodeString(string(r))
	}, func(dec *msgpack.Decoder) (T, error) {
		text, err := dec.DecodeString()
		return T(text), err
	})
}
