package dailyreport

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/examples/internal/brokers"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
)

func TestMain(m *testing.M) { brokers.Main(m) }

// open runs a process of the office until the test ends or it is closed.
func open(t *testing.T, b broker.Broker, o *Office, schedules ...flow.Schedule) (e *flow.Engine, closes func()) {
	t.Helper()
	e = flow.NewEngine(b, flow.Options{Errors: Errors, DecodeAll: true, Logger: slog.New(slog.DiscardHandler)})
	e.Serve(o.DailyReport())
	e.Schedule(schedules...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	closes = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	t.Cleanup(closes)
	return e, closes
}

const hour = time.Hour

func TestEveryMorningThereIsAReportOnTheDayBefore(t *testing.T) {
	brokers.Virtually(t, func(t *testing.T, k brokers.Kind, _ bool) {
		b, o := k.Open(t), NewOffice() // it is one in the morning in Berlin, on January 1st, 2000
		e, _ := open(t, b, o, o.Schedule())
		time.Sleep(22*hour + 59*time.Minute)
		o.sell("rex", 1000) // at 23:59
		time.Sleep(time.Minute)
		o.sell("mia", 80) // at midnight
		time.Sleep(6 * hour)
		text, err := o.DailyReport().Attach(e, "daily-report@2000-01-02T05:00:00Z").Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "2000-01-01: 1 pets, 1000 points", text)
		time.Sleep(24*hour + time.Second)
		assert.Equal(t, []string{"1999-12-31: 0 pets, 0 points", "2000-01-01: 1 pets, 1000 points", "2000-01-02: 1 pets, 80 points"}, o.Inbox())
	})
}

func TestThereIsOneReportOnEachDayOfAYear(t *testing.T) {
	brokers.Virtually(t, func(t *testing.T, k brokers.Kind, _ bool) {
		b, o := k.Open(t), NewOffice()
		for range 3 { // processes
			open(t, b, o, o.Schedule())
		}
		for range 366 * 24 {
			o.sell("a mouse", 1)
			time.Sleep(hour)
		}
		time.Sleep(time.Second)
		require.Len(t, o.Reports(), 366)
		hours := map[int]int{}
		for _, r := range o.Reports() {
			hours[r.Pets]++
		}
		assert.Equal(t, map[int]int{0: 1, 23: 2, 24: 362, 25: 1}, hours,
			"before the first day there was no shop; that began at one; an hour is missing in March, and one is double in October")
	})
}

func TestAfterAHolidayTheReportsAreMade(t *testing.T) {
	brokers.Virtually(t, func(t *testing.T, k brokers.Kind, _ bool) {
		b, o := k.Open(t), NewOffice()
		_, closes := open(t, b, o, o.Schedule())
		time.Sleep(12 * hour)
		closes()
		time.Sleep(10 * 24 * hour)
		open(t, b, o, o.Schedule())
		time.Sleep(time.Second)
		assert.Len(t, o.Reports(), 8)
		assert.Contains(t, o.Reports(), "2000-01-04", "that of the seventh last day")
		assert.NotContains(t, o.Reports(), "2000-01-03")
		assert.Contains(t, o.Reports(), "2000-01-10")
	})
}

func TestAReportThatFailsIsUndoneAndTheNextIsMade(t *testing.T) {
	brokers.Virtually(t, func(t *testing.T, k brokers.Kind, _ bool) {
		b, o := k.Open(t), NewOffice()
		open(t, b, o, o.Schedule())
		o.Plan("file", partner.Fault{Lose: true}, partner.Fault{Err: partner.ErrDown}, partner.Fault{Err: partner.ErrDown})
		time.Sleep(5*hour + time.Minute)
		assert.Empty(t, o.Reports())
		time.Sleep(24 * hour)
		assert.Equal(t, []string{"2000-01-01: 0 pets, 0 points"}, o.Inbox())
	})
}

// A schedule that ticks often, on brokers of each kind, some of whose calls fail, lose their replies or happen twice. Two processes share it.
func TestEachTickIsOneSagaWhateverTheBrokerLoses(t *testing.T) {
	test := func(t *testing.T, k brokers.Kind, _ bool) {
		b, o := k.Open(t), NewOffice()
		often := flow.Every("often", time.Second, o.DailyReport(), func(tick time.Time) Day {
			tick = tick.UTC()
			day := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, int(tick.Unix()%100_000)) // a day of its own
			return Day{day, day.AddDate(0, 0, 1)}
		}).RunMissed(1000)
		e, _ := open(t, b, o, often)
		open(t, b, o, often)
		var status []flow.ScheduleStatus
		brokers.Eventually(t, func() bool {
			var err error
			status, err = e.Schedules(t.Context())
			return err == nil && len(status) == 1 && status[0].Started >= 4
		}, "it ticks")
		last := status[0].Last
		first := last.Add(-time.Duration(status[0].Started-1) * time.Second)
		for tick := first; !tick.After(last); tick = tick.Add(time.Second) {
			_, err := o.DailyReport().Attach(e, "often@"+tick.UTC().Format(time.RFC3339)).Await(t.Context())
			require.NoError(t, err, "without a gap, and none twice: that would be refused")
		}
	}
	for name, each := range map[string]brokers.Runner{"sound": brokers.Decoding, "failing": brokers.Failing} {
		t.Run(name, func(t *testing.T) { each(t, test) })
	}
}

func TestTheDayBefore(t *testing.T) {
	for tick, want := range map[string]string{
		"2026-03-30T04:00:00Z": "2026-03-29, 23h0m0s",
		"2026-10-26T05:00:00Z": "2026-10-25, 25h0m0s",
		"2026-01-01T05:00:00Z": "2025-12-31, 24h0m0s",
	} {
		at, err := time.Parse(time.RFC3339, tick)
		require.NoError(t, err)
		d := DayBefore(at.In(zone()))
		assert.Equal(t, want, fmt.Sprintf("%s, %v", d.Date(), d.Ends.Sub(d.Begins)))
	}
	o := NewOffice()
	ticks := o.Schedule().Next(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), 2)
	assert.Equal(t, []string{"2026-03-29 04:00:00 +0000 UTC", "2026-03-30 04:00:00 +0000 UTC"}, []string{ticks[0].String(), ticks[1].String()})
	assert.True(t, slices.IsSortedFunc(ticks, time.Time.Compare))
}
