package redisx

import (
	"fmt"
	"strings"
)

// partitionPrefix begins all keys of a partition. The hash tag keeps them on one node of a cluster.
func partitionPrefix(namespace string, partition int) string {
	return fmt.Sprintf("{%s:%02d}:", namespace, partition)
}

// inboxKey is the stream to which other services append what is for this one.
func inboxKey(service string) string { return service + ":inbox" }

// configKey is the namespace's configuration, fixed at its first use.
func configKey(namespace string) string { return namespace + ":config" }

// Keys gives the names of all keys that can hold something of a saga, for people who look: its result, its mailbox, and the keys
// that it shares with other sagas, in which it is a field or a member. The key of an owner's set ends in "*": any worker may own it.
//
// partitions is Options.Partitions, if it is not 1.
//
// What a finished saga costs until Transition.Keep has passed: about 350 bytes with an ID of 36 bytes and an outcome of 64;
// then nothing.
func Keys(namespace, id string, partitions ...int) []string {
	if namespace == "" {
		namespace = defaultNamespace
	}
	count := 1
	if len(partitions) > 0 {
		count = max(1, partitions[0])
	}
	prefix := partitionPrefix(namespace, partitionOf(id, count))
	return []string{
		prefix + "r:" + id,  // result
		prefix + "in:" + id, // mailbox
		prefix + "m",        // lines of living sagas
		prefix + "s",        // records
		prefix + "j",        // journals
		prefix + "oc",       // outcomes of held and buried sagas
		prefix + "q:*",      // ready sagas
		prefix + "o:*",      // IDs that a worker owns
		prefix + "ml:*",     // owned sagas with news for their worker
		prefix + "pk",       // parked
		prefix + "hd",       // held
		prefix + "dl",       // buried
		prefix + "em",       // early mail
		prefix + "lc",       // what sagas claim
		prefix + "k:*",      // who holds a key, and waits for it: of the partition that the key's hash names
		prefix + "lp",       // claims of sagas that are about to be stored, of such a partition
		prefix + "ob",       // messages on their way to other partitions
	}
}

// escapeGlob makes a pattern that matches s only.
func escapeGlob(s string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`).Replace(s)
}
