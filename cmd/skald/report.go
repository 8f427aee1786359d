package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// report is a result as JSON. The names are those that help promises.
type report struct {
	Broker        string   `json:"broker"`
	Mode          string   `json:"mode"`
	Sagas         int      `json:"sagas"`
	Concurrency   int      `json:"concurrency"`
	Throughput    float64  `json:"throughput"`
	P50           float64  `json:"p50_us"`
	P99           float64  `json:"p99_us"`
	ClientCPU     *float64 `json:"client_cpu_us,omitempty"`
	RedisCPU      *float64 `json:"redis_cpu_us,omitempty"`
	RedisCommands *float64 `json:"redis_commands,omitempty"`
	WireBytes     *float64 `json:"wire_bytes,omitempty"`
	LeftBytes     *float64 `json:"left_bytes,omitempty"`
}

func (o options) report(r result) report {
	n := float64(r.costs.Calls)
	told := report{
		Broker: o.broker, Mode: r.mode, Sagas: r.costs.Calls, Concurrency: r.callers,
		Throughput: rounded(r.costs.Throughput()), P50: micros(r.costs.Percentile(50)), P99: micros(r.costs.Percentile(99)),
	}
	if r.costs.HasClient {
		told.ClientCPU = figure(r.costs.Per(r.costs.Client))
	}
	if o.broker == onRedis {
		told.RedisCPU = figure(r.costs.Per(r.costs.Server.CPU))
		told.RedisCommands, told.WireBytes = figure(r.costs.Server.Commands/n), figure(r.costs.Server.Bytes/n)
	}
	if r.left != nil {
		told.LeftBytes = figure(*r.left)
	}
	return told
}

func figure(f float64) *float64 {
	f = rounded(f)
	return &f
}

// rounded leaves two decimals.
func rounded(f float64) float64 { return math.Round(f*100) / 100 }

func micros(d time.Duration) float64 { return rounded(float64(d.Nanoseconds()) / 1000) }

func (o options) print(out io.Writer, r result) error {
	told := o.report(r)
	if o.json {
		return json.NewEncoder(out).Encode(told)
	}
	_, err := io.WriteString(out, told.text(r.costs.Histogram()))
	return err
}

// text is the report for people.
func (t report) text(histogram []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %d sagas, %s\n", t.Mode, t.Sagas, plural(t.Concurrency, "caller"))
	line := func(name, format string, figure *float64) {
		if figure != nil {
			fmt.Fprintf(&b, "  %-11s "+format+"\n", name, *figure)
		}
	}
	line("throughput", "%.0f sagas/s", &t.Throughput)
	fmt.Fprintf(&b, "  %-11s p50 %.0f µs, p99 %.0f µs\n", "latency", t.P50, t.P99)
	line("client CPU", "%.1f µs a saga", t.ClientCPU)
	line("Redis CPU", "%.1f µs a saga", t.RedisCPU)
	line("commands", "%.1f a saga", t.RedisCommands)
	line("wire", "%.0f bytes a saga", t.WireBytes)
	line("left", "%.1f bytes a saga", t.LeftBytes)
	b.WriteString("  latency up to\n")
	for _, bar := range histogram {
		b.WriteString("  " + bar + "\n")
	}
	return b.String()
}
