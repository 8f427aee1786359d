package redisx

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
)

// line is what a script knows of a saga: common.lua says how it is laid out.
type line struct {
	state     broker.State
	flags     byte
	rev       uint64
	since     time.Time
	wake      time.Time
	takeovers int
	owner     string
	head      string // node and lane
	from      string // the origin, as it is stored
	served    broker.Served
	rejected  []string
	digest    [32]byte
	parent    string
}

const (
	sinceAt     = 1 + 1 + 6
	wakeAt      = sinceAt + 6
	chunksAt    = wakeAt + 6 + 2 // and unread events
	ownerAt     = chunksAt + 4 + 4
	fixedLength = ownerAt + 2*workerLength
	laneAt      = fixedLength + nodeLength
	digestSize  = 32
)

// noOrigin stands for that of a saga whose record the server has lost.
var noOrigin = string(make([]byte, digestSize+2))

var errLine = errors.New("what the server stores of the saga makes no sense")

// parseLine reads a line, and gives what comes after it.
func parseLine(s string) (l line, rest string, err error) {
	if len(s) < laneAt+2 {
		return l, "", errLine
	}
	l.state, l.flags = broker.State(s[0]), s[1]
	l.rev = parse48(s[2:])
	l.since = time.UnixMilli(int64(parse48(s[8:])))
	if wake := parse48(s[14:]); wake > 0 {
		l.wake = time.UnixMilli(int64(wake))
	}
	l.takeovers = int(parseUint(s[20:22]))
	l.owner = strings.TrimSpace(s[30 : 30+workerLength])
	rest, err = l.lane(s[laneAt:])
	l.head = s[fixedLength : len(s)-len(rest)]
	return l, rest, err
}

// lane reads in which lane the saga is, and gives what comes after it.
func (l *line) lane(s string) (rest string, err error) {
	lane, rest, ok := cutText(s)
	if !ok {
		return "", errLine
	}
	l.served, l.rejected, err = parseLane(lane)
	return rest, err
}

// origin reads what a record begins with, and gives what comes after it.
func (l *line) origin(s string) (rest string, err error) {
	if len(s) < digestSize {
		return "", errLine
	}
	copy(l.digest[:], s)
	parent, rest, ok := cutText(s[digestSize:])
	if !ok {
		return "", errLine
	}
	l.from, l.parent = s[:len(s)-len(rest)], parent
	return rest, nil
}

// parseCard reads a line with an origin, or what is kept of both when a saga has finished, and gives what comes after it.
func parseCard(s string) (l line, rest string, err error) {
	if s != "" && broker.State(s[0]) == broker.Finished {
		l, rest, err = parseEnd(s)
	} else {
		l, rest, err = parseLine(s)
	}
	if err != nil {
		return l, "", err
	}
	rest, err = l.origin(rest)
	return l, rest, err
}

// endLength is that of what END in common.lua says.
const endLength = wakeAt + workerLength

// parseEnd is parseLine for a saga that has finished.
func parseEnd(s string) (l line, rest string, err error) {
	if len(s) < endLength {
		return l, "", errLine
	}
	l.state, l.flags, l.rev, l.since = broker.State(s[0]), s[1], parse48(s[2:]), time.UnixMilli(int64(parse48(s[sinceAt:])))
	rest, err = l.lane(s[endLength:])
	return l, rest, err
}

// fixed is the part of a line that changes, of a saga without mail, journal in j, outcome, or time at which it wakes.
type fixed struct {
	state       broker.State
	flags       byte
	rev, since  uint64
	owner, last string // workers, or nothing
}

// appendFixed writes f as common.lua does.
func appendFixed(b []byte, f fixed) []byte {
	b = append48(append48(append(b, byte(f.state), f.flags), f.rev), f.since)
	b = append(b, make([]byte, ownerAt-wakeAt)...)
	b = append(b, cmp.Or(f.owner, noWorker)...)
	return append(b, cmp.Or(f.last, noWorker)...)
}

// appendEnd writes what is kept of a line when a saga has finished, at that revision. head is that of its line, with its origin.
func appendEnd(b []byte, rev, since uint64, last, head string) []byte {
	b = append48(append48(append(b, byte(broker.Finished), 0), rev), since)
	return append(append(b, last...), head[nodeLength:]...)
}

const noWorker = "                "

// start gives the saga's start, without its record.
func (l line) start(id string) broker.Start {
	return broker.Start{ID: id, Served: l.served, Digest: l.digest, Parent: l.parent}
}

// appendHead writes what does not change of a saga's line, but for rejections in its lane.
func appendHead(b []byte, s broker.Start, node string) []byte {
	b = append(b, node...)
	at := len(b)
	b = append(b, 0, 0)
	b = appendServed(b, s.Served)
	binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	return b
}

// appendOrigin writes what a saga's record begins with.
func appendOrigin(b []byte, s broker.Start) []byte {
	return appendText(append(b, s.Digest[:]...), s.Parent)
}

func appendServed(b []byte, s broker.Served) []byte {
	b = append(append(b, s.Flow...), '@')
	return strconv.AppendInt(b, int64(s.Version), 10)
}

// parseLane reads the name of a lane: the flow, its version, and the builds that have rejected what is in it.
func parseLane(lane string) (broker.Served, []string, error) {
	name, builds, some := strings.Cut(lane, "\x00")
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return broker.Served{}, nil, errLine
	}
	version, err := strconv.Atoi(name[at+1:])
	if err != nil {
		return broker.Served{}, nil, fmt.Errorf("%w: %w", errLine, err)
	}
	served := broker.Served{Flow: name[:at], Version: version}
	if !some {
		return served, nil, nil
	}
	return served, strings.Split(builds, "\x00"), nil
}

// appendEvent writes an event without its ID, which is the name of the field that it is in.
func appendEvent(b []byte, ev broker.Event) []byte {
	b = appendText(b, ev.Kind)
	b = appendText(b, ev.Name)
	b = binary.BigEndian.AppendUint64(b, uint64(ev.At.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(ev.At.Nanosecond()))
	return append(b, ev.Data...)
}

// numbered is an event with its place in the order of delivery.
type numbered struct {
	broker.Event
	seq uint64
}

// parseMail reads events: pairs of an ID and a body that begins with its number.
func parseMail(pairs []any) ([]numbered, error) {
	var mail []numbered
	for i := 0; i+1 < len(pairs); i += 2 {
		ev, err := parseEvent(text(pairs[i+1]))
		if err != nil {
			return nil, err
		}
		ev.ID = text(pairs[i])
		mail = append(mail, ev)
	}
	slices.SortFunc(mail, func(x, y numbered) int { return cmp.Compare(x.seq, y.seq) })
	return mail, nil
}

func parseEvent(body string) (ev numbered, err error) {
	if len(body) < 4 {
		return ev, errLine
	}
	ev.seq = parseUint(body[:4])
	kind, rest, ok := cutText(body[4:])
	if !ok {
		return ev, errLine
	}
	name, rest, ok := cutText(rest)
	if !ok || len(rest) < 12 {
		return ev, errLine
	}
	ev.Kind, ev.Name = kind, name
	ev.At = time.Unix(int64(parseUint(rest[:8])), int64(parseUint(rest[8:12]))).UTC()
	if rest = rest[12:]; rest != "" {
		ev.Data = []byte(rest)
	}
	return ev, nil
}

// events drops the numbers.
func events(mail []numbered) []broker.Event {
	if len(mail) == 0 {
		return nil
	}
	plain := make([]broker.Event, len(mail))
	for i := range mail {
		plain[i] = mail[i].Event
	}
	return plain
}

// appendEntries writes what a transition appends to a journal.
func appendEntries(b []byte, entries []broker.Entry) []byte {
	for _, e := range entries {
		b = appendText(b, e.Path)
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// entriesSize is how many bytes appendEntries writes.
func entriesSize(entries []broker.Entry) (size int) {
	for _, e := range entries {
		size += 2 + len(e.Path) + 4 + len(e.Data)
	}
	return size
}

// parseEntries reads a part of a journal, and appends it to what was before.
func parseEntries(journal []broker.Entry, chunk string) ([]broker.Entry, error) {
	for chunk != "" {
		path, after, ok := cutText(chunk)
		if !ok {
			return nil, errLine
		}
		data, rest, ok := cutBlob(after)
		if !ok {
			return nil, errLine
		}
		journal = append(journal, broker.Entry{Path: path, Data: []byte(data)})
		chunk = rest
	}
	return journal, nil
}

// appendResult writes that a saga has finished, for the node that started it. See Broker.news.
func appendResult(b []byte, id string, result []byte) []byte {
	b = append(b, 'R')
	b = appendText(b, id)
	b = binary.BigEndian.AppendUint32(b, uint32(len(result)))
	return append(b, result...)
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

// appendBlob is appendText for what can be long.
func appendBlob(b, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func append48(b []byte, n uint64) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(n>>32))
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func cutText(s string) (head, rest string, ok bool) {
	if len(s) < 2 {
		return "", "", false
	}
	size := int(s[0])<<8 | int(s[1])
	if len(s) < 2+size {
		return "", "", false
	}
	return s[2 : 2+size], s[2+size:], true
}

// cutBlob is cutText for what appendBlob wrote.
func cutBlob(s string) (head, rest string, ok bool) {
	if len(s) < 4 {
		return "", "", false
	}
	size := parseUint(s[:4])
	if uint64(len(s)-4) < size {
		return "", "", false
	}
	return s[4 : 4+size], s[4+size:], true
}

func parse48(s string) uint64 { return parseUint(s[:6]) }

func parseUint(s string) (n uint64) {
	for i := range len(s) {
		n = n<<8 | uint64(s[i])
	}
	return n
}
