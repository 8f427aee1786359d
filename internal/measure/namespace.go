package measure

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Namespace is what a namespace of package redisx has on a server that others use too.
type Namespace struct {
	Client *redis.Client
	Name   string // so random that no other key contains it
}

const scanned = 1000 // keys that the server looks at for one answer

// Size implements Store. The bytes are those of MEMORY USAGE.
func (n Namespace) Size(ctx context.Context) (size Size, err error) {
	err = n.each(ctx, func(keys []string) error {
		used, err := n.Client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, key := range keys {
				pipe.MemoryUsage(ctx, key, 0)
			}
			return nil
		})
		if err != nil && err != redis.Nil {
			return fmt.Errorf("measure: ask Redis how much memory keys of %s take: %w", n.Name, err)
		}
		for _, answer := range used {
			if bytes := answer.(*redis.IntCmd).Val(); bytes > 0 {
				size.Keys++
				size.Bytes += float64(bytes)
			}
		}
		return nil
	})
	return size, err
}

// Remove deletes all keys of the namespace.
func (n Namespace) Remove(ctx context.Context) error {
	return n.each(ctx, func(keys []string) error {
		if err := n.Client.Unlink(ctx, keys...).Err(); err != nil {
			return fmt.Errorf("measure: remove the keys of %s from Redis: %w", n.Name, err)
		}
		return nil
	})
}

// each walks over the server's keys and hands on those of the namespace.
func (n Namespace) each(ctx context.Context, found func(keys []string) error) error {
	for cursor := uint64(0); ; {
		keys, next, err := n.Client.Scan(ctx, cursor, "*"+n.Name+"*", scanned).Result()
		if err != nil {
			return fmt.Errorf("measure: look for the keys of %s in Redis: %w", n.Name, err)
		}
		if len(keys) > 0 {
			if err := found(keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
