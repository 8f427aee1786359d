package payload

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"time"
)

// timeExt is the extension type -1 of the MessagePack specification: seconds and nanoseconds since 1970.
const timeExt = 0xff

// timeCodec keeps the moment. A time comes back in the zone of the process, or in UTC if it is zero.
type timeCodec struct{}

func (timeCodec) write(_ *Encoder, b []byte, v reflect.Value) ([]byte, error) {
	t := timeIn(v)
	sec, nsec := uint64(t.Unix()), uint64(t.Nanosecond())
	switch {
	case sec>>34 != 0:
		b = append(b, codeExt8, 12, timeExt)
		b = binary.BigEndian.AppendUint32(b, uint32(nsec))
		return binary.BigEndian.AppendUint64(b, sec), nil
	case nsec == 0 && sec <= math.MaxUint32:
		b = append(b, codeFixExt4, timeExt)
		return binary.BigEndian.AppendUint32(b, uint32(sec)), nil
	default:
		b = append(b, codeFixExt8, timeExt)
		return binary.BigEndian.AppendUint64(b, nsec<<34|sec), nil
	}
}

// timeIn is what v holds, without a copy on the heap.
func timeIn(v reflect.Value) time.Time {
	if v.CanAddr() {
		return *v.Addr().Interface().(*time.Time)
	}
	return v.Interface().(time.Time)
}

func (timeCodec) read(d *decoder, v reflect.Value) error {
	if d.nothing() {
		return nil
	}
	h, err := d.expect(kindExt)
	if err != nil {
		return err
	}
	t, err := timeOf(d.take(h))
	*v.Addr().Interface().(*time.Time) = t
	return err
}

func timeOf(ext []byte) (t time.Time, err error) {
	code, content := ext[0], ext[1:]
	switch {
	case code != timeExt:
		return t, errors.New("there is another extension where a time should be")
	case len(content) == 4:
		t = time.Unix(int64(binary.BigEndian.Uint32(content)), 0)
	case len(content) == 8:
		n := binary.BigEndian.Uint64(content)
		t = time.Unix(int64(n&(1<<34-1)), int64(n>>34))
	case len(content) == 12:
		t = time.Unix(int64(binary.BigEndian.Uint64(content[4:])), int64(binary.BigEndian.Uint32(content)))
	default:
		return t, errors.New("there is a time of an unknown size")
	}
	if t.IsZero() {
		t = t.UTC()
	}
	return t, nil
}

func (timeCodec) empty(v reflect.Value) bool { return timeIn(v).IsZero() }
