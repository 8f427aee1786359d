package inmem

import (
	"slices"
	"time"

	"github.com/skald-go/skald/broker"
)

// unborn is the state of mail that came before the start of its saga.
const unborn broker.State = 0

// saga is what the broker knows of an ID. Its shard's lock guards it.
type saga struct {
	home   *shard
	id     string
	parent string
	broker.Served
	digest  [32]byte
	rev     uint64
	outcome []byte
	since   int64 // in state
	due     int64 // Parked, Held: wakes; Finished, unborn: is forgotten; 0: never
	owner   *worker
	last    *worker // made the last transition
	box     *mailbox
	live    *live // nil once finished
	slot    int32 // place in an agenda, which guards it
	state   broker.State
	kept    bool // the last transition left the saga with its owner
}

// live is what a saga needs until it has finished, to be used again by another saga.
type live struct {
	data      []byte // the record, then what the entries say
	record    int    // bytes of the record
	entries   []entry
	memo      []byte
	takeovers int
	rejected  []string // builds, sorted
	claim     *claim   // nil: it claims nothing
	waits     bool     // it did not get all that it claims at once
	place              // in the queue, which guards it
}

// entry is an entry of a journal; its data begin where those of the one before end.
type entry struct {
	path string
	end  int
}

// maxReused bounds the memory that a live keeps for its next saga.
const maxReused = 16 << 10

func (b *Broker) newLive(record []byte) *live {
	l := b.lives.Get().(*live)
	l.data = append(l.data[:0], record...)
	l.record = len(record)
	return l
}

func (b *Broker) reuse(l *live) {
	if cap(l.data) > maxReused {
		return
	}
	clear(l.entries)
	*l = live{data: l.data[:0], entries: l.entries[:0]}
	b.lives.Put(l)
}

func (l *live) append(entries []broker.Entry) {
	for _, e := range entries {
		l.data = append(l.data, e.Data...)
		l.entries = append(l.entries, entry{e.Path, len(l.data)})
	}
}

// note replaces the memo, unless it is to stay.
func (l *live) note(memo []byte) {
	switch {
	case memo == nil:
	case len(memo) == 0:
		l.memo = nil
	default:
		l.memo = slices.Clone(memo)
	}
}

// read copies the record and, if asked, the journal.
func (l *live) read(journal bool) ([]byte, []broker.Entry) {
	if !journal {
		return slices.Clone(l.data[:l.record]), nil
	}
	data := slices.Clone(l.data)
	entries := make([]broker.Entry, len(l.entries))
	begin := l.record
	for i, e := range l.entries {
		entries[i] = broker.Entry{Path: e.path, Data: data[begin:e.end:e.end]}
		begin = e.end
	}
	return data[:l.record:l.record], entries
}

// enter changes the state.
func (s *saga) enter(state broker.State) {
	s.home.states[s.state]--
	s.home.states[state]++
	s.state = state
	s.since = now()
	if state != broker.Owned {
		s.owner = nil
	}
}

// waiting tells whether mail makes the saga ready.
func (s *saga) waiting() bool {
	return s.state == broker.Parked || s.state == broker.Held
}

// told tells whether watchers want to know.
func (s *saga) told() bool {
	return s.state == broker.Held || s.state == broker.Buried || s.state == broker.Finished
}

func (s *saga) expired() bool {
	return (s.state == broker.Finished || s.state == unborn) && s.due <= now()
}

func (s *saga) record(journal bool) broker.Record {
	r := broker.Record{
		Start: broker.Start{ID: s.id, Served: s.Served, Digest: s.digest, Parent: s.parent},
		Rev:   s.rev,
	}
	if s.live != nil {
		r.Takeovers, r.Waits = s.live.takeovers, s.live.waits
		r.Record, r.Journal = s.live.read(journal)
		if journal {
			r.Memo = slices.Clone(s.live.memo)
		}
	}
	if journal {
		r.Mail = s.box.all()
	}
	return r
}

func (b *Broker) snapshot(s *saga, journal bool) broker.Snapshot {
	shot := broker.Snapshot{
		Record:  s.record(journal),
		State:   s.state,
		Outcome: slices.Clone(s.outcome),
		Since:   time.Unix(0, s.since),
	}
	switch {
	case s.state == broker.Owned:
		shot.Owner = s.owner.member.Name
	case s.state == broker.Ready:
		shot.Stranded = b.queue.stranded(s)
	case s.waiting():
		shot.Wake = instant(s.due)
	}
	return shot
}
