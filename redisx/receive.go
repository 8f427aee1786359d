package redisx

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skald-go/skald/broker"
)

// inbox is what a worker has got and not handed out, and whether there is reason to look for more.
type inbox struct {
	mu       sync.Mutex
	sagas    []broker.Delivery
	news     []broker.Delivery
	err      error // of the last look
	mail     bool  // there may be mail
	ready    bool  // there may be sagas that are ready
	lost     bool  // an answer may have been lost: read back what the worker owns
	fetching bool
	waiting  int           // calls of Receive
	seen     []any         // pairs of an ID and the number of an event, that the server need not tell of again
	bell     chan struct{} // closed when something changes
}

func (x *inbox) open() {
	x.mail, x.ready, x.bell = true, true, make(chan struct{})
}

// wake wakes those who wait. x is locked.
func (x *inbox) wake() {
	close(x.bell)
	x.bell = make(chan struct{})
}

func (x *inbox) ring() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake()
}

// stir says that there may be mail, or sagas.
func (x *inbox) stir(mail, ready bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mail, x.ready = x.mail || mail, x.ready || ready
	x.wake()
}

// suspect says that an answer may have been lost.
func (x *inbox) suspect() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mail, x.lost = true, true
	x.wake()
}

// take gives what is there. If there is nothing, it says whether to fetch something, and gives a bell to wait for.
func (x *inbox) take(room int) (got []broker.Delivery, fetch bool, bell chan struct{}, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err, x.err = x.err, nil; err != nil {
		return nil, false, nil, err
	}
	got, x.news = x.news, nil
	n := min(room, len(x.sagas))
	got = append(got, x.sagas[:n]...)
	x.sagas = x.sagas[n:]
	if len(got) > 0 {
		return got, false, nil, nil
	}
	fetch = !x.fetching && (x.mail || x.ready && room > 0)
	if fetch {
		x.mail, x.ready, x.fetching = false, x.ready && room == 0, true
	}
	return nil, fetch, x.bell, nil
}

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
		got, fetch, bell, err := w.inbox.take(room)
		if err != nil || len(got) > 0 {
			return got, err
		}
		if fetch {
			w.b.spawn(func() { w.fetch(room) })
		}
		select {
		case <-bell:
		case <-w.ended.Done():
		case <-ctx.Done():
		case <-w.b.ctx.Done():
		}
	}
}

func (x *inbox) waits(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting += n
}

// maxTaken bounds how many sagas a worker takes at once, which leaves others their share.
const maxTaken = 128

// fetch looks once for mail and for sagas, and puts what it finds into the inbox.
func (w *worker) fetch(room int) {
	x := &w.inbox
	x.mu.Lock()
	lost, seen := x.lost, x.seen
	x.lost, x.seen = false, nil
	if x.waiting == 0 { // whoever asked for sagas has gone: leave them to others
		room, x.ready = 0, true
	}
	x.mu.Unlock()

	var sagas, news []broker.Delivery
	var more bool
	var err error
	if lost {
		sagas, news, err = w.readBack()
	}
	if err == nil {
		var fetched, mail []broker.Delivery
		fetched, mail, more, err = w.look(min(room, maxTaken), seen)
		sagas, news = append(sagas, fetched...), append(news, mail...)
	}

	x.mu.Lock()
	defer x.mu.Unlock()
	x.sagas, x.news = append(x.sagas, sagas...), append(x.news, news...)
	x.fetching = false
	x.ready = x.ready || more || err != nil
	x.mail, x.lost = x.mail || err != nil, x.lost || err != nil
	if err != nil && w.ended.Err() == nil && w.b.ctx.Err() == nil {
		x.err = err
	}
	x.wake()
}

// look asks the server for mail and sagas.
func (w *worker) look(room int, seen []any) (sagas, news []broker.Delivery, more bool, err error) {
	args := make([]any, 0, 4+len(w.flows)+len(seen))
	args = append(args, w.token, w.member.Build, room, len(w.flows))
	for i := range w.flows {
		args = append(args, &w.flows[i])
	}
	reply, err := w.b.part.list(w.b.ctx, 4, receiveScript, append(args, seen...)...)
	if err != nil {
		return nil, nil, false, w.mourn(err)
	}
	w.b.part.clocked(number(reply[3]))
	for _, note := range values(reply[1]) {
		d, err := w.mail(values(note))
		if err != nil {
			return nil, news, false, err
		}
		if len(d.Mail) > 0 {
			news = append(news, d)
		}
	}
	sagas, err = w.adoptAll(values(reply[2]))
	return sagas, news, number(reply[0]) == 1, err
}

// mail reads a note of mail for a saga: its ID, the number of the last event, and all events.
func (w *worker) mail(note []any) (broker.Delivery, error) {
	if len(note) < 3 {
		return broker.Delivery{}, errReply
	}
	id := text(note[0])
	mail, err := parseMail(values(note[2]))
	if err != nil {
		return broker.Delivery{}, err
	}
	fresh, ok := w.fresh(id, mail)
	if ok {
		w.inbox.mu.Lock()
		w.inbox.seen = append(w.inbox.seen, id, text(note[1]))
		w.inbox.mu.Unlock()
	}
	return broker.Delivery{ID: id, Mail: fresh}, nil
}

// fresh drops what the engine knows. It says false if the engine does not know the saga yet.
func (w *worker) fresh(id string, mail []numbered) ([]broker.Event, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, ok := w.sagas[id]
	if !ok || !h.handed {
		return nil, false
	}
	for len(mail) > 0 && mail[0].seq <= h.told {
		mail = mail[1:]
	}
	h.told = max(h.told, last(mail))
	w.sagas[id] = h
	return events(mail), true
}

// adoptAll makes deliveries of records of which the engine does not know that it owns them.
func (w *worker) adoptAll(records []any) ([]broker.Delivery, error) {
	var sagas []broker.Delivery
	for _, r := range records {
		l, record, mail, err := parseRecord(values(r))
		if err != nil {
			return sagas, err
		}
		if w.adopt(record.ID, l.head, text(values(r)[1]), mail) {
			sagas = append(sagas, broker.Delivery{ID: record.ID, Saga: record})
		}
	}
	return sagas, nil
}

// parseRecord reads what is stored of a saga: its ID and line, then, unless all is in the line, its record, mail and journal.
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
	l, rest, err := parseLine(stored)
	if err != nil {
		return l, nil, nil, err
	}
	r := &broker.Record{Start: l.start(id), Rev: l.rev, Takeovers: l.takeovers}
	if l.flags&flagInline != 0 {
		record, journal, ok := cutBlob(rest)
		if !ok {
			return l, nil, nil, errLine
		}
		r.Record = bytesOf(record)
		if r.Journal, err = parseEntries(nil, journal); err != nil {
			return l, nil, nil, err
		}
	} else if len(more) > 0 {
		r.Record = bytesOf(text(more[0]))
	}
	if len(more) < 2 {
		return l, r, nil, nil
	}
	mail, err := parseMail(values(more[1]))
	if err != nil {
		return l, nil, nil, err
	}
	r.Mail = events(mail)
	for _, chunk := range more[2:] {
		if r.Journal, err = parseEntries(r.Journal, text(chunk)); err != nil {
			return l, nil, nil, err
		}
	}
	return l, r, mail, nil
}

// readBack compares what the server says that the worker owns with what the worker knows: it hands out what was lost, and tells
// of what it owns no longer.
func (w *worker) readBack() (sagas, news []broker.Delivery, err error) {
	begun := time.Now()
	owned, err := w.b.part.list(w.b.ctx, 0, ownedScript, w.token)
	if err != nil {
		return nil, nil, w.mourn(err)
	}
	unknown, gone := w.compare(owned, begun)
	for _, id := range gone {
		news = append(news, broker.Delivery{ID: id, Lost: true})
	}
	for len(unknown) > 0 {
		n := min(len(unknown), maxTaken)
		records, err := w.b.part.list(w.b.ctx, 0, ownedScript, append([]any{w.token}, unknown[:n]...)...)
		if err != nil {
			return sagas, news, w.mourn(err)
		}
		adopted, err := w.adoptAll(records)
		sagas = append(sagas, adopted...)
		if err != nil {
			return sagas, news, err
		}
		unknown = unknown[n:]
	}
	return sagas, news, nil
}

// compare gives the owned sagas that w does not know, and those that w knew before begun and that are not owned.
func (w *worker) compare(owned []any, begun time.Time) (unknown []any, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := make(map[string]bool, len(owned))
	for _, v := range owned {
		id := text(v)
		there[id] = true
		if _, ok := w.sagas[id]; !ok {
			unknown = append(unknown, id)
		}
	}
	for id, h := range w.sagas {
		if !there[id] && h.handed && h.since.Before(begun) {
			gone = append(gone, id)
			delete(w.sagas, id)
		}
	}
	return unknown, gone
}
