//go:build race

package errcodec_test

const raceEnabled = true
