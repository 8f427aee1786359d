package saga

// apply makes f true. i is what f.Path names, or nil if f is about the whole saga.
func (m *Machine) apply(i *inst, f *Fact) {
	if f.Who != "" {
		m.noteHand(f)
	}
	switch f.Kind {
	case Done:
		m.applyDone(i, f)
	case Refused:
		m.applyRefused(i, f)
	case Failed:
		m.applyFailed(i, f)
	case Tried:
		m.applyTried(i, f)
	case Suspect:
		m.applySuspect(i, f)
	case Chose, Items, Round:
		m.applyDecision(i, f)
	case Won:
		m.applyWon(i, f)
	case Lost:
		m.applyLost(i)
	case Due:
		i.decided = true
		m.alarm(i, f.Due)
	case Begun:
		m.applyBegun(i, f)
	case Woke:
		m.applyWoke(i)
	case Took:
		m.applyTook(i, f)
	case Undone, Skipped:
		m.applyUndone(i, f)
	case Stuck:
		m.applyStuck(i, f)
	case Proceeded:
		m.applyProceeded(i, f)
	case Reply:
		m.applyReply(i, f)
	case Overdue:
		m.applyOverdue(i, f)
	default:
		m.applyToSaga(f)
	}
}

func (m *Machine) applyToSaga(f *Fact) {
	switch f.Kind {
	case Signal:
		m.signals = append(m.signals, letter{id: f.ID, name: f.Text, data: f.Out})
	case Granted:
		m.unbar()
	case Cancelled, Expired, Asked:
		t := m.root.ill()
		t.failure = f.failure()
		t.fails = append(t.fails, m.root)
		m.endedBy = f.ID
		m.released = m.released || f.Kind == Asked && f.Flag
		m.goBack()
	case Late:
		m.late = true
	case Slow:
		m.slow = true
	case Taken:
		m.taken = f.Index
	case Released:
		m.released = true
	case Relayed:
		m.relay()
	case Settled:
		m.settled = &Fact{Kind: Settled, ID: f.ID, Who: f.Who, Text: f.Text, Out: f.Out, Err: f.Err, At: f.At, Flag: f.Flag}
	}
}
