package redisx

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A list of what a worker owns, asked for while a start was under way, does not say that the worker lost the saga.
func TestAListIsNotAboutWhatWasHandedOutLater(t *testing.T) {
	var x holdings
	x.open(1)
	p := &partition{}
	x.begin(p, "a", "")
	begun := time.Now()
	assert.True(t, x.hand("a", hotLine{}, nil))
	assert.Empty(t, x.lose(p, begun, nil))
	assert.Equal(t, []string{"a"}, x.lose(p, time.Now().Add(time.Second), nil))
	assert.Zero(t, x.count(p))
}

// A start whose answer comes after its seat was lost does not own the saga: it belongs to whoever takes it next, and that may be
// the same worker.
func TestAStartThatOutlastsItsSeat(t *testing.T) {
	p := &partition{}
	w := &worker{}
	w.holdings.open(1)
	w.inbox.open(1)
	s := &seat{w: w, p: p, token: "new", taken: true}
	w.begin(p, "a", "")
	started, err := s.started("old", "a", hotLine{}, nil)
	assert.NoError(t, err)
	assert.False(t, started.Owned)
	assert.True(t, w.adopt(p, "a", "", hotLine{}, nil), "it can be handed out")
}
