package flow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/flow"
)

// A saga of a schedule takes its locks as well, and waits for them.
func TestSagasOfAScheduleTakeTheirLocks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *fakeBroker, l *chronicle) {
		l.takes = 10 * time.Hour
		f := l.flow().Lock(func(time.Time) []string { return []string{"books"} })
		e := newEngine(b, flow.Options{}, f)
		e.Schedule(flow.Cron("often", "0 6,12 * * *", f, theTick))
		live(t, e)
		pass(13 * time.Hour)
		assert.Empty(t, l.all(), "the first takes 10 hours")
		claim, err := e.Holder(t.Context(), "books")
		assert.NoError(t, err)
		assert.Len(t, claim.Waiting, 1)
		assert.Equal(t, flow.StateWaiting, snapshot(t, e, claim.Waiting[0]).State)
		pass(14 * time.Hour)
		assert.Equal(t, []string{"01 06:00:00", "01 12:00:00"}, l.all())
	})
}
