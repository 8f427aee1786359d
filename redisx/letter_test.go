package redisx

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
)

func letterOf(m broker.Message) string {
	return string(appendLetter(appendText(append48(nil, 77), address(m)), m))
}

func TestLetters(t *testing.T) {
	start := broker.Message{Service: "payments", To: "orders~o1/charge", Start: &broker.Start{
		ID: "orders~o1/charge", Served: broker.Served{Flow: "charge", Version: 3}, Digest: [32]byte{1, 2}, Parent: "orders~o1", Record: []byte("in"),
	}}
	event := broker.Message{Service: "orders", To: "o1", Event: &broker.Event{ID: "e", Kind: "reply", Name: "charge", Data: []byte("out"), At: time.Unix(7, 8).UTC()}}
	for _, m := range []broker.Message{start, event} {
		late, got, err := parseLetter(letterOf(m))
		require.NoError(t, err)
		require.Equal(t, uint64(77), late)
		m.Service = ""
		require.Equal(t, m, got)
	}
	for want, wrong := range map[string]string{
		"makes no sense":                         letterOf(start)[:30],
		"a letter of version 9, this is version": strings.Replace(letterOf(start), "\x01\x01\x00\x06charge", "\x09\x01\x00\x06charge", 1),
		"says of no service that it called":      strings.ReplaceAll(letterOf(start), "orders~o1", "orders-o1"),
		"an event":                               letterOf(event)[:len(letterOf(event))-6],
	} {
		_, _, err := parseLetter(wrong)
		require.ErrorIs(t, err, errStrange)
		require.ErrorContains(t, err, want)
	}
}

// What another service sends may be anything. What is read of it goes into the arguments of a script.
func FuzzLetter(f *testing.F) {
	f.Add(letterOf(broker.Message{Service: "p", To: "o~1/c", Start: &broker.Start{ID: "o~1/c", Served: broker.Served{Flow: "c"}, Record: []byte("in")}}))
	f.Add(letterOf(broker.Message{Service: "o", To: "1", Event: &broker.Event{ID: "e", Kind: "reply", Name: "c"}}))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		_, m, err := parseLetter(s)
		if err != nil {
			return
		}
		o := newOp(kindRelay, m.To, "")
		o.message(nil, m)
		o.release()
		m.Service = "x"
		_, again, err := parseLetter(letterOf(m))
		require.NoError(t, err)
		m.Service = ""
		require.Equal(t, m, again)
	})
}
