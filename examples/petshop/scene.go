package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/examples/petshop/domain"
	"github.com/skald-go/skald/examples/petshop/participants"
	"github.com/skald-go/skald/flow"
)

// narrator tells scenes of the story, and checks that none loses points or pets.
type narrator struct {
	*world
	out    io.Writer
	err    error // the first thing that was not as it should be
	scenes int
	before participants.State
}

// scene is one saga.
type scene struct {
	title  string
	saga   string
	faults []participants.Fault
	points int    // that come into the world, or leave it
	pets   int    // as well
	reason string // why they do
}

func (n *narrator) say(format string, args ...any) {
	if _, err := fmt.Fprintf(n.out, format+"\n", args...); err != nil {
		n.fail(err)
	}
}

func (n *narrator) fail(err error) { n.err = errors.Join(n.err, err) }

func (n *narrator) begin(s scene) {
	n.scenes++
	n.before = n.town.State()
	n.town.Plan(s.faults...)
	n.say("\n%2d  %s", n.scenes, s.title)
}

// end tells what the saga did, how it ended, and what it changed.
func (n *narrator) end(s scene, result any, err error) { n.endAfter(s, 0, result, err) }

// endAfter leaves out the requests that were told before.
func (n *narrator) endAfter(s scene, told int, result any, err error) {
	n.town.Repair()
	for _, e := range n.town.Journal(s.saga)[told:] {
		n.say("      %s", line(e))
	}
	if err == nil {
		n.say("    → %v", result)
	} else {
		n.explain(err)
	}
	n.balance(s)
}

// line tells one request to a participant.
func line(e participants.Entry) string {
	name, what := e.Step(), string(e.Verdict)
	if e.Undo() {
		name = "undo " + name
	}
	mark := map[participants.Verdict]string{
		participants.Refused: "✗", participants.Failed: "✗", participants.Repeated: "≡", participants.Read: "·",
	}[e.Verdict]
	switch {
	case mark == "" && e.Undo():
		mark = "↶"
	case mark == "":
		mark = "✓"
	}
	switch {
	case e.Verdict == participants.Refused:
		what += ": " + e.Problem().Detail
	case e.Verdict == participants.Repeated:
		what += ": the first reply again, nothing happened twice"
	}
	if e.Lost {
		what += ", but the reply was lost"
	}
	return fmt.Sprintf("%s %-22s %-10s %s", mark, name, e.Service, what)
}

func (n *narrator) explain(err error) {
	failed, ok := errors.AsType[*flow.Error](err)
	if !ok {
		n.fail(fmt.Errorf("scene %d: not a saga's error: %w", n.scenes, err))
		return
	}
	n.say("    → %v, because of %s:", failed.State, kind(failed.Cause))
	n.say("      %v", failed.Cause)
	for _, u := range failed.Undone {
		if u.Err != nil {
			n.say("      the undo of %s is open: %v", u.Step, u.Err)
		}
	}
}

// kind names what the caller can ask for with errors.Is or errors.As.
func kind(err error) string {
	for _, known := range domain.Errors.Registered() {
		if known.Sentinel != nil && !known.Standard && errors.Is(err, known.Sentinel) {
			return known.Key
		}
	}
	if opaque, ok := errors.AsType[*errcodec.Opaque](err); ok {
		return "an unregistered " + opaque.Kind()
	}
	return fmt.Sprintf("%T", err)
}

// balance tells what became of the points, and checks that nothing was lost.
func (n *narrator) balance(s scene) {
	after := n.town.State()
	var accounts []string
	for _, user := range slices.Sorted(maps.Keys(after.Points)) {
		now := fmt.Sprintf("%s %d", user, n.before.Points[user])
		if n.before.Points[user] != after.Points[user] {
			now += fmt.Sprintf(" → %d", after.Points[user])
		}
		accounts = append(accounts, now)
	}
	points := after.TotalPoints() - n.before.TotalPoints()
	pets := len(after.AllPets()) - len(n.before.AllPets())
	verdict := "nothing is lost"
	if s.reason != "" {
		verdict = s.reason
	}
	if points != s.points || pets != s.pets {
		verdict = "LOST"
		n.fail(fmt.Errorf("scene %d: %+d points and %+d pets, instead of %+d and %+d", n.scenes, points, pets, s.points, s.pets))
	}
	n.say("      points: %s · pets: %d · %s", strings.Join(accounts, ", "), len(after.AllPets()), verdict)
}

// play tells a saga from its start to its end.
func play[I, O any](n *narrator, s scene, f flow.Flow[I, O], in I, tell func(O) string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.begin(s)
	future, err := f.Start(ctx, n.engine, in, flow.ID(s.saga))
	if err != nil {
		n.fail(err)
		return
	}
	out, err := future.Await(ctx)
	n.end(s, tell(out), err)
}
