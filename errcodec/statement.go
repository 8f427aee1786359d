package errcodec

import (
	"reflect"
	"sync/atomic"
)

// statement is what a foreign error says about itself. Said counts what is
// there already, in case that the error then falls silent.
type statement struct {
	err    error
	asked  answerers
	said   atomic.Int32
	text   string
	extras byte
	is     []error
	as     []error
}

const (
	saidText = 1 + iota
	saidExtras
	saidIs
	saidAs
)

func (s *statement) speak() {
	s.text = s.err.Error()
	s.said.Store(saidText)
	s.extras = timeouts(s.err)
	s.said.Store(saidExtras)
	s.is = s.asked.is(s.err)
	s.said.Store(saidIs)
	s.as = s.asked.as(s.err)
	s.said.Store(saidAs)
}

func timeouts(err error) (extras byte) {
	if t, ok := err.(interface{ Timeout() bool }); ok {
		extras |= extraTimeout
		if t.Timeout() {
			extras |= extraTimedOut
		}
	}
	if t, ok := err.(interface{ Temporary() bool }); ok {
		extras |= extraTemporary
		if t.Temporary() {
			extras |= extraPassing
		}
	}
	return extras
}

// answerers are what an Is or As method of a foreign type is asked for.
type answerers struct{ sentinels, types []*Entry }

const mostIs = 32 // answers of one Is method

// is lists the sentinels for which an Is method of err says yes.
func (a answerers) is(err error) (yes []error) {
	asker, ok := err.(interface{ Is(error) bool })
	if !ok {
		return nil
	}
	for _, entry := range a.sentinels {
		if asker.Is(entry.sentinel) {
			yes = append(yes, entry.sentinel)
		}
		if len(yes) == mostIs {
			break
		}
	}
	return yes
}

// as lists what an As method of err gives for the registered types.
func (a answerers) as(err error) (yes []error) {
	if _, ok := err.(interface{ As(any) bool }); !ok {
		return nil
	}
	for _, entry := range a.types {
		if as, ok := entry.as(err); ok && !entry.isNil(as) && reflect.TypeOf(as) != reflect.TypeOf(err) {
			yes = append(yes, as)
		}
	}
	return yes
}
