package flow

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// envelope is what travels of an event beside what the broker knows of it.
type envelope struct {
	At      int64   `msgpack:"at"` // when it was published, in ns since 1970
	Headers Headers `msgpack:"headers,omitempty"`
	Payload []byte  `msgpack:"payload"`
}

func (v *envelope) encode() ([]byte, error) {
	data, err := msgpack.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: encode an event: %w", ErrPayload, err)
	}
	return data, nil
}

func openEnvelope(data []byte) (v envelope, err error) {
	if err := msgpack.Unmarshal(data, &v); err != nil {
		return envelope{}, fmt.Errorf("%w: what was published is no event of this version of Skald: %w", ErrPayload, err)
	}
	return v, nil
}
