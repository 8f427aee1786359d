package redisx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/skald-go/skald/broker"
)

// A letter is a message for another service, as it stands in the outbox and in the stream. Both sides may be of different versions of Skald, so
// it says nothing of how either stores sagas.

// letterVersion is the first byte of a letter.
const letterVersion = 1

// errStrange says that a letter makes no sense.
var errStrange = errors.New("what another service has sent makes no sense")

// appendLetter writes a message for another service, after its address.
func appendLetter(b []byte, m broker.Message) []byte {
	b = append(b, letterVersion)
	if m.Start != nil {
		b = append(b, sendsStart)
		b = appendText(b, m.Start.Flow)
		b = binary.AppendUvarint(b, uint64(m.Start.Version))
		b = append(b, m.Start.Digest[:]...)
		b = appendText(b, m.Start.Parent)
		return append(b, m.Start.Record...)
	}
	b = append(b, sendsEvent)
	b = appendText(b, m.Event.ID)
	return appendEvent(b, *m.Event)
}

// parseLetter reads what came with a letter: until when it counts, and the message. It comes from another service, and may be anything.
func parseLetter(s string) (late uint64, m broker.Message, err error) {
	if len(s) < 6 {
		return 0, m, errStrange
	}
	late = parse48(s)
	to, rest, ok := cutText(s[6:])
	if _, m.To = cutAddress(to); !ok || m.To == "" || len(rest) < 2 {
		return 0, m, errStrange
	}
	switch version, kind, body := rest[0], rest[1], rest[2:]; {
	case version != letterVersion:
		return 0, m, fmt.Errorf("%w: a letter of version %d, this is version %d", errStrange, version, letterVersion)
	case kind == sendsStart:
		m.Start, err = parseStart(m.To, body)
	default:
		m.Event, err = parsePosted(body)
	}
	if err == nil {
		err = checkMessage(m)
	}
	return late, m, err
}

// parseStart reads a start. What other services start is told from this one's own sagas by its ID.
func parseStart(id, s string) (*broker.Start, error) {
	if !strings.Contains(id, "~") {
		return nil, fmt.Errorf("%w: a saga that says of no service that it called", errStrange)
	}
	start := &broker.Start{ID: id}
	rest, ok := "", false
	if start.Flow, rest, ok = cutText(s); !ok {
		return nil, errStrange
	}
	version, n := binary.Uvarint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
	if n <= 0 || version > maxText || len(rest) < n+len(start.Digest) {
		return nil, errStrange
	}
	start.Version = int(version)
	copy(start.Digest[:], rest[n:])
	if start.Parent, rest, ok = cutText(rest[n+len(start.Digest):]); !ok {
		return nil, errStrange
	}
	start.Record = []byte(rest)
	return start, nil
}

func parsePosted(s string) (*broker.Event, error) {
	id, body, ok := cutText(s)
	if !ok || id == "" {
		return nil, errStrange
	}
	ev, err := parseEvent("\x00\x00\x00\x00" + body)
	if err != nil {
		return nil, fmt.Errorf("%w: an event", errStrange)
	}
	ev.ID = id
	return &ev.Event, nil
}
