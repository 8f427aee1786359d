package saga_test

// bank is all participants of all sagas. It knows by the idempotency keys which effects there are, and refuses an action that comes
// after its undo.
type bank struct {
	effects map[string]bool // by saga and path: the effect is there
	undone  map[string]bool // the undo came
	open    map[string]bool // the answer was: not yet
	late    []*call         // attempts of dead processes that still run
}

func newBank() *bank {
	return &bank{effects: map[string]bool{}, undone: map[string]bool{}, open: map[string]bool{}}
}

// accept takes an order that will be carried out later, unless it is undone.
func (b *bank) accept(c *call) {
	if !c.what.Spec.ReadOnly && !b.undone[c.key()] {
		b.open[c.key()] = true
	}
}

// refuse drops an order that was accepted.
func (b *bank) refuse(c *call) { delete(b.open, c.key()) }

// apply does what the call asks for.
func (b *bank) apply(c *call) {
	delete(b.open, c.key())
	switch key := c.key(); {
	case c.what.Undo:
		delete(b.effects, key)
		b.undone[key] = true
	case c.what.Spec.ReadOnly || b.undone[key]:
	default:
		b.effects[key] = true
	}
}

// replace makes the effect be there again, as an undo does that answers Proceed.
func (b *bank) replace(c *call) {
	b.effects[c.key()] = true
	delete(b.undone, c.key())
}

// settle lets everything happen that was still on its way.
func (b *bank) settle() {
	for _, c := range b.late {
		b.apply(c)
	}
	b.late = nil
	for key := range b.open {
		b.effects[key] = true
	}
}
