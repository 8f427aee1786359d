package barrier

import "github.com/skald-go/skald/flow"

// nothing is the result of an effect that has none.
type nothing struct{}

// result is the work of a typed function.
type result[O any] struct {
	s   SQL
	fn  func() (O, error)
	out O
}

func (r *result[O]) run() ([]byte, error) {
	out, err := r.fn()
	if err != nil {
		return nil, err
	}
	r.out = out
	return r.s.codec().Marshal(out)
}

// recall takes what was recorded. A row without a result is that of an effect that has none.
func (r *result[O]) recall(data []byte) error {
	var out O
	if len(data) == 0 {
		r.out = out
		return nil
	}
	err := r.s.codec().Unmarshal(data, &out)
	r.out = out
	return err
}

// get is what the caller is told.
func (r *result[O]) get(err error) (O, error) {
	if err != nil {
		var zero O
		return zero, err
	}
	return r.out, nil
}

func (s SQL) codec() flow.Codec {
	if s.Codec == nil {
		return flow.MsgPack()
	}
	return s.Codec
}

// encodeError goes through the codec as well, which may be a cipher.
func (s SQL) encodeError(err error) ([]byte, error) {
	return s.codec().Marshal(s.Errors.Encode(err))
}

func (s SQL) decodeError(data []byte) (error, error) {
	var plain []byte
	if err := s.codec().Unmarshal(data, &plain); err != nil {
		return nil, err
	}
	return s.Errors.Decode(plain), nil
}
