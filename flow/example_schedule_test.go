package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/step"
)

// report is a saga that is started by schedules.
var report = flow.New[time.Time]("report").Then(step.New("write", func(_ context.Context, until time.Time) (string, error) {
	return "report until " + until.Format("January 2, 15:04"), nil
}).ReadOnly())

func theTime(tick time.Time) time.Time { return tick }

func ExampleCron() {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	daily := flow.Cron("daily-report", "30 2 * * *", report, theTime).In(berlin)

	// On March 29 there is no half past two in Berlin: the tick comes when clocks are put forward.
	for _, tick := range daily.Next(time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), 3) {
		fmt.Println(tick.In(berlin))
	}
	fmt.Println(daily)
	// Output:
	// 2026-03-28 02:30:00 +0100 CET
	// 2026-03-29 03:00:00 +0200 CEST
	// 2026-03-30 02:30:00 +0200 CEST
	// daily-report: cron "30 2 * * *" in Europe/Berlin starts "report"
}

func ExampleEvery() {
	often := flow.Every("often", 15*time.Minute, report, theTime).SkipWhileRunning()
	fmt.Println(often.Next(time.Date(2026, 11, 23, 6, 7, 0, 0, time.UTC), 2))
	fmt.Println(often)
	// Output:
	// [2026-11-23 06:15:00 +0000 UTC 2026-11-23 06:30:00 +0000 UTC]
	// often: every 15m0s, one at a time starts "report"
}

func ExampleAt() {
	move := flow.At("move", time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC), report, theTime)
	fmt.Println(move)
	// Output: move: once at 2026-12-01T03:00:00Z starts "report"
}

func ExampleSchedule_In() {
	tokyo, _ := time.LoadLocation("Asia/Tokyo")
	daily := flow.Cron("daily-report", "0 6 * * *", report, theTime).In(tokyo)
	fmt.Println(daily.Next(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), 1))
	// Output: [2026-11-23 21:00:00 +0000 UTC]
}

func ExampleSchedule_Next() {
	weekdays := flow.Cron("weekdays", "0 9 * * MON-FRI", report, theTime)
	for _, tick := range weekdays.Next(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), 2) {
		fmt.Println(tick.Format(time.RFC1123))
	}
	// Output:
	// Mon, 23 Nov 2026 09:00:00 UTC
	// Tue, 24 Nov 2026 09:00:00 UTC
}

// A report that is late is of no use.
func ExampleSchedule_SkipMissed() {
	fmt.Println(flow.Every("often", time.Minute, report, theTime).SkipMissed())
	// Output: often: every 1m0s, skipping missed ticks starts "report"
}

// Every hour has to be in the books, also those in which no process ran; but nobody asks for those of last year.
func ExampleSchedule_RunMissed() {
	fmt.Println(flow.Every("hourly", time.Hour, report, theTime).RunMissed(7 * 24))
	// Output: hourly: every 1h0m0s, running up to 168 missed ticks starts "report"
}

// Two that clean up at once would be in each other's way.
func ExampleSchedule_SkipWhileRunning() {
	fmt.Println(flow.Every("cleanup", time.Minute, report, theTime).SkipWhileRunning())
	// Output: cleanup: every 1m0s, one at a time starts "report"
}

func ExampleSchedule_Name() {
	fmt.Println(flow.Every("hourly", time.Hour, report, theTime).Name())
	// Output: hourly
}

func ExampleSchedule_String() {
	fmt.Println(flow.Cron("weekly", "@weekly", report, theTime))
	// Output: weekly: cron "@weekly" in UTC starts "report"
}

// runUntilStopped runs an engine until stop is called.
func runUntilStopped(engine *flow.Engine) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// A program says which schedules it has. Whichever engine of whichever process is woken for a tick starts its saga, and no other does.
func ExampleEngine_Schedule() {
	engine := flow.NewEngine(inmem.New(), flow.Options{Logger: slog.New(slog.DiscardHandler)})
	engine.Serve(report)
	engine.Schedule(
		flow.Cron("daily-report", "0 6 * * *", report, theTime),
		flow.At("first-report", time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), report, theTime), // it has passed: the saga is started at once
	)
	stop := runUntilStopped(engine)

	// The saga of a tick has an ID that says so, and is one as any other.
	fmt.Println(report.Attach(engine, "first-report@2026-01-01T12:00:00Z").Await(context.Background()))
	fmt.Println(stop())
	// Output:
	// report until January 1, 12:00 <nil>
	// <nil>
}

func ExampleEngine_Schedules() {
	engine := flow.NewEngine(inmem.New(), flow.Options{Logger: slog.New(slog.DiscardHandler)})
	engine.Serve(report)
	engine.Schedule(flow.At("first-report", time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), report, theTime))
	stop := runUntilStopped(engine)
	_, _ = report.Attach(engine, "first-report@2026-01-01T12:00:00Z").Await(context.Background())

	schedules, err := engine.Schedules(context.Background())
	for _, s := range schedules {
		fmt.Printf("%s: %s, started %d, last %q\n", s.Name, s.Rule, s.Started, s.LastSaga)
	}
	fmt.Println(err, stop())
	// Output:
	// first-report: once at 2026-01-01T12:00:00Z, started 1, last "first-report@2026-01-01T12:00:00Z"
	// <nil> <nil>
}

// A schedule that is in no program any more is removed by hand.
func ExampleEngine_RemoveSchedule() {
	engine := flow.NewEngine(inmem.New(), flow.Options{})
	err := engine.RemoveSchedule(context.Background(), "weekly-report")
	fmt.Println(errors.Is(err, flow.ErrUnknown))
	// Output: true
}
