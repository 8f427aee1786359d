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
