package errcodec

import (
	"reflect"
	"unsafe"
)

// identity tells one error value from another without comparing them: the
// comparison of two errors may panic, and two equal errors need not be one.
type identity struct{ typ, data unsafe.Pointer }

// identityOf returns the two words of the interface value.
func identityOf(err error) identity {
	return *(*identity)(unsafe.Pointer(&err))
}

// nilPointer reports whether err is a nil pointer in an interface.
func nilPointer(err error) bool {
	return identityOf(err).data == nil && reflect.TypeOf(err).Kind() == reflect.Pointer
}
