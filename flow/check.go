package flow

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/skald-go/skald/internal/plan"
)

// place is the call in the program's text that a panic is about.
type place struct{ flow, call, name string }

func (p place) String() string {
	switch {
	case p.flow == "":
		return p.call
	case p.name == "":
		return fmt.Sprintf("%q.%s", p.flow, p.call)
	default:
		return fmt.Sprintf("%q.%s(%q)", p.flow, p.call, p.name)
	}
}

func (p place) panicf(format string, args ...any) {
	panic("flow: " + p.String() + ": " + fmt.Sprintf(format, args...))
}

// named is the place of a call on f that makes a node with a name.
func (f Flow[I, O]) named(call, name string) place {
	at := f.at(call, name)
	at.checkName(name)
	return at
}

func (p place) checkName(name string) {
	if err := plan.CheckName(name); err != nil {
		p.panicf("%v", err)
	}
}

func (p place) checkType(t *plan.Type) {
	if err := t.Check(); err != nil {
		p.panicf("%v", err)
	}
}

func (p place) checkFunc(role string, missing bool) {
	if missing {
		p.panicf("%s is nil: give it a function", role)
	}
}

func (p place) checkSignal(letter *plan.Type) {
	if letter == nil {
		p.panicf("the signal is a zero Signal: make it with flow.NewSignal")
	}
}

// inner is the node of a part that is used at a place; role says which of its parts it is.
func inner[I, O any](at place, role string, part Part[I, O]) *plan.Node {
	if isNil(part) {
		at.panicf("%s is nil: give it a step or a flow", role)
	}
	node := part.Plan().Node
	if node == nil {
		at.panicf("%s is a zero %T: make it with step.New, flow.New or flow.Child", role, part)
	}
	if node.Settings != nil {
		at.panicf("%s, flow %q, has %s, which a saga has as a whole: leave it out, or make the flow a saga of its own with flow.Child",
			role, node.Name, settingsOf(node))
	}
	return node
}

func settingsOf(node *plan.Node) string {
	var names []string
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"Deadline", node.Settings.Deadline != 0},
		{"Lock", node.Settings.Lock != nil && !node.Settings.Refuse},
		{"LockOrRefuse", node.Settings.Refuse},
		{"KeyedBy", node.Settings.KeyedBy != nil},
		{"Version", node.Settings.Version != 0},
		{"UndoInOrder", node.Settings.UndoInOrder},
		{"StopUndoOnFailure", node.Settings.StopAtFailed},
	} {
		if s.set {
			names = append(names, s.name)
		}
	}
	return strings.Join(names, " and ")
}

// isNil sees nil pointers in interfaces too.
func isNil(part any) bool {
	v := reflect.ValueOf(part)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
