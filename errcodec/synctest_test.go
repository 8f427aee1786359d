package errcodec_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPatienceIsBoundedToTheMoment(t *testing.T) {
	codec := impatient()
	codec.Encode(stranger{"outside of the bubble"})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		begin := time.Now()
		codec.Encode(stranger{"innocent"})
		assert.Zero(t, time.Since(begin))
		got := trip(codec, scripted{func() string { <-release; return "" }, nothing, never})
		assert.Equal(t, "(errcodec_test.scripted).Error did not return within 200ms", got.Error())
		assert.Equal(t, 200*time.Millisecond, time.Since(begin))
		close(release)
	})
	codec.Encode(stranger{"outside again"})
}

func TestSlowErrorsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func() string { time.Sleep(199 * time.Millisecond); return "slow" }
		assert.Equal(t, "slow", trip(impatient(), scripted{slow, nothing, never}).Error())
	})
}

func TestStuckErrorsShareThePatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		begin := time.Now()
		var many []error
		for range 20 {
			many = append(many, scripted{func() string { <-release; return "" }, nothing, never})
		}
		trip(impatient(), &strangeList{"list", many})
		assert.Less(t, time.Since(begin), 400*time.Millisecond)
		assert.Greater(t, time.Since(begin), 390*time.Millisecond)
		close(release)
	})
}
