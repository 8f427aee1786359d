// Command petshop tells the story of a pet shop whose every trade is a saga over HTTP services: some
// succeed, some are refused, and some fail in the middle and are undone. Nothing is ever lost.
//
// Its sagas are kept in memory. With -redis host:port they are on that Redis, in a namespace of their own that is removed at the end;
// with -redis start on a redis-server that petshop starts and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	var opts storeOptions
	flag.Func("redis", "keep sagas on the Redis at `host:port`, or start one: \"start\"", opts.setRedis)
	flag.Parse()
	if err := run(context.Background(), opts); err != nil {
		fmt.Fprintln(os.Stderr, "petshop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts storeOptions) error {
	b, err := openStore(ctx, opts)
	if err != nil {
		return err
	}
	return errors.Join(tellStory(os.Stdout, b), b.Close())
}
