package measure

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ServerCosts is what a Redis server has spent since it started, by its own account.
type ServerCosts struct {
	CPU      time.Duration // of the main thread, which runs commands
	Commands float64       // those that scripts call included
	Bytes    float64       // received and sent
	asked    float64       // bytes of the answer in which it said so
}

// ReadServer asks a server for its costs.
func ReadServer(ctx context.Context, client redis.UniversalClient) (ServerCosts, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return ServerCosts{}, fmt.Errorf("measure: ask Redis for INFO: %w", err)
	}
	info := parseInfo(text)
	seconds := info.sum("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
	costs := ServerCosts{
		CPU:      time.Duration(seconds * float64(time.Second)),
		Commands: info.sum("total_commands_processed"),
		Bytes:    info.sum("total_net_input_bytes", "total_net_output_bytes"),
		asked:    float64(len(text)),
	}
	return costs, info.missing
}

// Since is what was spent since before was read, without what asking cost.
func (c ServerCosts) Since(before ServerCosts) ServerCosts {
	return ServerCosts{CPU: c.CPU - before.CPU, Commands: c.Commands - before.Commands - 1, Bytes: c.Bytes - before.Bytes - before.asked}
}

// Dataset is the memory that a server's data takes, without what it keeps for its own work, after the allocator gave back what is free.
func Dataset(ctx context.Context, client redis.UniversalClient) (float64, error) {
	if err := client.Do(ctx, "MEMORY", "PURGE").Err(); err != nil {
		return 0, fmt.Errorf("measure: let Redis give back free memory (MEMORY PURGE): %w", err)
	}
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("measure: ask Redis for INFO memory: %w", err)
	}
	info := parseInfo(text)
	return info.sum("used_memory_dataset"), info.missing
}

// info is what INFO says.
type info struct {
	fields  map[string]string
	missing error // the first field that was asked for and is no number
}

func parseInfo(text string) *info {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			fields[name] = value
		}
	}
	return &info{fields: fields}
}

func (i *info) sum(names ...string) (sum float64) {
	for _, name := range names {
		n, err := strconv.ParseFloat(i.fields[name], 64)
		if err != nil && i.missing == nil {
			i.missing = fmt.Errorf("measure: INFO of Redis says %q for %s: Redis 6.2 or later says a number", i.fields[name], name)
		}
		sum += n
	}
	return sum
}

// Version is the server's version, such as "7.0.15".
func Version(ctx context.Context, client redis.UniversalClient) (string, error) {
	text, err := client.Info(ctx, "server").Result()
	if err != nil {
		return "", fmt.Errorf("measure: ask Redis for its version: %w", err)
	}
	return parseInfo(text).fields["redis_version"], nil
}
