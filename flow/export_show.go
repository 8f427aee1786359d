package flow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/saga"
)

// shower writes what stored bytes mean, for people. What it cannot read it leaves out.
type shower struct {
	payloads bool
	errors   *wireErrors
	started  time.Time
}

func newShower(o ExportOptions) *shower {
	return &shower{payloads: o.Payloads, errors: newWireErrors(nil, newPayloads(nil))}
}

type shownStart struct {
	Started time.Time       `json:"started"`
	Headers Headers         `json:"headers,omitempty"`
	Input   json.RawMessage `json:"input,omitempty"`
}

type shownFact struct {
	Kind     string          `json:"kind"`
	At       time.Time       `json:"at"`
	Undo     bool            `json:"undo,omitempty"`
	Attempts int             `json:"attempts,omitempty"`
	Index    int             `json:"index,omitempty"`
	Text     string          `json:"text,omitempty"`
	Event    string          `json:"event,omitempty"`
	Who      string          `json:"who,omitempty"`
	Due      time.Time       `json:"due,omitzero"`
	Since    time.Time       `json:"since,omitzero"`
	Error    string          `json:"error,omitempty"`
	In       json.RawMessage `json:"in,omitempty"`
	Out      json.RawMessage `json:"out,omitempty"`
	Child    *shownOutcome   `json:"child,omitempty"`
}

type shownOutcome struct {
	End   string          `json:"end"`
	Error string          `json:"error,omitempty"`
	Kept  []string        `json:"kept,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
}

type shownNote struct {
	Who   string          `json:"who"`
	Why   string          `json:"why,omitempty"`
	Error string          `json:"error,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
}

// show fills in what f means.
func (sh *shower) show(f *exportSaga, s broker.Snapshot) {
	header, err := saga.DecodeHeader(s.Record.Record)
	if err != nil {
		return
	}
	sh.started = header.Started
	start := shownStart{Started: header.Started.UTC()}
	if sh.payloads {
		start.Headers, start.Input = header.Headers, sh.value(header.Input)
	}
	f.Started = shown(start)
	for i, e := range s.Journal {
		f.Journal[i].Shows = sh.fact(e)
	}
	noted, _ := saga.MemoEntries(s.Memo)
	for _, e := range noted {
		f.Noted = append(f.Noted, exportEntry{Path: e.Path, Shows: sh.fact(e)})
	}
	for i, ev := range s.Mail {
		f.Mail[i].Shows = sh.event(ev)
	}
	if o := sh.outcome(s.Outcome); o != nil {
		f.Ended = shown(o)
	}
}

func (sh *shower) fact(e broker.Entry) json.RawMessage {
	f, err := saga.DecodeFact(e, sh.started)
	if err != nil {
		return nil
	}
	s := shownFact{
		Kind: f.Kind.String(), At: f.At.UTC(), Attempts: f.Attempts, Index: f.Index, Text: f.Text, Event: f.ID, Who: f.Who, Error: sh.error(f.Err),
		Undo: f.Flag && (f.Kind == saga.Tried || f.Kind == saga.Stuck),
	}
	if !f.Due.IsZero() {
		s.Due = f.Due.UTC()
	}
	if !f.Since.IsZero() {
		s.Since = f.Since.UTC()
	}
	if f.Kind == saga.Reply {
		s.Child = sh.outcome(f.Out)
	} else {
		s.In, s.Out = sh.value(f.In), sh.value(f.Out)
	}
	return shown(s)
}

func (sh *shower) event(ev broker.Event) json.RawMessage {
	switch ev.Kind {
	case saga.EventSignal:
		return sh.value(ev.Data)
	case saga.EventReply:
		return shown(sh.outcome(ev.Data))
	case saga.EventRelay, saga.EventSkip, saga.EventSettle:
		if n, err := saga.DecodeNote(ev.Data); err == nil {
			return shown(shownNote{Who: n.Who, Why: n.Why, Error: sh.error(n.Err), Out: sh.value(n.Out)})
		}
	}
	return nil
}

func (sh *shower) outcome(data []byte) *shownOutcome {
	o, err := saga.DecodeOutcome(data)
	if err != nil {
		return nil
	}
	s := &shownOutcome{End: stateOf(o.End).String(), Error: sh.error(o.Err), Kept: o.Kept}
	if o.End == saga.Succeeded {
		s.Out = sh.value(o.Value)
	}
	return s
}

// error gives the text of an encoded error.
func (sh *shower) error(data []byte) string {
	switch {
	case len(data) == 0:
		return ""
	case len(data) > 1 && data[0] == sealedMark && data[1] == sealedBytes:
		return "(sealed by a cipher)"
	}
	if err := sh.errors.Decode(data); err != nil {
		return err.Error()
	}
	return ""
}

// value gives an encoded value as JSON, if payloads are shown and it can be read. What JSON and MessagePack both could
// have written is left out: a digit alone.
func (sh *shower) value(data []byte) json.RawMessage {
	switch {
	case !sh.payloads || len(data) == 0 || data[0] == sealedMark:
		return nil
	case len(data) == 1 && data[0] >= '0' && data[0] <= '9':
		return nil
	case json.Valid(data):
		return data
	}
	return messagePack(data)
}

// messagePack gives a MessagePack value of any type as JSON, or nil.
func messagePack(data []byte) json.RawMessage {
	r := bytes.NewReader(data)
	dec := msgpack.NewDecoder(r)
	dec.SetMapDecoder(func(d *msgpack.Decoder) (any, error) { return d.DecodeUntypedMap() })
	v, err := decodeAny(dec)
	if err != nil || r.Len() > 0 {
		return nil
	}
	return shown(printable(v))
}

// decodeAny turns a panic into an error: a map's key may be something that cannot be one in Go.
func decodeAny(dec *msgpack.Decoder) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not to be shown: %v", p)
		}
	}()
	return dec.DecodeInterface()
}

// printable is v with maps that JSON has.
func printable(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[fmt.Sprint(key)] = printable(value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = printable(v[i])
		}
	}
	return v
}

// shown is v as JSON, or nil if that has no form for it.
func shown(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil || string(data) == "null" {
		return nil
	}
	return data
}
