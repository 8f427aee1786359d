package saga_test

// bank is all participants of all sagas. It knows by the idempotency keys which effects there are, and refuses an action that comes
// after its undo.
type bank struct {
	effects map[string]bool // by saga and path: the effect is there
	undone  map[string]bool // the undo came
	late    []*call         // attempts of dead processes that still run
}

func newBank() *bank { return &bank{effects: map[string]bool{}, undone: map[string]bool{}} }

// apply does what the call asks for.
func (b *bank) apply(c *call) {
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
}
