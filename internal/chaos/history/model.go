package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skald-go/skald/broker"
)

// saga is what the model knows of one: a broker that does one thing at a time would store that.
type saga struct {
	rev      uint64 // 0: there is none
	owner    string // the worker that alone may commit; "" if there is none
	unsure   bool   // owner may own it or not, because an answer was lost
	last     string // who made rev
	finished bool
}

// Check says whether the entries of a saga can be explained. They are those of all processes, in any order.
//
// What it holds a broker to: revisions go up by one; a commit is accepted from the owner only; who received a saga at a revision is its owner
// until it commits or another receives it, and nobody receives it at an older revision, at one revision twice, or when it has finished.
// A call that failed or never returned may have been done at any time from then on, or not at all. That a worker is declared dead is nobody's call: a saga
// may be received by another worker at any time, after which the old owner's commits must fail.
func Check(entries []Entry) (legal bool, err error) {
	id := entries[0].ID
	result := porcupine.CheckOperationsTimeout(model(strings.Contains(id, "/")), operations(entries), 20*time.Second)
	if result == porcupine.Unknown {
		return false, fmt.Errorf("history: saga %q: no answer within the time", id)
	}
	return result == porcupine.Ok, nil
}

// ByID sorts entries by the saga that they are about.
func ByID(entries []Entry) map[string][]Entry {
	sagas := map[string][]Entry{}
	for _, e := range entries {
		sagas[e.ID] = append(sagas[e.ID], e)
	}
	for _, of := range sagas {
		slices.SortFunc(of, func(a, b Entry) int { return cmp.Compare(a.Call, b.Call) })
	}
	return sagas
}

// operations leaves out repeats of what may or may not have been done before: what they can have done, the first can have done.
func operations(entries []Entry) (ops []porcupine.Operation) {
	clients, unknown := map[string]int{}, map[Op]bool{}
	for _, e := range entries {
		if _, ok := clients[e.Worker]; !ok {
			clients[e.Worker] = len(clients)
		}
		op := porcupine.Operation{ClientId: clients[e.Worker], Input: e.Op, Output: e.Reply, Call: e.Call, Return: e.Return}
		if e.Open || e.Err != "" {
			if e.Method == "lookup" || unknown[e.Op] {
				continue
			}
			unknown[e.Op] = true
			op.Return, op.Output = math.MaxInt64, Reply{Err: cmp.Or(e.Err, "no answer")}
		}
		ops = append(ops, op)
	}
	return ops
}

// model is that of a saga, which exists from the beginning if it is a child: its parent's commit has started it.
func model(child bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any {
			if child {
				return saga{rev: 1}
			}
			return saga{}
		},
		Step: func(state, input, output any) (bool, any) {
			return state.(saga).step(input.(Op), output.(Reply))
		},
	}
}

func (s saga) step(op Op, r Reply) (bool, saga) {
	switch op.Method {
	case "start":
		return s.start(op, r)
	case "receive":
		return s.receive(op, r)
	case "commit":
		return s.commit(op, r)
	default:
		return s.rev == r.Rev && s.finished == r.Finished, s
	}
}

// start accepts that a saga is said to have existed that this very call has made: the client may have sent it twice.
func (s saga) start(op Op, r Reply) (bool, saga) {
	made := saga{rev: 1, owner: op.Worker, unsure: !r.Owned}
	switch {
	case r.Err != "", r.Existed:
		if s.rev == 0 {
			return true, made
		}
		return true, s
	case r.Owned && s.rev == 1 && s.owner == op.Worker && s.unsure: // by an earlier call whose answer was lost
		return true, made
	default:
		return s.rev == 0, made
	}
}

func (s saga) receive(op Op, r Reply) (bool, saga) {
	again := s.owner == op.Worker && !s.unsure && r.Takeovers == 0 // a worker may be declared dead in the saga's partition, and go on
	if s.rev != r.Rev || s.finished || again {
		return false, s
	}
	s.owner, s.unsure = op.Worker, false
	return true, s
}

func (s saga) commit(op Op, r Reply) (bool, saga) {
	applies := s.rev == op.Rev && s.owner == op.Worker && !s.finished && s.rev > 0
	switch {
	case r.Err != "":
		if applies {
			s = s.committed(op)
		}
		return true, s
	case r.Rev != op.Rev+1:
		return false, s
	case applies:
		s = s.committed(op)
	case s.rev == r.Rev && s.last == op.Worker: // a repeat
	default:
		return false, s
	}
	if s.owner == op.Worker {
		s.unsure = false
	}
	if !r.Owned && s.owner == op.Worker {
		s.owner = ""
	}
	return true, s
}

// committed is what a commit makes of a saga when nobody knows what it answered.
func (s saga) committed(op Op) saga {
	s.rev++
	s.last = op.Worker
	switch broker.Next(op.Next) {
	case broker.Keep:
	case broker.Park, broker.Hold:
		s.unsure = true // it may have crossed with mail
	case broker.Finish:
		s.owner, s.finished = "", true
	default:
		s.owner = ""
	}
	return s
}

// String is one line for people.
func (e Entry) String() string {
	took := "never returned"
	if !e.Open {
		took = fmt.Sprintf("%.3f ms", float64(e.Return-e.Call)/1e6)
	}
	what := fmt.Sprintf("%.3f s  %-8s %-12s", float64(e.Call)/1e9, e.Method, e.Worker)
	if e.Method == "commit" {
		what += fmt.Sprintf(" from %d, next %d", e.Op.Rev, e.Next)
	}
	return fmt.Sprintf("%s (%s): rev %d owned %t existed %t finished %t takeovers %d %s",
		what, took, e.Reply.Rev, e.Owned, e.Existed, e.Finished, e.Takeovers, e.Err)
}
