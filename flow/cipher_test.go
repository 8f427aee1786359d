package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/skald-go/skald/broker"
	"github.com/skald-go/skald/inmem"
	"github.com/skald-go/skald/internal/plan"
	"github.com/skald-go/skald/step"
)

func TestSealedBytesAreNotReadable(t *testing.T) {
	p := newPayloads(ciphered(t, nil, oldKey))
	first, err := p.Append(nil, plan.TypeOf[purchase](), aPurchase)
	require.NoError(t, err)
	second, err := p.Append(nil, plan.TypeOf[purchase](), aPurchase)
	require.NoError(t, err)
	assert.NotEqual(t, first, second, "whoever compares them learns that they are equal")
	for _, word := range []string{"sigrid", "sword", "Customer", "Notes"} {
		assert.NotContains(t, string(first), word)
	}
	assert.Contains(t, string(first), "2025", "the key's ID travels")
}

func TestKeysRotate(t *testing.T) {
	typ := plan.TypeOf[purchase]()
	old := newPayloads(ciphered(t, nil, oldKey))
	both := newPayloads(ciphered(t, nil, oldKey, newKey))
	rotated := newPayloads(ciphered(t, nil, newKey, oldKey))
	alone := newPayloads(ciphered(t, nil, newKey))
	seal := func(p *payloads) []byte {
		data, err := p.Append(nil, typ, aPurchase)
		require.NoError(t, err)
		return data
	}
	for _, c := range []struct{ from, to *payloads }{
		{old, both}, {both, old}, {both, rotated}, {rotated, both}, {old, rotated}, {rotated, alone}, {alone, rotated},
	} {
		back, err := c.to.Decode(typ, seal(c.from))
		require.NoError(t, err)
		assert.Equal(t, aPurchase, back)
	}
	_, err := alone.Decode(typ, seal(old))
	assert.EqualError(t, err, `decode flow.purchase: it is sealed with key "2025", which the codec does not have`)
	_, err = old.Decode(typ, seal(rotated))
	assert.EqualError(t, err, `decode flow.purchase: it is sealed with key "2026", which the codec does not have`)
}

func TestTamperingIsFound(t *testing.T) {
	typ := plan.TypeOf[purchase]()
	p := newPayloads(ciphered(t, nil, newKey, oldKey))
	data, err := p.Append(nil, typ, aPurchase)
	require.NoError(t, err)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		_, err := p.Decode(typ, bad)
		require.Error(t, err, "byte %d", i)
		assert.NotContains(t, err.Error(), "sigrid")
	}
	for n := range data {
		_, err := p.Decode(typ, data[:n])
		require.Error(t, err, "the first %d bytes", n)
	}
	_, err = p.Decode(typ, append(data, 0))
	assert.EqualError(t, err, `decode flow.purchase: key "2026" does not open it: `+
		`it was altered, is something else, or is sealed with another key of that name`)
}

func TestAnotherKeyOfThatNameDoesNotOpen(t *testing.T) {
	data, err := newPayloads(ciphered(t, nil, oldKey)).Seal(nil, []byte("secret"))
	require.NoError(t, err)
	_, err = newPayloads(ciphered(t, nil, Key{oldKey.ID, newKey.Secret})).Open(data)
	assert.ErrorContains(t, err, `key "2025" does not open it`)
}

func TestAnErrorCannotStandForAValue(t *testing.T) {
	p := newPayloads(ciphered(t, nil, oldKey))
	typ := plan.TypeOf[string]()
	value, err := p.Append(nil, typ, "text")
	require.NoError(t, err)
	text, err := p.Seal(nil, []byte("\xa4text"))
	require.NoError(t, err)
	_, err = p.Decode(typ, text)
	assert.ErrorContains(t, err, `key "2025" does not open it`)
	_, err = p.Open(value)
	assert.ErrorContains(t, err, `key "2025" does not open it`)
}

func TestPlainBytesAreRefusedByACipher(t *testing.T) {
	p := newPayloads(ciphered(t, nil, oldKey))
	for _, data := range []string{"", "\xa4text", `{"a":1}`} {
		_, err := p.Open([]byte(data))
		assert.EqualError(t, err, "it is not sealed, and the codec is a cipher")
	}
	_, err := p.Open([]byte{sealedMark, sealedBytes})
	assert.EqualError(t, err, "it is sealed, and cut short")
}

func TestCipherAsACodec(t *testing.T) {
	c := ciphered(t, JSON(), oldKey)
	data, err := c.Marshal(aPurchase)
	require.NoError(t, err)
	var back purchase
	require.NoError(t, c.Unmarshal(data, &back))
	assert.Equal(t, aPurchase, back)
	require.Error(t, c.Unmarshal(data[1:], &back))
	_, err = c.Marshal(make(chan int))
	require.Error(t, err)
}

func TestCipherRefuses(t *testing.T) {
	secret := make([]byte, 32)
	for name, c := range map[string]struct {
		inner Codec
		keys  []Key
		want  string
	}{
		"no key":       {nil, nil, "flow: Cipher: it needs a key"},
		"no ID":        {nil, []Key{{"", secret}}, `flow: Cipher: key "": its ID has 0 bytes, not 1 to 255`},
		"long ID":      {nil, []Key{{strings.Repeat("k", 256), secret}}, `its ID has 256 bytes, not 1 to 255`},
		"no secret":    {nil, []Key{{ID: "a"}}, `flow: Cipher: key "a": its secret has 0 bytes, not 16, 24 or 32`},
		"odd secret":   {nil, []Key{{"a", secret}, {"b", secret[:31]}}, `flow: Cipher: key "b": its secret has 31 bytes, not 16, 24 or 32`},
		"two the same": {nil, []Key{{"a", secret}, {"a", secret[:16]}}, `flow: Cipher: key "a": another key has this ID`},
		"a cipher":     {ciphered(t, nil, oldKey), []Key{newKey}, "flow: Cipher of a Cipher: give all keys to one"},
	} {
		t.Run(name, func(t *testing.T) {
			codec, err := Cipher(c.inner, c.keys...)
			require.ErrorContains(t, err, c.want)
			assert.Nil(t, codec)
		})
	}
	for _, size := range []int{16, 24, 32} {
		_, err := Cipher(nil, Key{strings.Repeat("k", 255), secret[:size]})
		require.NoError(t, err)
	}
}

func TestKeysDoNotShowTheirSecrets(t *testing.T) {
	k := Key{"2025", []byte("0123456789abcdef")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.Equal(t, `key "2025"`, fmt.Sprintf(verb, k), verb)
		assert.NotContains(t, fmt.Sprintf(verb, []Key{k}), "012345", verb)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("rotated", "key", k)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("rotated", "key", k)
	data, err := json.Marshal(k)
	require.NoError(t, err)
	for _, out := range []string{log.String(), string(data)} {
		assert.Contains(t, out, "2025")
		assert.NotContains(t, out, "012345")
		assert.NotContains(t, out, "MDEyMzQ1") // in base 64
	}
}

// spy keeps all bytes that engines give to a broker.
type spy struct {
	broker.Broker
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *spy) see(data ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range data {
		s.seen.Write(d)
	}
}

func (s *spy) Start(ctx context.Context, st broker.Start) (broker.Started, error) {
	s.see(st.Record)
	if w, ok := st.By.(*spyWorker); ok {
		st.By = w.Worker
	}
	return s.Broker.Start(ctx, st)
}

func (s *spy) Deliver(ctx context.Context, id string, ev broker.Event) error {
	s.see(ev.Data)
	return s.Broker.Deliver(ctx, id, ev)
}

func (s *spy) Join(ctx context.Context, m broker.Member) (broker.Worker, error) {
	w, err := s.Broker.Join(ctx, m)
	if err != nil {
		return nil, err
	}
	return &spyWorker{w, s}, nil
}

type spyWorker struct {
	broker.Worker
	spy *spy
}

func (w *spyWorker) Commit(ctx context.Context, t broker.Transition) (broker.Ack, error) {
	w.spy.see(t.Outcome)
	for _, entry := range t.Append {
		w.spy.see(entry.Data)
	}
	for _, m := range t.Send {
		switch {
		case m.Start != nil:
			w.spy.see(m.Start.Record)
		case m.Event != nil:
			w.spy.see(m.Event.Data)
		}
	}
	return w.Worker.Commit(ctx, t)
}

func TestNothingThatIsStoredIsReadable(t *testing.T) {
	seenWith := func(codec Codec) string {
		spy := &spy{Broker: inmem.New()}
		defer spy.Close()
		failedWith(t, spy, codec)
		return spy.seen.String()
	}
	plain, sealed := seenWith(nil), seenWith(ciphered(t, nil, oldKey))
	for _, word := range []string{"input-secret", "output-secret", "error-secret", "undo-secret", "child-secret", "letter-secret"} {
		assert.Contains(t, plain, word)
		assert.NotContains(t, sealed, word)
	}
}

// failedWith runs a saga that fails: every kind of payload has a secret, and so have the texts of its errors.
func failedWith(t *testing.T, b broker.Broker, codec Codec) {
	letter := NewSignal[string]("letter")
	child := New[string]("child").Then(step.New("work", func(context.Context, string) (string, error) { return "child-secret", nil }).ReadOnly())
	work := step.New("work", func(context.Context, string) (string, error) { return "output-secret", nil }).
		Compensate(func(context.Context, step.Effect[string, string]) error {
			return step.GiveUp(errors.New("undo-secret"))
		})
	refuse := step.New("refuse", func(context.Context, string) (string, error) { return "", step.Refused(errors.New("error-secret")) })
	secretive := New[string]("secretive").Then(work).Wait(letter, func(_, s string) string { return s }).Then(Child(child)).Then(refuse)

	e := NewEngine(b, Options{Codec: codec, Logger: slog.New(slog.DiscardHandler)})
	e.Serve(secretive, child)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	f, err := secretive.Start(ctx, e, "input-secret", ID("s"))
	require.NoError(t, err)
	require.NoError(t, letter.Send(ctx, e, "s", "letter-secret"))
	_, err = f.Await(ctx)
	require.ErrorContains(t, err, "error-secret")
	cancel()
	require.NoError(t, <-ended)
}
