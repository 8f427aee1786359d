package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/internal/plan"
)

const (
	exportFormat  = "export"
	exportVersion = 1
)

// ExportOptions say what a file of an exported saga holds.
type ExportOptions struct {
	// Payloads writes what the saga's steps took and gave, its signals, its headers and its recorded errors, in full. They may hold secrets and personal data:
	// without Payloads the file has none of them but the texts of errors. Such a file is for people, and cannot be imported.
	Payloads bool
}

// exportFile is a file. What Shows hold is for people; only the rest is read.
type exportFile struct {
	Skald    string       `json:"skald"` // exportFormat
	Version  int          `json:"version"`
	At       time.Time    `json:"exported"`
	Payloads bool         `json:"payloads"`
	Sagas    []exportSaga `json:"sagas"`
}

type exportSaga struct {
	ID          string          `json:"id"`
	Flow        string          `json:"flow"`
	FlowVersion int             `json:"flowVersion"`
	Parent      string          `json:"parent,omitempty"`
	State       string          `json:"state"`
	Since       time.Time       `json:"since"`
	Wake        time.Time       `json:"wake,omitzero"`
	Revision    uint64          `json:"revision"`
	Takeovers   int             `json:"takeovers,omitempty"`
	Digest      []byte          `json:"digest,omitempty"`
	Record      []byte          `json:"record,omitempty"`
	Started     json.RawMessage `json:"shows,omitempty"`
	Journal     []exportEntry   `json:"journal"`
	Memo        []byte          `json:"memo,omitempty"`
	Noted       []exportEntry   `json:"memoShows,omitempty"`
	Mail        []exportEvent   `json:"mail,omitempty"`
	Outcome     []byte          `json:"outcome,omitempty"`
	Ended       json.RawMessage `json:"outcomeShows,omitempty"`
	Sum         string          `json:"sum,omitempty"`
}

type exportEntry struct {
	Path  string          `json:"path"`
	Shows json.RawMessage `json:"shows,omitempty"`
	Data  []byte          `json:"data,omitempty"`
}

type exportEvent struct {
	ID    string          `json:"id"`
	Kind  string          `json:"kind"`
	Name  string          `json:"name,omitempty"`
	At    time.Time       `json:"at"`
	Shows json.RawMessage `json:"shows,omitempty"`
	Data  []byte          `json:"data,omitempty"`
}

// fileOf is s without what is for people.
func fileOf(s broker.Snapshot) exportSaga {
	f := exportSaga{
		ID: s.ID, Flow: s.Flow, FlowVersion: s.Version, Parent: s.Parent, State: s.State.String(), Since: s.Since.UTC(),
		Revision: s.Rev, Takeovers: s.Takeovers, Digest: s.Digest[:], Record: s.Record.Record, Outcome: s.Outcome, Memo: s.Memo, Journal: []exportEntry{},
	}
	if !s.Wake.IsZero() {
		f.Wake = s.Wake.UTC()
	}
	for _, e := range s.Journal {
		f.Journal = append(f.Journal, exportEntry{Path: e.Path, Data: e.Data})
	}
	for _, ev := range s.Mail {
		f.Mail = append(f.Mail, exportEvent{ID: ev.ID, Kind: ev.Kind, Name: ev.Name, At: ev.At.UTC(), Data: ev.Data})
	}
	return f
}

// sum tells whether something was changed: of the saga, or when it was exported.
func (f exportSaga) sum(at time.Time) string {
	f.Started, f.Ended, f.Noted, f.Sum = nil, nil, nil, ""
	f.Journal, f.Mail = slices.Clone(f.Journal), slices.Clone(f.Mail)
	for i := range f.Journal {
		f.Journal[i].Shows = nil
	}
	for i := range f.Mail {
		f.Mail[i].Shows = nil
	}
	data, _ := json.Marshal(f) // strings, numbers, bytes and times cannot fail
	sum := sha256.Sum256(at.UTC().AppendFormat(data, time.RFC3339Nano))
	return hex.EncodeToString(sum[:16])
}

// withoutPayloads drops what may hold secrets.
func (f exportSaga) withoutPayloads() exportSaga {
	f.Digest, f.Record, f.Outcome, f.Memo, f.Sum = nil, nil, nil, nil, ""
	for i := range f.Journal {
		f.Journal[i].Data = nil
	}
	for i := range f.Mail {
		f.Mail[i].Data = nil
	}
	return f
}

// Write writes an exported saga as JSON that ReadExport reads and a person can: each entry of the journal says under "shows" what it means,
// with errors as texts and, if o has Payloads and no Cipher sealed them, values as JSON. What is imported are the bytes beside it,
// in base64; a sum tells whether they were changed.
func (x Exported) Write(w io.Writer, o ExportOptions) error {
	file := exportFile{Skald: exportFormat, Version: exportVersion, At: x.At.UTC(), Payloads: o.Payloads, Sagas: []exportSaga{}}
	for _, s := range x.Sagas {
		f := fileOf(s)
		f.Sum = f.sum(x.At)
		newShower(o).show(&f, s)
		if !o.Payloads {
			f = f.withoutPayloads()
		}
		file.Sagas = append(file.Sagas, f)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(file); err != nil {
		return fmt.Errorf("flow: write the export of saga %q: %w", x.ID(), err)
	}
	return nil
}

// ReadExport reads what Write has written with Payloads. The error says what is wrong with it: it is something else, of a later version, without
// payloads, cut short or changed.
func ReadExport(r io.Reader) (Exported, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return Exported{}, fmt.Errorf("flow: read an export: %w", err)
	}
	x, err := parseExport(data)
	if err != nil {
		return Exported{}, fmt.Errorf("flow: read an export: %w", err)
	}
	return x, nil
}

func parseExport(data []byte) (x Exported, err error) {
	var kind struct {
		Skald    string `json:"skald"`
		Version  int    `json:"version"`
		Payloads bool   `json:"payloads"`
	}
	err = json.Unmarshal(data, &kind)
	_, otherwise := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case otherwise:
		return x, errors.New("it is not a saga's export: it is JSON of another form")
	case err != nil:
		return x, fmt.Errorf("it is damaged, or no JSON: %w", err)
	case kind.Skald != exportFormat:
		return x, errors.New(`it is not a saga's export: its "skald" is not "export"`)
	case kind.Version != exportVersion:
		return x, fmt.Errorf("it is of version %d, and this Skald reads version %d: use the Skald that wrote it, or a later one", kind.Version, exportVersion)
	case !kind.Payloads:
		return x, errors.New("its payloads were left out when it was made, so it is for people only: export the saga again with payloads (skald export --payloads)")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var file exportFile
	if err := dec.Decode(&file); err != nil {
		return x, fmt.Errorf("it is damaged: %w", err)
	}
	x.At = file.At
	for i, f := range file.Sagas {
		s, err := f.snapshot(file.At)
		if err != nil {
			return Exported{}, fmt.Errorf("saga %d of it, %.80q: %w", i+1, f.ID, err)
		}
		x.Sagas = append(x.Sagas, s)
	}
	return x, x.check()
}

// snapshot is what was exported.
func (f exportSaga) snapshot(at time.Time) (s broker.Snapshot, err error) {
	if f.Sum != f.sum(at) {
		return s, errors.New("it was damaged or changed by hand: its sum does not fit its bytes. Export it again")
	}
	s.Record = broker.Record{
		Start: broker.Start{ID: f.ID, Served: broker.Served{Flow: f.Flow, Version: f.FlowVersion}, Record: f.Record, Parent: f.Parent},
		Rev:   f.Revision, Takeovers: f.Takeovers, Memo: f.Memo,
	}
	copy(s.Digest[:], f.Digest)
	s.State, s.Since, s.Wake, s.Outcome = stateNamed(f.State), f.Since, f.Wake, f.Outcome
	for _, e := range f.Journal {
		s.Journal = append(s.Journal, broker.Entry{Path: e.Path, Data: e.Data})
	}
	for _, ev := range f.Mail {
		s.Mail = append(s.Mail, broker.Event{ID: ev.ID, Kind: ev.Kind, Name: ev.Name, At: ev.At, Data: ev.Data})
	}
	return s, nil
}

func stateNamed(name string) broker.State {
	for state := broker.Ready; state <= broker.Buried; state++ {
		if state.String() == name {
			return state
		}
	}
	return 0
}

// check says why no broker can have had these sagas.
func (x Exported) check() error {
	if len(x.Sagas) == 0 {
		return errors.New("it holds no saga")
	}
	known := map[string]bool{}
	for i, s := range x.Sagas {
		err := checkExported(s)
		switch {
		case err != nil:
		case i == 0:
			err = plan.CheckName(s.ID)
		case known[s.ID]:
			err = errors.New("it is in it twice")
		case !known[s.Parent] || !strings.HasPrefix(s.ID, s.Parent+"/"):
			err = fmt.Errorf("its parent, %.80q, is not before it", s.Parent)
		}
		if err != nil {
			return fmt.Errorf("saga %d of it, %.80q: %w", i+1, s.ID, err)
		}
		known[s.ID] = true
	}
	return nil
}

func checkExported(s broker.Snapshot) error {
	switch {
	case s.State < broker.Ready || s.State > broker.Buried:
		return errors.New("its state is not ready, owned, parked, held or buried")
	case s.Rev < 1 || s.Rev >= 1<<47 || s.Version < 1 || s.Takeovers < 0 || s.Takeovers > 1<<15:
		return errors.New("its revision, flow version or takeovers are no possible number")
	case len(s.ID) > 1<<15:
		return errors.New("its ID is too long")
	}
	return plan.CheckName(s.Flow)
}
