package saga

import (
	"strings"

	"github.com/skald-go/skald/broker"
)

// SettleUnread ends a saga that cannot be loaded, for the reason why, if a person has asked for that. Children that it
// may have stay as they are: nobody knows them.
func SettleUnread(env *Env, r *broker.Record, why error) (t broker.Transition, ok bool) {
	for _, ev := range r.Mail {
		if ev.Kind != EventSettle {
			continue
		}
		n, err := DecodeNote(ev.Data)
		if err != nil {
			continue
		}
		o := settledBy(env, r, n, why)
		o.Hands = []Hand{{Kind: Settled, Who: n.Who, Why: n.Why, At: ev.At}}
		t = broker.Transition{ID: r.ID, Rev: r.Rev, Next: broker.Finish, Outcome: o.Append(nil), Keep: env.Keep}
		if path, found := strings.CutPrefix(r.ID, r.Parent+"/"); found && r.Parent != "" {
			id := r.ID + "~settled"
			service, parent := callerOf(r.Parent)
			t.Send = []broker.Message{{ID: id, Service: service, To: parent, Event: &broker.Event{ID: id, Kind: EventReply, Name: path, Data: t.Outcome}}}
		}
		return t, true
	}
	return t, false
}

func settledBy(env *Env, r *broker.Record, n Note, why error) Outcome {
	if n.Out != nil {
		return Outcome{End: Succeeded, Value: n.Out, Hand: true}
	}
	err := env.Fail(Failure{Saga: r.ID, Flow: r.Flow, End: Compensated, Cause: why, Also: []error{env.Errors.Decode(n.Err)}})
	return Outcome{End: Compensated, Err: env.Errors.Append(nil, err), Hand: true}
}
