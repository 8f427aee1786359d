package participants

import (
	"encoding/json"
	"net/http"

	"github.com/skald-go/skald/examples/petshop/domain"
)

// Verdict says what a participant made of a request.
type Verdict string

// The verdicts.
const (
	Read          Verdict = "read"
	Done          Verdict = "done"
	Refused       Verdict = "refused"
	Repeated      Verdict = "repeated"        // it got the first reply again, and had no effect
	NothingToUndo Verdict = "nothing to undo" // recorded, without effect
	Failed        Verdict = "failed"          // before it had an effect
)

type reply struct {
	status int
	body   []byte
}

func (r reply) ok() bool { return r.status < 300 }

func (r reply) verdict(good Verdict) Verdict {
	if r.ok() {
		return good
	}
	return Refused
}

func replyOf(value any, err error) reply {
	if err != nil {
		p := domain.ProblemOf(err)
		body, _ := json.Marshal(p)
		return reply{p.Status, body}
	}
	body, err := json.Marshal(value)
	if err != nil {
		return replyOf(nil, err)
	}
	return reply{http.StatusOK, body}
}

// ledger remembers the first reply to every idempotency key, so that what is delivered twice happens
// once. A refusal is a reply like any other; only an undo that was refused may be tried again.
type ledger struct {
	replies map[string]reply
	undone  map[string]bool // keys whose undo came
}

// do has effect at most once.
func (l *ledger) do(key string, effect func() reply) (reply, Verdict) {
	if first, found := l.replies[key]; found {
		return first, Repeated
	}
	var r reply
	if l.undone[key] {
		r = replyOf(nil, domain.ErrUndone)
	} else {
		r = effect()
	}
	l.replies[key] = r
	return r, r.verdict(Done)
}

// undo has effect at most once, and only if the request with the key that it undoes had one. It is
// given the reply to that.
func (l *ledger) undo(key, undoes string, effect func(first reply) reply) (reply, Verdict) {
	if first, found := l.replies[key]; found {
		return first, Repeated
	}
	r, verdict := replyOf(nil, nil), NothingToUndo
	if first, found := l.replies[undoes]; found && first.ok() {
		r = effect(first)
		verdict = r.verdict(Done)
	}
	if r.ok() {
		l.replies[key], l.undone[undoes] = r, true
	}
	return r, verdict
}
