package flow

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// rule says when a schedule ticks and what becomes of ticks that cannot be started in time. The broker keeps it: its names are durable. One of Cron, Every and Once is set.
type rule struct {
	Cron   string        `msgpack:"cron,omitempty"`
	Zone   string        `msgpack:"zone,omitempty"`
	Every  time.Duration `msgpack:"every,omitempty"`
	Once   int64         `msgpack:"once,omitempty"` // Unix nanoseconds
	Missed int           `msgpack:"missed"`         // how many missed ticks are started
	Alone  bool          `msgpack:"alone,omitempty"`
}

// String is the rule in words.
func (r rule) String() string {
	text := "once at " + time.Unix(0, r.Once).UTC().Format(time.RFC3339)
	switch {
	case r.Cron != "":
		text = fmt.Sprintf("cron %q in %s", r.Cron, r.Zone)
	case r.Every != 0:
		text = fmt.Sprintf("every %v", r.Every)
	}
	switch r.Missed {
	case 0:
		text += ", skipping missed ticks"
	case 1:
	default:
		text += fmt.Sprintf(", running up to %d missed ticks", r.Missed)
	}
	if r.Alone {
		text += ", one at a time"
	}
	return text
}

// calendar tells the ticks of a rule.
type calendar interface {
	// next is the first tick after a time, or zero.
	next(after time.Time) time.Time
}

// zone is where the ticks are told in.
func (r rule) zone() *time.Location {
	if loc, err := time.LoadLocation(r.Zone); err == nil {
		return loc
	}
	return time.UTC
}

// calendar reads the rule.
func (r rule) calendar() (calendar, error) {
	switch {
	case r.Cron != "":
		return newClockwork(r.Cron, r.Zone)
	case r.Once != 0:
		return single(r.Once), nil
	case r.Every < shortestEvery:
		return nil, fmt.Errorf("%v is too often: at most every %v", r.Every, shortestEvery)
	case r.Every > longestEvery:
		return nil, fmt.Errorf("%v is too seldom: at least every %v", r.Every, longestEvery)
	}
	return metronome(r.Every), nil
}

// due lists the last most ticks of a calendar after one time and not after another, the oldest first. It looks back from the end as far as it has to, so
// that a long absence costs no more than a short one.
func due(c calendar, after, until time.Time, most int) (ticks []time.Time) {
	for back := time.Minute; ; back *= 2 {
		from := until.Add(-back)
		if from.Before(after) || back > lookBack {
			from = after
		}
		ticks = ticks[:0]
		for t := c.next(from); !t.IsZero() && !t.After(until); t = c.next(t) {
			ticks = append(ticks, t)
		}
		if len(ticks) > most {
			return ticks[len(ticks)-most:]
		}
		if from.Equal(after) || len(ticks) == most {
			return ticks
		}
	}
}

// longestEvery bounds Every, so that its next tick can always be told.
const longestEvery = 10 * 365 * 24 * time.Hour

// lookBack bounds the window in which ticks are looked for: what is older is looked for at once.
const lookBack = 100 * 365 * 24 * time.Hour

// single is the calendar of At.
type single int64

func (s single) next(after time.Time) time.Time {
	if at := time.Unix(0, int64(s)).UTC(); at.After(after) {
		return at
	}
	return time.Time{}
}

// metronome is the calendar of Every.
type metronome time.Duration

func (m metronome) next(after time.Time) time.Time {
	d := int64(m)
	beats := after.UnixNano() / d
	if after.UnixNano() < 0 && after.UnixNano()%d != 0 {
		beats--
	}
	return time.Unix(0, (beats+1)*d).UTC()
}

// clockwork is the calendar of a cron expression: what clocks in a zone show.
type clockwork struct {
	fields *cron.SpecSchedule // in UTC
	zone   *time.Location
	hourly bool // its hour is *
}

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func newClockwork(expression, zone string) (*clockwork, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("the zone %q is not known here (import time/tzdata?): %w", zone, err)
	}
	if strings.Contains(expression, "TZ=") {
		return nil, errors.New("name the zone with In, not in the expression")
	}
	parsed, err := cronParser.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("it is no cron expression of five fields (minute, hour, day of month, month, day of week): %w", err)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("@every is no time of a clock: take flow.Every")
	}
	fields.Location = time.UTC
	const star = 1 << 63 // of package cron, in a field that is *
	c := &clockwork{fields: fields, zone: loc, hourly: fields.Hour&star != 0}
	if c.next(time.Now()).IsZero() {
		return nil, errors.New("there is no such time in the next five years")
	}
	return c, nil
}

// next goes through the spans in which the zone's offset from UTC stays as it is. In each, what the clock shows is UTC moved by the offset.
func (c *clockwork) next(after time.Time) time.Time {
	for span := c.spanOf(after); ; span = c.spanOf(span.end) {
		shown := c.fields.Next(span.from(after, c.hourly))
		if shown.IsZero() {
			return time.Time{}
		}
		at := shown.Add(-span.offset)
		if span.end.IsZero() || at.Before(span.end) {
			return at
		}
		if !c.hourly && shown.Before(c.spanOf(span.end).begins()) && span.end.After(after) {
			return span.end.UTC() // clocks never show it: they are put forward over it
		}
	}
}

// span is a time in which a zone's offset is the same.
type span struct {
	start, end time.Time // end is not part of it; zero: there is none
	offset     time.Duration
	before     time.Duration // the offset of the span before
}

func (c *clockwork) spanOf(t time.Time) span {
	t = t.In(c.zone)
	start, end := t.ZoneBounds()
	s := span{start: start.UTC(), offset: offsetOf(t)}
	if s.before = s.offset; !start.IsZero() {
		s.before = offsetOf(start.Add(-1))
	}
	if !end.IsZero() {
		s.end = end.In(c.zone)
	}
	return s
}

func offsetOf(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// begins is what clocks show when the span begins.
func (s span) begins() time.Time { return s.start.UTC().Add(s.offset) }

// from is what clocks show where the search for a tick after a time begins in this span: what they show then, but not before what they show when the span
// begins. Unless all hours count, what they have shown in the span before is passed over.
func (s span) from(after time.Time, hourly bool) time.Time {
	shown := after.UTC().Add(s.offset)
	if s.start.IsZero() {
		return shown
	}
	begins := s.begins()
	if ended := s.start.UTC().Add(s.before); !hourly && ended.After(begins) {
		begins = ended
	}
	if first := begins.Add(-time.Second); first.After(shown) {
		return first
	}
	return shown
}
