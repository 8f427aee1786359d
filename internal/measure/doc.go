// Package measure runs sagas and says what they cost: time, the processor's and the server's, commands, bytes, and what is left.
// The command skald, the table of the benchmarks and the tests of memory share it.
package measure
