package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func calendarOf(t require.TestingT, expression, zone string) calendar {
	c, err := rule{Cron: expression, Zone: zone}.calendar()
	require.NoError(t, err)
	return c
}

func instant(t require.TestingT, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at.UTC()
}

// What clocks show when they are put forward and back. In Berlin that is at 2026-03-29, 02:00, and at 2026-10-25, 03:00; on Lord Howe Island it is half an hour;
// Samoa left out the 30th of December 2011.
func TestTicksWhereClocksChange(t *testing.T) {
	for name, c := range map[string]struct {
		expression, zone, after string
		ticks                   []string
	}{
		"every day":       {"0 6 * * *", "Europe/Berlin", "2026-03-27T06:00:00Z", []string{"2026-03-28T05:00:00Z", "2026-03-29T04:00:00Z", "2026-03-30T04:00:00Z"}},
		"in the gap":      {"30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		"many in the gap": {"*/15 2 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:15:00Z"}},
		"gap and its end": {"0 2,3 * * *", "Europe/Berlin", "2026-03-28T23:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		"twice":           {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"many twice":      {"*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z"}},
		"after the first": {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", []string{"2026-10-26T01:30:00Z"}},
		"between both":    {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", []string{"2026-10-26T01:30:00Z"}},
		"at three":        {"0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"}},
		"hourly, forward": {"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		"hourly, back":    {"30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		"half an hour":    {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		"a day left out":  {"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", []string{"2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
		"midnight":        {"0 0 * * *", "Asia/Beirut", "2026-03-27T12:00:00Z", []string{"2026-03-27T22:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"}},
		"a leap day":      {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		"a year":          {"@yearly", "America/New_York", "2026-06-01T00:00:00Z", []string{"2027-01-01T05:00:00Z", "2028-01-01T05:00:00Z"}},
		"weekdays":        {"0 9 * * MON-FRI", "UTC", "2026-11-20T10:00:00Z", []string{"2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			cal, at := calendarOf(t, c.expression, c.zone), instant(t, c.after)
			for _, want := range c.ticks {
				at = cal.next(at)
				require.Equal(t, want, at.Format(time.RFC3339))
			}
		})
	}
}

// shownAt says whether a clock shows a minute in which an expression of a minute and an hour ticks.
func shownAt(t time.Time, minute, hour int) bool {
	return t.Minute() == minute && (hour < 0 || t.Hour() == hour)
}

func TestTicksAreWhatAClockShowsMinuteByMinute(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		minute, hour := rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(-1, 23).Draw(t, "hour")
		expression := fmt.Sprintf("%d %d * * *", minute, hour)
		if hour < 0 {
			expression = fmt.Sprintf("%d * * * *", minute)
		}
		loc, err := time.LoadLocation(zone)
		require.NoError(t, err)
		begin := instant(t, "2026-01-01T00:00:00Z").Add(time.Duration(rapid.IntRange(0, 360*24).Draw(t, "begin")) * time.Hour)
		end := begin.Add(3 * 24 * time.Hour)
		ticks := map[time.Time]bool{}
		cal := calendarOf(t, expression, zone)
		for at := cal.next(begin); !at.After(end); at = cal.next(at) {
			ticks[at] = true
		}
		for at := begin.Add(time.Minute); !at.After(end); at = at.Add(time.Minute) {
			local := at.In(loc)
			want := shownAt(local, minute, hour) && (hour < 0 || !shownBefore(local, minute, hour)) || hour >= 0 && jumpsOver(local, minute, hour)
			assert.Equal(t, want, ticks[at], "%s in %s at %v", expression, zone, local)
		}
	})
}

// shownBefore says that the clock has shown the same within three hours: it was put back.
func shownBefore(local time.Time, minute, hour int) bool {
	for back := time.Minute; back <= 3*time.Hour; back += time.Minute {
		if before := local.Add(-back); shownAt(before, minute, hour) && before.YearDay() == local.YearDay() {
			return true
		}
	}
	return false
}

// jumpsOver says that the clock is put forward over what it would show.
func jumpsOver(local time.Time, minute, hour int) bool {
	_, before := local.Add(-time.Minute).Zone()
	_, now := local.Zone()
	for lost := before; lost < now; lost += 60 {
		if shownAt(local.UTC().Add(time.Duration(lost)*time.Second), minute, hour) {
			return true
		}
	}
	return false
}

func TestTicksOfEvery(t *testing.T) {
	m := metronome(90 * time.Minute)
	assert.Equal(t, instant(t, "1970-01-01T01:30:00Z"), m.next(instant(t, "1970-01-01T00:00:00Z")))
	assert.Equal(t, instant(t, "1970-01-01T00:00:00Z"), m.next(instant(t, "1969-12-31T23:00:00Z")))
	assert.Equal(t, instant(t, "1970-01-01T00:00:00Z"), m.next(instant(t, "1969-12-31T22:30:00Z")))
	assert.Equal(t, instant(t, "2026-01-01T01:30:00Z"), m.next(instant(t, "2026-01-01T00:00:00Z")))
}

func TestDueTicksAreTheLastOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.IntRange(1, 5000).Draw(t, "seconds")) * time.Second
		most := rapid.IntRange(1, 40).Draw(t, "most")
		after := instant(t, "2026-01-01T00:00:00Z").Add(time.Duration(rapid.IntRange(0, 9999).Draw(t, "after")) * time.Second)
		until := after.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "until")) * time.Second)
		var all []time.Time
		for at := metronome(d).next(after); !at.After(until); at = metronome(d).next(at) {
			all = append(all, at)
		}
		got := due(metronome(d), after, until, most)
		want := all[max(0, len(all)-most):]
		require.Len(t, got, len(want))
		for k := range want {
			require.Equal(t, want[k], got[k])
		}
	})
}

func TestDueAfterALongTime(t *testing.T) {
	born, now := time.Unix(0, 0), instant(t, "2026-11-23T05:30:00Z")
	assert.Equal(t, []time.Time{now}, due(metronome(time.Second), born, now, 1), "of 1.8 billion ticks")
	assert.Equal(t, []time.Time{instant(t, "2026-01-01T00:00:00Z")}, due(calendarOf(t, "@yearly", "UTC"), born, now, 1))
	assert.Empty(t, due(single(now.UnixNano()), now, now.Add(time.Hour), 1))
	assert.Equal(t, []time.Time{now}, due(single(now.UnixNano()), born, now, 1))
}

func FuzzCron(f *testing.F) {
	f.Add("0 6 * * *", int64(1_700_000_000))
	f.Add("*/7 1-5 */2 JAN-MAR 0", int64(0))
	f.Add("TZ=", int64(1))
	f.Add("@every 1h", int64(1))
	f.Fuzz(func(t *testing.T, expression string, seconds int64) {
		c, err := rule{Cron: expression, Zone: "Europe/Berlin"}.calendar()
		if err != nil {
			return
		}
		at := time.Unix(seconds%4_000_000_000, 0)
		for range 5 {
			next := c.next(at)
			if next.IsZero() {
				return
			}
			require.True(t, next.After(at), "%v after %v", next, at)
			at = next
		}
	})
}
