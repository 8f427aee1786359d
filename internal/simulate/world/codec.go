package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// Payloads encodes values as JSON.
type Payloads struct{}

// Append implements saga.Payloads.
func (Payloads) Append(dst []byte, t *plan.Type, v any) ([]byte, error) {
	if n, ok := v.(Num); ok {
		return strconv.AppendUint(dst, uint64(n), 10), nil
	}
	data, err := t.Encode(Payloads{}, v)
	return append(dst, data...), err
}

// Decode implements saga.Payloads.
func (Payloads) Decode(t *plan.Type, data []byte) (any, error) { return t.Decode(Payloads{}, data) }

// Marshal implements plan.Codec.
func (Payloads) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements plan.Codec. Numbers, of which most values are, need no reflection.
func (Payloads) Unmarshal(data []byte, v any) error {
	n, ok := v.(*Num)
	if !ok {
		return json.Unmarshal(data, v)
	}
	parsed, err := strconv.ParseUint(string(data), 10, 64)
	*n = Num(parsed)
	return err
}

// texts encodes errors as their texts.
type texts struct{}

func (texts) Append(dst []byte, err error) []byte { return append(dst, err.Error()...) }

func (texts) Decode(data []byte) error { return errors.New(string(data)) }

// failure is the error of a saga, with everything that the machine told of it.
type failure struct{ saga.Failure }

func (f *failure) Error() string { return fmt.Sprintf("%s failed at %q: %v", f.Saga, f.Step, f.Cause) }
