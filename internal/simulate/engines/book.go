package engines

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
	"github.com/skald-go/skald/internal/simulate/world"
)

// books hold what happened to each saga, in order.
type books struct {
	mu    sync.Mutex
	books map[string]*book
	order []*book // of their births
}

// book is that of one saga. It is locked while something is committed, so that what follows from a commit comes after it.
type book struct {
	id      string
	mu      sync.Mutex
	start   broker.Start
	begun   bool
	rev     uint64 // of the last commit
	loose   bool   // two workers may believe that they own the saga
	events  []event
	effects map[string]*effect // by path
	ended   int
}

// event is a commit or an attempt.
type event struct {
	commit  *broker.Transition
	path    string
	undo    bool
	late    bool
	seen    world.Seen
	fault   world.Fault
	attempt bool
}

// effect is what the participant of one path knows.
type effect struct {
	there, undone bool
	proceeded     bool   // an undo that answered Proceed stands in the journal
	do, undo      string // idempotency keys
}

func newBooks() *books { return &books{books: map[string]*book{}} }

func (all *books) of(id string) *book {
	all.mu.Lock()
	defer all.mu.Unlock()
	b := all.books[id]
	if b == nil {
		b = &book{id: id, effects: map[string]*effect{}}
		all.books[id] = b
	}
	return b
}

// born notes that a saga was stored.
func (all *books) born(b *book, start broker.Start) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if b.begun {
		return
	}
	start.Record, start.By = slices.Clone(start.Record), nil
	b.begun, b.start = true, start
	all.order = append(all.order, b)
}

// committed notes a transition that was applied for the first time.
func (b *book) committed(t broker.Transition) {
	if t.Rev < b.rev {
		return // a repeat
	}
	b.rev = t.Rev + 1
	kept := t
	kept.Append = slices.Clone(t.Append)
	for k := range kept.Append {
		kept.Append[k].Data = slices.Clone(kept.Append[k].Data)
		if saga.FactKind(kept.Append[k].Data[0]) == saga.Proceeded {
			b.effect(kept.Append[k].Path).proceeded = true
		}
	}
	kept.Outcome = slices.Clone(t.Outcome)
	kept.Send, kept.Consume = nil, nil
	b.events = append(b.events, event{commit: &kept})
	if t.Next == broker.Finish {
		b.ended++
	}
}

func (b *book) effect(path string) *effect {
	e := b.effects[path]
	if e == nil {
		e = &effect{}
		b.effects[path] = e
	}
	return e
}

// loosen says that another worker may go on with the saga while one still works on it.
func (b *book) loosen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loose = true
}

func (b *book) isLoose() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loose
}

// tell writes down what is known of a saga and its children, for people.
func (all *books) tell(id string) string {
	var text strings.Builder
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, b := range all.order {
		if b.id != id && !strings.HasPrefix(b.id, id+"/") {
			continue
		}
		b.mu.Lock()
		for _, e := range b.events {
			fmt.Fprintf(&text, "  %s: %v\n", b.id, e)
		}
		b.mu.Unlock()
	}
	return text.String()
}

// String is one line for people.
func (e event) String() string {
	switch {
	case e.attempt && e.undo:
		return fmt.Sprintf("undo %s: %s", e.path, e.fault)
	case e.attempt:
		return fmt.Sprintf("do %s: %s", e.path, e.fault)
	}
	text := fmt.Sprintf("revision %d, way %d:", e.commit.Rev+1, e.commit.Next)
	for _, entry := range e.commit.Append {
		text += fmt.Sprintf(" %v %s", saga.FactKind(entry.Data[0]), entry.Path)
	}
	return text
}
