package dailyreport

import (
	"testing"
	"time"

	"github.com/skald-go/skald/flow"
	"github.com/skald-go/skald/sagatest"
)

func TestMatrix(t *testing.T) {
	sagatest.Matrix(t, (*Office).DailyReport, sagatest.World[*Office, Day]{
		New: func() *Office {
			o := NewOffice()
			o.sell("rex", 1000)
			return o
		},
		Input: func(*Office) Day { return DayBefore(time.Now().Add(24 * time.Hour).In(zone())) },
		Snapshot: func(o *Office) any {
			return struct {
				Filed map[string]Report
				Inbox []string
			}{o.Reports(), o.Inbox()}
		},
		Break: func(o *Office, path string) func() {
			o.SetDown(path, true)
			return func() { o.SetDown(path, false) }
		},
		Options: flow.Options{Errors: Errors},
	})
}
