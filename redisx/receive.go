package redisx

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/skald-go/skald/broker"
)

// Receive implements broker.Worker.
func (w *worker) Receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	got, err := w.receive(ctx, room)
	if err != nil {
		return nil, failed("receive for", w.member.Name, err)
	}
	return got, nil
}

func (w *worker) receive(ctx context.Context, room int) ([]broker.Delivery, error) {
	w.inbox.waits(1)
	defer w.inbox.waits(-1)
	for {
		if err := w.usable(ctx); err != nil {
			return nil, err
		}
		got, looks, bell, err := w.inbox.take(room)
		if err != nil || len(got) > 0 {
			return got, err
		}
		for _, l := range looks {
			select {
			case w.looks <- l:
			default:
				w.b.spawn(func() { w.fetchFrom(l) })
			}
		}
		select {
		case <-bell:
		case <-w.ended.Done():
		case <-ctx.Done():
		case <-w.b.ctx.Done():
		}
	}
}

// fetchFrom makes a look, and then others as they come: a goroutine that begins anew has a stack that must grow.
func (w *worker) fetchFrom(l look) {
	for {
		w.fetch(l)
		select {
		case l = <-w.looks:
		case <-w.ended.Done():
			return
		case <-w.b.ctx.Done():
			return
		}
	}
}

// maxTaken bounds how many sagas a worker takes at once, which leaves others their share.
const maxTaken = 128

// found is what a look brought.
type found struct {
	sagas, news []broker.Delivery
	seen        []any
	more        bool
}

// fetch makes a look, and puts what it brought into the inbox. A partition that cannot be read is looked at again with the next sign of life,
// and the others meanwhile; if it is the only one, Receive says so.
func (w *worker) fetch(l look) {
	s := w.seats[l.partition]
	token, taken := s.name()
	if !taken {
		w.inbox.put(l, found{}, nil)
		return
	}
	w.inbox.reconsider(&l)
	var f found
	var err error
	if l.lost {
		err = s.readBack(token, &f)
	}
	if err == nil {
		err = s.look(token, l, &f)
	}
	s.mourn(token, err)
	if !s.deliver(token, l, f, err) {
		return
	}
	if err != nil && len(w.seats) == 1 && w.ended.Err() == nil && w.b.ctx.Err() == nil {
		w.inbox.fail(err)
	}
}

// deliver puts what a look brought into the inbox. If the seat was lost meanwhile, the sagas belong to others: it drops them, and says false.
func (s *seat) deliver(token string, l look, f found, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.taken && s.token == token
	if !kept {
		for _, d := range f.sagas {
			s.w.drop(d.ID, d.Saga.Rev)
		}
		f.sagas = nil
	}
	if len(s.w.seats) > 1 && err != nil { // the others go on
		s.w.inbox.put(l, f, nil)
		s.w.inbox.doubt(l.partition)
	} else {
		s.w.inbox.put(l, f, err)
	}
	return kept
}

// look asks the server for mail and sagas.
func (s *seat) look(token string, l look, f *found) error {
	w := s.w
	args := make([]any, 0, 4+len(w.flows)+len(l.seen))
	args = append(args, token, w.member.Build, l.room, len(w.flows))
	for i := range w.flows {
		args = append(args, &w.flows[i])
	}
	reply, err := s.p.list(w.b.ctx, 4, receiveScript, append(args, l.seen...)...)
	if err != nil {
		return err
	}
	s.p.clocked(number(reply[3]))
	f.more = number(reply[0]) == 1
	for _, note := range values(reply[1]) {
		if err := s.mail(values(note), f); err != nil {
			return err
		}
	}
	return s.adoptAll(values(reply[2]), f)
}

// mail reads a note of mail for a saga: its ID, the number of the last event, and all events.
func (s *seat) mail(note []any, f *found) error {
	if len(note) < 3 {
		return errReply
	}
	id := text(note[0])
	mail, err := parseMail(values(note[2]))
	if err != nil {
		return err
	}
	fresh, ok := s.w.fresh(id, mail)
	if ok {
		f.seen = append(f.seen, id, text(note[1]))
	}
	if len(fresh) > 0 {
		f.news = append(f.news, broker.Delivery{ID: id, Mail: fresh})
	}
	return nil
}

// adoptAll makes deliveries of records of which the engine does not know that it owns them.
func (s *seat) adoptAll(records []any, f *found) error {
	for _, r := range records {
		stored := values(r)
		l, record, mail, err := parseRecord(stored)
		if err != nil {
			return err
		}
		if s.w.adopt(s.p, l, record, newHotLine(stored), mail) {
			f.sagas = append(f.sagas, broker.Delivery{ID: record.ID, Saga: record})
		}
	}
	return nil
}

// parseRecord reads what is stored of a saga: its ID, line and record, then, if there is any, its mail, memo and journal.
func parseRecord(v []any) (line, *broker.Record, []numbered, error) {
	if len(v) < 2 {
		return line{}, nil, nil, errReply
	}
	id := text(v[0])
	l, r, mail, err := parseStored(id, text(v[1]), v[2:])
	if err != nil {
		return l, nil, nil, fmt.Errorf("saga %q: %w", id, err)
	}
	return l, r, mail, nil
}

func parseStored(id, stored string, more []any) (line, *broker.Record, []numbered, error) {
	l, _, err := parseLine(stored)
	if err != nil {
		return l, nil, nil, err
	}
	record := ""
	if len(more) > 0 {
		record = text(more[0])
	}
	if record, err = l.origin(cmp.Or(record, noOrigin)); err != nil {
		return l, nil, nil, err
	}
	r := &broker.Record{Start: l.start(id), Waits: l.flags&flagWaits != 0, Rev: l.rev, Takeovers: l.takeovers}
	r.Record = bytesOf(record)
	if len(more) < 2 {
		return l, r, nil, nil
	}
	mail, err := parseMail(values(more[1]))
	if err != nil {
		return l, nil, nil, err
	}
	r.Mail = events(mail)
	chunks := more[2:]
	if l.flags&flagMemo != 0 && len(chunks) > 0 {
		r.Memo, chunks = bytesOf(text(chunks[0])), chunks[1:]
	}
	for _, chunk := range chunks {
		if r.Journal, err = parseEntries(r.Journal, text(chunk)); err != nil {
			return l, nil, nil, err
		}
	}
	return l, r, mail, nil
}

// readBack compares what the server says that the worker owns with what the worker knows: it hands out what was lost, and tells
// of what it owns no longer.
func (s *seat) readBack(token string, f *found) error {
	begun := time.Now()
	owned, err := s.p.list(s.w.b.ctx, 0, ownedScript, token)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(owned))
	for _, id := range owned {
		there[text(id)] = true
	}
	unknown := s.w.unknown(owned)
	for _, id := range s.w.lose(s.p, begun, there) {
		f.news = append(f.news, broker.Delivery{ID: id, Lost: true})
	}
	for len(unknown) > 0 {
		n := min(len(unknown), maxTaken)
		records, err := s.p.list(s.w.b.ctx, 0, ownedScript, append([]any{token}, unknown[:n]...)...)
		if err != nil {
			return err
		}
		if err := s.adoptAll(records, f); err != nil {
			return err
		}
		unknown = unknown[n:]
	}
	return nil
}
