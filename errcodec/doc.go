// Package errcodec lets errors travel: from the process where they happen to
// the caller, through stores and restarts, as themselves.
//
// A [Codec] knows errors by explicit keys, never by Go names, and reads and
// writes their fields with functions, never by reflection:
//
//	var Errors = errcodec.New(
//		errcodec.Sentinel("bank.declined", ErrDeclined),
//		errcodec.Type("shop.points", encodePoints, decodePoints),
//		jwterr.Errors(),
//	)
//
// # What holds for every error
//
// Encoding never fails, never panics, and ends in bounded time and space.
// The decoded error has the same text and the same tree of causes, below %w,
// errors.Join and any Unwrap method. errors.Is finds every registered sentinel and errors.As
// every registered type, wherever they stood; their own Is and As methods
// work, since they are themselves again.
//
// What is not registered, or fails, arrives as an [Opaque] in its place, at
// once. A process that does not know a key passes the error on
// with the same bytes, so that the next one may know it.
//
// What is cut: trees of more than 1,000 errors and encodings of more than 64 KiB
// (see [Limits]), and causes that form a cycle. What is not waited for: methods of
// unregistered types that do not return. Then the text says so.
//
// # Keys
//
// Keys are stored with the errors. Add keys as you like, but never give one
// to another error, and keep those that are stored: a test that compares
// [Codec.Registered] with a list notices. The types of the standard
// library that can be rebuilt from outside are built in.
//
// # Secrets
//
// Nothing travels but texts, keys, type names and the fields that an entry writes. No stack does.
// [Redact] sees every text before it is sent.
//
// Package errcodectest has test helpers: one lists the errors of your packages
// that are not registered. The format is specified in docs/errcodec-format.md.
package errcodec
