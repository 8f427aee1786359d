package saga

import (
	"time"

	"github.com/skald-go/skald/broker"
)

// Load gives the machine of a stored saga. The error is a *ForeignError if the definition does not have what the
// record says, and a *BrokenError if the record cannot be read.
func Load(env *Env, prog *Program, r *broker.Record, now time.Time) (*Machine, error) {
	h, err := DecodeHeader(r.Record)
	if err != nil {
		return nil, &BrokenError{Err: err}
	}
	h.Waits = r.Waits
	m := take(env, prog, r.ID, h)
	m.rev = r.Rev
	m.loading, m.index = true, map[string]*inst{}
	m.size = len(h.Input)
	m.begin()
	for _, e := range r.Journal {
		if err := m.replay(e); err != nil {
			m.Release()
			return nil, err
		}
	}
	if err := m.recall(r.Memo); err != nil {
		m.Release()
		return nil, err
	}
	m.loading, m.index = false, nil
	if Takeovers(r) > 0 {
		m.suspectAll(now)
	}
	return m, nil
}

func (m *Machine) replay(e broker.Entry) error {
	f, err := DecodeFact(e, m.header.Started)
	if err != nil {
		return &BrokenError{Path: e.Path, Err: err}
	}
	i, err := m.find(&f)
	if err != nil {
		return err
	}
	m.grow(&f, len(e.Data))
	if f.ID != "" {
		m.mark(f.ID, false)
	}
	m.apply(i, &f)
	return nil
}
