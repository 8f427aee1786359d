package sagatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/skald-go/skald/flow"
)

// Compatible fails the test if sagas that run by a recorded definition could not go on with the present one: it names the path, what became
// of it, and what to do. Each file holds a definition that was deployed, and of which sagas may still run:
//
//	func TestOrderIsCompatible(t *testing.T) {
//		sagatest.Compatible(t, shop.Order(), "testdata/order.v1.json", "testdata/order.v1b.json")
//	}
//
// With SKALD_UPDATE=1 in the environment, or a flag -update of the test's package, a file that is missing is written with the present
// definition. One that exists is never overwritten: delete it when no saga of it is left.
//
// What can be judged are names, kinds, order, arms, signals, children, compensations, pivots, and the types of recorded values as flow.MsgPack
// writes them. What a Map, a condition, a join or the items of an Each compute cannot: raise the flow's Version when that changes. Steps that
// are new at the end of the saga and arms that are new are fine. Where Compatible says nothing, every saga can go on; it may object to a change that
// happens to harm none, such as at a place which no saga has come to.
func Compatible[I, O any](t testing.TB, saga flow.Flow[I, O], file string, more ...string) {
	t.Helper()
	now := recordOf(definitionOf(saga))
	for _, file := range append([]string{file}, more...) {
		old, err := readRecord(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && updating():
			writeFile(t, file, now.json())
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("sagatest: %s is not there yet; write it with\n  "+howToUpdate, file, t.Name())
		case err != nil:
			t.Errorf("sagatest: %s: %v", file, err)
		default:
			report(t, saga.Name(), file, judge(old, now))
		}
	}
}

func report(t testing.TB, name, file string, found []incompatibility) {
	t.Helper()
	if len(found) == 0 {
		return
	}
	var b strings.Builder
	for _, i := range found {
		fmt.Fprintf(&b, "  %s: %s\n      %s\n", i.path, i.what, i.do)
	}
	t.Errorf("sagatest: sagas of %q that run by %s cannot all go on with the present definition:\n%s"+
		"Or let them end first: leave the old definition as it is, give this one the next Version, and serve both.", name, file, &b)
}

const (
	recordFormat  = "definition"
	recordVersion = 1
)

// record is a definition, as far as sagas that run depend on it.
type record struct {
	Skald        string            `json:"skald"` // recordFormat
	Version      int               `json:"version"`
	Flow         string            `json:"flow"`
	FlowVersion  int               `json:"flowVersion"`
	UndoInOrder  bool              `json:"undoInOrder,omitempty"`
	StopAtFailed bool              `json:"stopUndoOnFailure,omitempty"`
	In           string            `json:"in"`
	Out          string            `json:"out"`
	Parts        []part            `json:"parts"`
	Types        map[string]*shape `json:"types"`
}

// part is something that sagas record: a named node that is no flow. Maps and joins record nothing.
type part struct {
	Path     string   `json:"path"`
	Kind     string   `json:"kind"`
	Undo     bool     `json:"compensated,omitempty"`
	Pivot    bool     `json:"pivot,omitempty"`
	Pass     bool     `json:"pass,omitempty"`     // a step whose output is its input, and not recorded
	Optional bool     `json:"optional,omitempty"` // a choice of none
	Signal   string   `json:"signal,omitempty"`
	Within   bool     `json:"within,omitempty"` // a wait that ends by time
	Parallel int      `json:"parallel,omitempty"`
	Child    string   `json:"child,omitempty"`
	ChildV   int      `json:"childVersion,omitempty"`
	In       string   `json:"in,omitempty"`
	Out      string   `json:"out,omitempty"`
	Labels   []string `json:"labels,omitempty"` // of Sides, if it is a choice
	Sides    [][]part `json:"sides,omitempty"`
}

func (r record) json() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(r) // strings, numbers and lists cannot fail
	return b.Bytes()
}

func readRecord(file string) (r record, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	err = json.Unmarshal(data, &r)
	_, otherwise := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case otherwise:
		return r, errors.New("it is no recorded definition: delete it and record it again")
	case err != nil:
		return r, fmt.Errorf("it is damaged: %w", err)
	case r.Skald != recordFormat:
		return r, errors.New("it is no recorded definition: delete it and record it again")
	case r.Version != recordVersion:
		return r, fmt.Errorf("it is of version %d, and this Skald reads version %d: test with the Skald that wrote it, or a later one", r.Version, recordVersion)
	}
	return r, nil
}
