// Package errcodec lets errors travel: from the process where they happen to
// the caller, through stores and restarts, as themselves.
//
// A [Codec] knows errors by explicit keys, never by Go names, and reads and
// writes their fields with functions, never by reflection:
//
//	var Errors = errcodec.New(
//		errcodec.Sentinel("bank.declined", ErrDeclined),
//		errcodec.Type("shop.points", encodePoints, decodePoints),
//	)
//
// Whatever error is encoded, it arrives with the same text and the same tree
// of causes, and answers errors.Is and errors.As for everything registered
// on both sides. What is not registered arrives as an [Opaque] in the same
// place. Encoding never fails.
package errcodec
