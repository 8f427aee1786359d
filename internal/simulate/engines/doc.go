// Package engines runs many real engines on the broker in memory, in the virtual time of a bubble: hundreds of sagas of random flows at
// once, while replies are lost, calls are repeated, delayed and reordered, workers are killed, fenced and robbed of sagas, engines end and
// others begin. Which attempts fail, and how, follows from a seed, the saga, the path and the attempt; in which order goroutines run does not.
// Everything that was committed, attempted and effected is written down, and the oracle of package world judges it afterwards.
package engines
