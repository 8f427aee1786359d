package saga_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/internal/saga"
)

// payloads encodes values as JSON.
type payloads struct{}

func (payloads) Append(dst []byte, t *plan.Type, v any) ([]byte, error) {
	data, err := t.Encode(payloads{}, v)
	return append(dst, data...), err
}

func (payloads) Decode(t *plan.Type, data []byte) (any, error) { return t.Decode(payloads{}, data) }

func (payloads) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (payloads) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// texts encodes errors as their texts.
type texts struct{}

func (texts) Append(dst []byte, err error) []byte { return append(dst, err.Error()...) }

func (texts) Decode(data []byte) error { return errors.New(string(data)) }

// failure is the error of a saga, with everything that the machine told of it.
type failure struct{ saga.Failure }

func (f *failure) Error() string { return fmt.Sprintf("%s failed at %q: %v", f.Saga, f.Step, f.Cause) }
