package redisx

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/skald-go/skald/broker"
)

func recordAt(id string, rev uint64) *broker.Record {
	return &broker.Record{Start: broker.Start{ID: id}, Rev: rev}
}

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

// The answer to a transition may come when its saga has parked, and come back to the same worker: it says nothing of what was handed out since.
func TestAnAnswerIsNotAboutWhatWasHandedOutLater(t *testing.T) {
	var x holdings
	x.open(1)
	p := &partition{}
	assert.True(t, x.adopt(p, line{head: "head"}, recordAt("a", 2), hotLine{line: "2"}, nil))
	assert.Equal(t, []string{"a"}, x.lose(p, time.Now().Add(time.Second), nil), "what was parked is not owned")
	assert.True(t, x.adopt(p, line{head: "head"}, recordAt("a", 3), hotLine{"3", "journal"}, nil))
	older := &broker.Transition{ID: "a", Rev: 2}
	assert.Equal(t, "head", x.wrote(older, &op{buf: []byte("older"), hotOp: hotOp{after: "3"}}))
	x.cool("a", 2)
	x.told("a", 2, []numbered{{seq: 7}})
	assert.Equal(t, "head", x.drop("a", 2))
	assert.Equal(t, 1, x.count(p), "it would be handed out again")
	h := x.sagas["a"]
	assert.Equal(t, hotLine{"3", "journal"}, hotLine{h.line, string(h.journal)})
	news, ok := x.fresh("a", []numbered{{seq: 7}})
	assert.True(t, ok)
	assert.Len(t, news, 1)
	x.drop("a", 4)
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
	assert.True(t, w.adopt(p, line{}, recordAt("a", 1), hotLine{}, nil), "it can be handed out")
}

// What a look brings after its seat was lost belongs to others; what was brought before, and not handed out, too.
func TestALookThatOutlastsItsSeat(t *testing.T) {
	p := &partition{b: &Broker{seats: make(map[string]*seat)}}
	w := &worker{b: p.b, seats: make([]*seat, 2)}
	w.holdings.open(2)
	w.inbox.open(2)
	s := &seat{w: w, p: p, token: "a", taken: true, expiry: time.NewTimer(time.Hour)}
	w.seats = []*seat{s, {w: w, p: &partition{number: 1}, token: "b", taken: true}}
	bring := func(id string) found {
		w.adopt(p, line{}, recordAt(id, 1), hotLine{}, nil)
		return found{sagas: []broker.Delivery{{ID: id, Saga: &broker.Record{Rev: 1}}}}
	}
	assert.True(t, s.deliver("a", look{}, bring("unheard"), nil))
	w.adopt(p, line{}, recordAt("heard", 1), hotLine{}, nil)
	s.lose("a")
	assert.False(t, s.deliver("a", look{}, bring("late"), nil))
	got, _, _, err := w.inbox.take(10)
	assert.NoError(t, err)
	assert.Equal(t, []broker.Delivery{{ID: "heard", Lost: true}}, got)
	assert.Zero(t, w.count(p))
}
