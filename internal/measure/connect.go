package measure

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Connect makes a client of the server at addr: host:port, or a URL such as redis://user:password@host:6379/0. It panics if addr is neither;
// see CheckAddr.
func Connect(addr string) *redis.Client {
	opts, err := parse(addr)
	if err != nil {
		panic(err.Error())
	}
	opts.PoolSize, opts.Protocol, opts.DisableIdentity = 64, 2, true
	return redis.NewClient(opts)
}

// CheckAddr says what is wrong with the address of a server. It tells no password.
func CheckAddr(addr string) error {
	_, err := parse(addr)
	return err
}

func parse(addr string) (*redis.Options, error) {
	if !strings.Contains(addr, "://") {
		if !strings.Contains(addr, ":") || strings.ContainsAny(addr, "/@ ") {
			return nil, errors.New("the address of Redis is neither host:port nor a URL such as redis://user:password@host:6379")
		}
		return &redis.Options{Addr: addr}, nil
	}
	opts, err := redis.ParseURL(addr)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err // the whole would tell the password
		}
		return nil, fmt.Errorf("the URL of Redis cannot be read: %w", err)
	}
	return opts, nil
}
