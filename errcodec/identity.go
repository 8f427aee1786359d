package errcodec

import (
	"reflect"
	"unsafe"
)

// identity tells one error value from another without comparing them: the
// comparison of two errors may panic, and two equal errors need not be one. It
// is good for as long as something else holds the value.
type identity struct{ typ, data uintptr }

// identityOf returns the two words of the interface value.
func identityOf(err error) identity {
	return *(*identity)(unsafe.Pointer(&err))
}

// nilPointer reports whether err is a nil pointer in an interface.
func nilPointer(err error) bool {
	return identityOf(err).data == 0 && reflect.TypeOf(err).Kind() == reflect.Pointer
}
