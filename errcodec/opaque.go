package errcodec

import (
	"reflect"
	"strings"
)

// Opaque stands for an error that could not arrive as itself: its type is not
// registered where it was made, its key is not registered here, or one of its
// functions failed. It has the text and the causes of the error, and answers
// errors.Is for every registered sentinel, and errors.As for every registered
// type, for which an Is or As method of the error itself answered. Where the
// error had a Timeout method, it has one too. Sent on, it keeps what it
// stands for, so that a process that knows more gets the error itself.
//
// Find one with errors.As.
type Opaque struct {
	named
	why   string // why it is opaque here
	body  string // as it came, without head, extras and text
	nodes int    // in body, and one
}

// named is what is sent of an error that has a key or a kind.
type named struct {
	text    string
	name    string // the kind of a foreign error, the key of any other
	payload string
	note    string // what went wrong where it was made
	class   byte
	extras  byte
	causes  causes
	is      []error
	as      []error
}

// Error returns the text of the error it stands for.
func (o *Opaque) Error() string { return o.text }

// Unwrap returns the causes of the error it stands for.
func (o *Opaque) Unwrap() []error { return o.causes.list() }

// Kind names what it stands for, for people only: the Go type, or the key of a
// registered type or sentinel.
func (o *Opaque) Kind() string { return o.name }

// Why says why the error could not be itself, for people only.
func (o *Opaque) Why() string {
	why := o.why
	if o.class == classForeign && o.note == "" {
		why = o.name + " is not registered where it was made"
	}
	return strings.Join(slicesOf(o.note, why), "; ")
}

// Is answers as an Is method of the error it stands for did.
func (o *Opaque) Is(target error) bool {
	for _, err := range o.is {
		if same(err, target) {
			return true
		}
	}
	return false
}

// As answers as an As method of the error it stands for did.
func (o *Opaque) As(target any) bool {
	to := reflect.ValueOf(target)
	for _, err := range o.as {
		if to.Type().Elem() == reflect.TypeOf(err) {
			to.Elem().Set(reflect.ValueOf(err))
			return true
		}
	}
	return false
}

// opaqueTimeout is an Opaque of an error that had a Timeout method.
type opaqueTimeout struct{ *Opaque }

// Timeout answers as the error did.
func (o *opaqueTimeout) Timeout() bool { return o.extras&extraTimedOut != 0 }

// As finds the Opaque, too.
func (o *opaqueTimeout) As(target any) bool { return o.asOpaque(target) }

// opaqueNet is an Opaque of a net.Error.
type opaqueNet struct{ *Opaque }

// Timeout answers as the error did.
func (o *opaqueNet) Timeout() bool { return o.extras&extraTimedOut != 0 }

// Temporary answers as the error did.
func (o *opaqueNet) Temporary() bool { return o.extras&extraPassing != 0 }

// As finds the Opaque, too.
func (o *opaqueNet) As(target any) bool { return o.asOpaque(target) }

func (o *Opaque) asOpaque(target any) bool {
	if t, ok := target.(**Opaque); ok {
		*t = o
		return true
	}
	return o.As(target)
}

// asError returns the error that shows the methods which o stands for.
func (o *Opaque) asError() error {
	switch {
	case o.extras&extraTimeout == 0:
		return o
	case o.extras&extraTemporary == 0:
		return &opaqueTimeout{o}
	default:
		return &opaqueNet{o}
	}
}

// opaqueOf undoes asError.
func opaqueOf(err error) *Opaque {
	switch o := err.(type) {
	case *opaqueTimeout:
		return o.Opaque
	case *opaqueNet:
		return o.Opaque
	}
	return err.(*Opaque)
}

// same is == for errors that may panic when compared.
func same(a, b error) (equal bool) {
	defer func() { _ = recover() }()
	return a == b
}

func slicesOf(texts ...string) []string {
	var full []string
	for _, text := range texts {
		if text != "" {
			full = append(full, text)
		}
	}
	return full
}
