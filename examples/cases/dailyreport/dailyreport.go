// Package dailyreport files a report on every day of a pet shop, in the morning after it: a saga that a schedule starts.
package dailyreport

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // the shop's zone, wherever this runs

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/internal/partner"
	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/step"
)

// Errors is how the errors of the case travel.
var Errors = errcodec.New(partner.Errors)

// Day is from one midnight of the shop to the next.
type Day struct{ Begins, Ends time.Time }

// DayBefore is the whole day before a tick of the schedule, which is told in the shop's zone. Where clocks change it has 23 or 25 hours.
func DayBefore(tick time.Time) Day {
	year, month, day := tick.Date()
	return Day{time.Date(year, month, day-1, 0, 0, 0, 0, tick.Location()), time.Date(year, month, day, 0, 0, 0, 0, tick.Location())}
}

// Date names the day: in the shop's zone, also when it has come back from storage in UTC.
func (d Day) Date() string { return d.Begins.Add(12 * time.Hour).In(zone()).Format(time.DateOnly) }

// Report is what happened on a day.
type Report struct {
	Date         string
	Pets, Points int
}

// zone is where the shop is.
func zone() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err) // time/tzdata has it
	}
	return loc
}

// Office is where reports are made and kept, and the owner's inbox.
type Office struct {
	*partner.Partners

	mu    sync.Mutex
	sales []sale
	filed map[string]Report // by date
	inbox []string
}

// sale is what was bought, and when.
type sale struct {
	pet    string
	points int
	at     time.Time
}

func (o *Office) sell(pet string, points int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sales = append(o.sales, sale{pet, points, time.Now()})
}

// sold counts what was sold on a day.
func (o *Office) sold(d Day) Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := Report{Date: d.Date()}
	for _, s := range o.sales {
		if !s.at.Before(d.Begins) && s.at.Before(d.Ends) {
			r.Pets++
			r.Points += s.points
		}
	}
	return r
}

// Reports are those that are filed, by date.
func (o *Office) Reports() map[string]Report {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.filed)
}

// Inbox is what the owner can read.
func (o *Office) Inbox() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.inbox)
}

// NewOffice makes one without anything in it.
func NewOffice() *Office {
	return &Office{Partners: partner.New(), filed: map[string]Report{}}
}

func (o *Office) count(ctx context.Context, d Day) (Report, error) {
	return o.Do(ctx, func() (Report, error) { return o.sold(d), nil })
}

func (o *Office) file(ctx context.Context, r Report) error {
	_, err := o.Do(ctx, func() (string, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, there := o.filed[r.Date]; there {
			return "", fmt.Errorf("office: there is a report on %s already", r.Date)
		}
		o.filed[r.Date] = r
		return r.Date, nil
	})
	return err
}

func (o *Office) unfile(ctx context.Context, e step.Effect[Report, Report]) error {
	return o.Undo(ctx, e.Known, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.filed, e.In.Date)
		return nil
	})
}

func (o *Office) tell(ctx context.Context, r Report) (string, error) {
	return o.Do(ctx, func() (string, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		text := fmt.Sprintf("%s: %d pets, %d points", r.Date, r.Pets, r.Points)
		o.inbox = append(o.inbox, text)
		return text, nil
	})
}

// DailyReport is the saga of one day. It ends with what the owner reads.
func (o *Office) DailyReport() flow.Flow[Day, string] {
	retry := step.Retry{Attempts: 3, Delay: time.Second}
	return flow.New[Day]("daily-report").
		Then(step.New("count", o.count).ReadOnly().Retry(retry)).
		Then(step.Do("file", o.file).Compensate(o.unfile).Retry(retry)).
		Then(step.New("tell", o.tell).Pivot())
}

// Schedule starts it at six in the morning, where the shop is. A report is due on each day of the last week, also if nobody was there to make it.
func (o *Office) Schedule() flow.Schedule {
	return flow.Cron("daily-report", "0 6 * * *", o.DailyReport(), DayBefore).In(zone()).RunMissed(7)
}
