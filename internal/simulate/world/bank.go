package world

// effect is what the participant of one step knows of it. It tells repeats by the idempotency key, and refuses an action that comes
// after its undo.
type effect struct {
	there    bool
	undone   bool // the undo came
	replaced bool // the undo came, and answered with another effect
	open     bool // the answer was: not yet
}

// accept takes an order that will be carried out later, unless it is undone.
func (w *World) accept(c *Call) {
	if e := c.effect(); !c.What.Spec.ReadOnly && !e.undone && !e.replaced {
		e.open = true
	}
}

// refuse drops an order that was accepted.
func (w *World) refuse(c *Call) { c.effect().open = false }

// Effect lets what the call asks for happen.
func (w *World) Effect(c *Call) {
	at := c.Saved.at(c.What.Path)
	e := &at.effect
	e.open = false
	switch {
	case c.What.Undo && !c.What.Again && e.replaced && (c.orphan || at.proceeded): // a repeat of the one that was answered
	case c.What.Undo:
		e.there, e.undone, e.replaced = false, true, false
	case c.What.Spec.ReadOnly || e.undone || e.replaced:
	default:
		e.there = true
	}
}

// replace makes the effect be there again, as an undo does that answers Proceed.
func (w *World) replace(c *Call) {
	e := c.effect()
	e.there, e.replaced = true, true
}

// settle lets everything happen that was still on its way.
func (w *World) settle() {
	for _, c := range w.late {
		w.Effect(c)
	}
	w.late = nil
	for _, s := range w.sagas {
		for _, at := range s.Paths {
			at.effect.there = at.effect.there || at.effect.open
		}
	}
}

// Effects gives the effects that are there, by saga and path.
func (w *World) Effects() map[string]bool {
	there := map[string]bool{}
	for _, s := range w.sagas {
		for path, at := range s.Paths {
			if at.effect.there {
				there[s.ID+"/"+path] = true
			}
		}
	}
	return there
}

func (c *Call) effect() *effect { return &c.Saved.at(c.What.Path).effect }
