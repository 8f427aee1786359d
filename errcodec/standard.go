package errcodec

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// standardEntries are the errors of the standard library that every codec
// knows: sentinels, and those types that can be rebuilt from outside.
func standardEntries() []Entry {
	return []Entry{
		Group(basicEntries()...),
		Group(osEntries()...),
		Group(netEntries()...),
		Group(textEntries()...),
		Group(sqlEntries()...),
		Type("errcodec.unreadable", encodeUnreadable, decodeUnreadable),
	}
}

func basicEntries() []Entry {
	return []Entry{
		Sentinel("context.canceled", context.Canceled),
		Sentinel("context.deadline-exceeded", context.DeadlineExceeded),
		Sentinel("errors.unsupported", errors.ErrUnsupported),
		Sentinel("io.eof", io.EOF),
		Sentinel("io.unexpected-eof", io.ErrUnexpectedEOF),
		Sentinel("io.closed-pipe", io.ErrClosedPipe),
		Sentinel("io.no-progress", io.ErrNoProgress),
		Sentinel("io.short-buffer", io.ErrShortBuffer),
		Sentinel("io.short-write", io.ErrShortWrite),
		Sentinel("bufio.too-long", bufio.ErrTooLong),
		Sentinel("bufio.buffer-full", bufio.ErrBufferFull),
	}
}

func sqlEntries() []Entry {
	return []Entry{
		Sentinel("sql.no-rows", sql.ErrNoRows),
		Sentinel("sql.tx-done", sql.ErrTxDone),
		Sentinel("sql.conn-done", sql.ErrConnDone),
		Sentinel("sql.bad-conn", driver.ErrBadConn),
	}
}

func osEntries() []Entry {
	return []Entry{
		Sentinel("fs.invalid", fs.ErrInvalid),
		Sentinel("fs.permission", fs.ErrPermission),
		Sentinel("fs.exist", fs.ErrExist),
		Sentinel("fs.not-exist", fs.ErrNotExist),
		Sentinel("fs.closed", fs.ErrClosed),
		Sentinel("os.deadline-exceeded", os.ErrDeadlineExceeded),
		Sentinel("os.no-deadline", os.ErrNoDeadline),
		Sentinel("os.process-done", os.ErrProcessDone),
		Wrapper("fs.path", func(enc *msgpack.Encoder, err *fs.PathError) error {
			return encodeStrings(enc, err.Op, err.Path)
		}, func(dec *msgpack.Decoder, cause error) (*fs.PathError, error) {
			err := &fs.PathError{Err: cause}
			return err, decodeStrings(dec, &err.Op, &err.Path)
		}),
		Wrapper("os.link", func(enc *msgpack.Encoder, err *os.LinkError) error {
			return encodeStrings(enc, err.Op, err.Old, err.New)
		}, func(dec *msgpack.Decoder, cause error) (*os.LinkError, error) {
			err := &os.LinkError{Err: cause}
			return err, decodeStrings(dec, &err.Op, &err.Old, &err.New)
		}),
		Wrapper("os.syscall", func(enc *msgpack.Encoder, err *os.SyscallError) error {
			return encodeStrings(enc, err.Syscall)
		}, func(dec *msgpack.Decoder, cause error) (*os.SyscallError, error) {
			err := &os.SyscallError{Err: cause}
			return err, decodeStrings(dec, &err.Syscall)
		}),
		Type("os.errno", encodeErrno, decodeErrno),
	}
}

func textEntries() []Entry {
	return []Entry{
		Sentinel("strconv.range", strconv.ErrRange),
		Sentinel("strconv.syntax", strconv.ErrSyntax),
		Wrapper("strconv.num", func(enc *msgpack.Encoder, err *strconv.NumError) error {
			return encodeStrings(enc, err.Func, err.Num)
		}, func(dec *msgpack.Decoder, cause error) (*strconv.NumError, error) {
			err := &strconv.NumError{Err: cause}
			return err, decodeStrings(dec, &err.Func, &err.Num)
		}),
		Type("time.parse", func(enc *msgpack.Encoder, err *time.ParseError) error {
			return encodeStrings(enc, err.Layout, err.Value, err.LayoutElem, err.ValueElem, err.Message)
		}, func(dec *msgpack.Decoder) (*time.ParseError, error) {
			err := new(time.ParseError)
			return err, decodeStrings(dec, &err.Layout, &err.Value, &err.LayoutElem, &err.ValueElem, &err.Message)
		}),
		Type("json.syntax", encodeJSONSyntax, decodeJSONSyntax),
		Type("base64.corrupt-input", func(enc *msgpack.Encoder, err base64.CorruptInputError) error {
			return enc.EncodeInt(int64(err))
		}, func(dec *msgpack.Decoder) (base64.CorruptInputError, error) {
			n, err := dec.DecodeInt64()
			return base64.CorruptInputError(n), err
		}),
		Sentinel("hex.length", hex.ErrLength),
		Type("hex.invalid-byte", func(enc *msgpack.Encoder, err hex.InvalidByteError) error {
			return enc.EncodeUint(uint64(err))
		}, func(dec *msgpack.Decoder) (hex.InvalidByteError, error) {
			b, err := dec.DecodeUint8()
			return hex.InvalidByteError(b), err
		}),
	}
}

func encodeJSONSyntax(enc *msgpack.Encoder, err *json.SyntaxError) error {
	if e := enc.EncodeString(err.Error()); e != nil {
		return e
	}
	return enc.EncodeInt(err.Offset)
}

// decodeJSONSyntax sets a field that encoding/json does not export, and fails
// if a later version of it has no such field.
func decodeJSONSyntax(dec *msgpack.Decoder) (*json.SyntaxError, error) {
	var text string
	if err := decodeStrings(dec, &text); err != nil {
		return nil, err
	}
	offset, err := dec.DecodeInt64()
	result := &json.SyntaxError{Offset: offset}
	msg := reflect.ValueOf(result).Elem().FieldByName("msg")
	if msg.Kind() != reflect.String {
		return nil, errors.New("json.SyntaxError has no field msg")
	}
	*(*string)(msg.Addr().UnsafePointer()) = text
	return result, err
}

func encodeUnreadable(enc *msgpack.Encoder, u *Unreadable) error {
	return encodeStrings(enc, u.data, u.text, u.why)
}

func decodeUnreadable(dec *msgpack.Decoder) (*Unreadable, error) {
	u := new(Unreadable)
	return u, decodeStrings(dec, &u.data, &u.text, &u.why)
}

func encodeStrings(enc *msgpack.Encoder, texts ...string) error {
	for _, text := range texts {
		if err := enc.EncodeString(text); err != nil {
			return err
		}
	}
	return nil
}

func decodeStrings(dec *msgpack.Decoder, texts ...*string) (err error) {
	for _, text := range texts {
		if *text, err = dec.DecodeString(); err != nil {
			return err
		}
	}
	return nil
}
