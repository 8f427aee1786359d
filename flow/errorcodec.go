package flow

import (
	"cmp"
	"errors"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/step"
)

// wireErrors encodes the errors of sagas: the user's codec with the engine's own entries, sealed if payloads are.
type wireErrors struct {
	codec    *errcodec.Codec
	payloads *payloads
}

func newWireErrors(user *errcodec.Codec, p *payloads) *wireErrors {
	w := &wireErrors{payloads: p}
	w.codec = user.With(
		errcodec.Sentinel("skald.deadline", ErrDeadline),
		errcodec.Sentinel("skald.cancelled", ErrCancelled),
		errcodec.Sentinel("skald.lost-race", ErrLostRace),
		errcodec.Sentinel("skald.rounds", ErrRounds),
		errcodec.Sentinel("skald.interrupted", ErrInterrupted),
		errcodec.Sentinel("skald.too-large", ErrTooLarge),
		errcodec.Sentinel("skald.not-yet-limit", ErrNotYetLimit),
		errcodec.Sentinel("skald.not-locked", ErrNotLocked),
		errcodec.Sentinel("skald.locked", ErrLocked),
		errcodec.Sentinel("skald.key", ErrKey),
		errcodec.Sentinel("skald.takeovers", ErrTakeovers),
		errcodec.Sentinel("skald.no-answer", ErrNoAnswer),
		errcodec.Sentinel("skald.contract", ErrContract),
		errcodec.Sentinel("skald.no-service", ErrNoService),
		errcodec.Sentinel("skald.proceed", ErrProceed),
		errcodec.Sentinel("skald.no-case", ErrNoCase),
		errcodec.Sentinel("skald.conflict", ErrConflict),
		errcodec.Sentinel("skald.overloaded", ErrOverloaded),
		errcodec.Sentinel("skald.unknown", ErrUnknown),
		errcodec.Sentinel("skald.settled", ErrSettled),
		errcodec.Sentinel("skald.past-pivot", ErrPastPivot),
		errcodec.Sentinel("skald.compensating", ErrCompensating),
		errcodec.Sentinel("skald.ended", ErrEnded),
		errcodec.Sentinel("skald.id", ErrID),
		errcodec.Sentinel("skald.payload", ErrPayload),
		errcodec.Sentinel("skald.zero", ErrZero),
		errcodec.Sentinel("skald.not-dead", ErrNotDead),
		errcodec.Sentinel("skald.no-bus", ErrNoBus),
		errcodec.Sentinel("skald.no-event", ErrNoEvent),
		errcodec.Sentinel("skald.listening", ErrListening),
		errcodec.Wrapper("skald.running", encodeRunning, decodeRunning),
		errcodec.Wrapper("skald.panic", encodePanic, decodePanic),
		errcodec.Multi("skald.error", w.encodeError, w.decodeError),
	)
	return w
}

// Append encodes err.
func (w *wireErrors) Append(dst []byte, err error) []byte {
	if !w.payloads.seals() {
		return w.codec.Append(dst, err)
	}
	sealed, sealErr := w.payloads.Seal(dst, w.codec.Encode(err))
	if sealErr != nil {
		return dst // an error without a text is better than a text that anybody reads
	}
	return sealed
}

// Decode reads what Append wrote.
func (w *wireErrors) Decode(data []byte) error {
	plain, err := w.payloads.Open(data)
	if err != nil {
		return err
	}
	return w.codec.Decode(plain)
}

func encodePanic(enc *msgpack.Encoder, p *step.PanicError) error { return enc.EncodeString(p.Value) }

func decodePanic(dec *msgpack.Decoder, cause error) (*step.PanicError, error) {
	value, err := dec.DecodeString()
	return step.RestorePanic(value, cause), err
}

func encodeRunning(enc *msgpack.Encoder, e *RunningError) error {
	return enc.EncodeMulti(e.SagaID, e.Flow)
}

func decodeRunning(dec *msgpack.Decoder, cause error) (*RunningError, error) {
	e := &RunningError{Err: cause}
	return e, dec.DecodeMulti(&e.SagaID, &e.Flow)
}

// encodeError writes the fields that are not errors; the codec itself carries what Unwrap gives.
func (w *wireErrors) encodeError(enc *msgpack.Encoder, e *Error) error {
	err := errors.Join(enc.EncodeString(e.SagaID), enc.EncodeString(e.Flow), enc.EncodeString(e.Step), enc.EncodeInt(int64(e.Attempts)),
		enc.EncodeUint(uint64(e.State)), enc.EncodeBool(e.Cause != nil), enc.EncodeArrayLen(len(e.Kept)))
	for _, path := range e.Kept {
		err = cmp.Or(err, enc.EncodeString(path))
	}
	err = cmp.Or(err, enc.EncodeArrayLen(len(e.Undone)))
	for _, u := range e.Undone {
		err = cmp.Or(err, enc.EncodeString(u.Step), enc.EncodeBool(u.ByHand), enc.EncodeBytes(w.codec.Encode(u.Err)))
	}
	return err
}

func (w *wireErrors) decodeError(dec *msgpack.Decoder, causes []error) (*Error, error) {
	e := &Error{}
	var caused bool
	if err := dec.DecodeMulti(&e.SagaID, &e.Flow, &e.Step, &e.Attempts, (*uint8)(&e.State), &caused, &e.Kept); err != nil {
		return nil, err
	}
	if len(e.Kept) == 0 {
		e.Kept = nil
	}
	if caused && len(causes) > 0 {
		e.Cause, causes = causes[0], causes[1:]
	}
	e.Also = causes
	n, err := dec.DecodeArrayLen()
	for ; n > 0 && err == nil; n-- {
		var u Undo
		var data []byte
		if err = dec.DecodeMulti(&u.Step, &u.ByHand, &data); err == nil {
			u.Err = w.codec.Decode(data)
			e.Undone = append(e.Undone, u)
		}
	}
	return e, err
}
