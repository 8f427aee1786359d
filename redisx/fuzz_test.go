package redisx

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/skald-go/skald/broker"
)

// What is read from the server may be anything: another may have written it, or written over it. It gives an error then. What is read
// without one must be what was written, so that what a reader takes, a writer writes again.

var (
	fuzzSaga = broker.Start{
		ID: "order-42/child", Served: broker.Served{Flow: "order", Version: 3},
		Digest: [32]byte{1, 2, 3}, Record: []byte("record"), Parent: "order-42",
	}
	fuzzEvent = broker.Event{ID: "e1", Kind: "signal", Name: "paid", Data: []byte("data"), At: time.Unix(1_700_000_000, 5).UTC()}
	fuzzToken = strings.Repeat("t", workerLength)
)

// lonely makes a broker that never asks a server, with a worker of orders, and the saga that somebody watches.
func lonely(tb testing.TB, client redis.UniversalClient) (*Broker, *worker) {
	b := New(client, Options{Partitions: 2})
	Deafen(b)
	w, err := b.newWorker(broker.Member{Name: "w", Lease: time.Minute, Flows: []broker.Served{fuzzSaga.Served}})
	require.NoError(tb, err)
	b.enlist(fuzzToken, w.seats[1])
	return b, w
}

// nowhere is a client that nobody calls.
func nowhere(f *testing.F) redis.UniversalClient {
	client := redis.NewClient(&redis.Options{Addr: "nowhere.invalid:1"})
	f.Cleanup(func() { require.NoError(f, client.Close()) })
	return client
}

const fuzzNode = "0123456789"

func sampleLine(token string) string {
	return newHotStart(token, fuzzSaga, fuzzNode).startLine(1_700_000_000_000)
}

// sampleEnd is what is kept of a saga that has finished, without its outcome.
func sampleEnd() string {
	return string(appendEnd(nil, 7, 1_700_000_000_000, fuzzToken, newHotStart(fuzzToken, fuzzSaga, fuzzNode).head))
}

func sampleRecord() string { return string(append(appendOrigin(nil, fuzzSaga), fuzzSaga.Record...)) }

// body writes an event as it lies in a mailbox.
func body(ev broker.Event, seq uint32) string {
	return string(appendEvent(binary.BigEndian.AppendUint32(nil, seq), ev))
}

func FuzzParseLine(f *testing.F) {
	line := sampleLine(fuzzToken)
	f.Add(line)
	f.Add(line[:len(line)-1])
	f.Add(line + string(appendOrigin(nil, fuzzSaga)) + "rest")
	f.Add(line[:fixedLength])
	f.Fuzz(func(t *testing.T, s string) {
		l, rest, err := parseLine(s)
		if err != nil {
			require.ErrorIs(t, err, errLine)
			return
		}
		require.Equal(t, s, s[:fixedLength]+l.head+rest)
		again, _, err := parseLine(s[:len(s)-len(rest)])
		require.NoError(t, err)
		require.Equal(t, l, again)
		if hot := newHotLine([]any{"a", s}); hot.line != "" {
			after, rest, err := parseLine(keptLine(s))
			require.NoError(t, err)
			require.Equal(t, l.rev+1, after.rev)
			require.Equal(t, l.owner, after.owner)
			require.Equal(t, l.head+rest, after.head+rest)
			require.Equal(t, hotLine{line: keptLine(s)}, newHotLine([]any{"a", keptLine(s)}))
		}
	})
}

func FuzzParseResult(f *testing.F) {
	end := sampleEnd()
	f.Add(end + "outcome")
	f.Add(end[:len(end)-1])
	f.Add(end[:endLength])
	f.Add(sampleLine(fuzzToken) + string(appendOrigin(nil, fuzzSaga)))
	f.Fuzz(func(t *testing.T, s string) {
		l, rest, err := parseCard(s)
		shot, failed := parseResult("a", s)
		require.Equal(t, err, failed)
		if err != nil {
			require.ErrorIs(t, err, errLine)
			return
		}
		require.Equal(t, rest, string(shot.Outcome))
		again, _, err := parseCard(s[:len(s)-len(rest)])
		require.NoError(t, err)
		require.Equal(t, l, again)
	})
}

func FuzzParseLane(f *testing.F) {
	for _, lane := range []string{"order@1", "order@1\x00build", "a@b@-7\x00x\x00y", "order", "order@", "order@x", "@1"} {
		f.Add(lane)
	}
	f.Fuzz(func(t *testing.T, lane string) {
		served, rejected, err := parseLane(lane)
		if err != nil {
			require.ErrorIs(t, err, errLine)
			return
		}
		again, alike, err := parseLane(string(appendServed(nil, served)) + strings.Join(append([]string{""}, rejected...), "\x00"))
		require.NoError(t, err)
		require.Equal(t, served, again)
		require.Equal(t, rejected, alike)
	})
}

func FuzzParseEvent(f *testing.F) {
	f.Add(body(fuzzEvent, 7))
	f.Add(body(broker.Event{}, 0))
	f.Add("\x00\x00\x00\x01\xff\xffkind")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		ev, err := parseEvent(s)
		if err != nil {
			require.ErrorIs(t, err, errLine)
			return
		}
		again, err := parseEvent(body(ev.Event, uint32(ev.seq)))
		require.NoError(t, err)
		require.Equal(t, ev, again)
	})
}

func FuzzEventComesBack(f *testing.F) {
	f.Add("signal", "paid", []byte("data"), int64(1_700_000_000), int64(5), uint32(1))
	f.Add("", "", []byte{}, int64(-62_135_596_800), int64(0), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, kind, name string, data []byte, seconds, nanos int64, seq uint32) {
		ev := broker.Event{ID: "e", Kind: kind, Name: name, At: time.Unix(seconds, nanos).UTC()}
		if len(data) > 0 {
			ev.Data = data
		}
		if checkEvent(ev) != nil {
			return
		}
		mail, err := parseMail([]any{ev.ID, body(ev, seq)})
		require.NoError(t, err)
		require.Equal(t, []numbered{{ev, uint64(seq)}}, mail)
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add(string(appendEntries(nil, []broker.Entry{{Path: "reserve", Data: []byte("out")}, {Path: "charge"}})))
	f.Add("\x00\x01a\xff\xff\xff\xff")
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, chunk string) {
		entries, err := parseEntries(nil, chunk)
		if err != nil {
			require.ErrorIs(t, err, errLine)
			return
		}
		require.Equal(t, chunk, string(appendEntries(nil, entries)))
		require.Equal(t, len(chunk), entriesSize(entries))
	})
}

// FuzzAnswers reads what the scripts answer from values of any kind.
func FuzzAnswers(f *testing.F) {
	client := nowhere(f)
	line := sampleLine(fuzzToken)
	cold := strings.Replace(line, line[1:2], "\x00", 1)
	chunk := string(appendEntries(nil, []broker.Entry{{Path: "reserve", Data: []byte("out")}}))
	said, err := msgpack.Marshal(profile{Name: "w", Build: "b", Flows: []string{"order@3"}})
	require.NoError(f, err)
	for _, answer := range []any{
		nil, int64(1), "text", []any{},
		[]any{"a", line, ""},
		[]any{"a", line, sampleRecord()},
		[]any{"a", cold, sampleRecord(), []any{"e1", body(fuzzEvent, 2), "e0", body(fuzzEvent, 1)}, chunk, chunk},
		[]any{"outcome", []any{"a", line, sampleRecord()}},
		[]any{sampleEnd() + "outcome"},
		[]any{int64(1), []any{"e1", body(fuzzEvent, 2)}},
		[]any{"a", "2", []any{"e1", body(fuzzEvent, 2)}},
		[]any{fuzzToken, string(said)},
		[]any{int64(1), "C", int64(3)},
	} {
		f.Add(appendAnswer(nil, answer))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, _ := cutAnswer(data, 4)
		v := values(answer)
		l, r, mail, err := parseRecord(v)
		if err == nil {
			require.Equal(t, len(mail), len(r.Mail))
			require.Equal(t, l.rev, r.Rev)
		}
		workers := parseProfiles(v)
		if len(v) > 1 {
			shot, err := parseSnapshot("a", v, true, workers)
			require.Equal(t, err == nil, shot != nil)
		}
		b, w := lonely(t, client)
		_ = w.readAck(broker.Transition{ID: "a", Rev: 1}, v, &broker.Ack{})
		var got found
		_ = w.seats[0].mail(v, &got)
		_ = w.seats[0].adoptAll(v, &got)
		require.Empty(t, got.news, "mail for a saga that the worker does not own")
		refusals(t, b.parts[0], v)
	})
}

// refusals has a hot batch read v: what it refuses goes another way, and it always refuses something, so that a batch ends.
func refusals(t *testing.T, p *partition, v []any) {
	batch := hotBatch{p: p}
	for range 3 {
		batch.order = append(batch.order, newHotStart(fuzzToken, fuzzSaga, fuzzNode))
	}
	all := slices.Clone(batch.order)
	batch.refuse(v)
	require.Less(t, len(batch.order), len(all))
	for _, o := range all {
		require.Equal(t, o.code != saysCold, slices.Contains(batch.order, o))
		o.release()
	}
}

// appendAnswer writes an answer of a script for cutAnswer.
func appendAnswer(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return append(b, 1, byte(v))
	case string:
		return appendText(append(b, 2), v)
	case []any:
		b = append(b, 3, byte(len(v)))
		for _, one := range v {
			b = appendAnswer(b, one)
		}
		return b
	}
	return append(b, 0)
}

// cutAnswer makes an answer of a script from bytes: a number, a text, a list, or nothing.
func cutAnswer(b []byte, depth int) (v any, rest []byte) {
	if len(b) < 2 {
		return nil, nil
	}
	kind, n, rest := b[0]%4, b[1], b[2:]
	switch {
	case kind == 1:
		return int64(int8(n)), rest
	case kind == 2:
		s, after, _ := cutText(string(b[1:]))
		return s, []byte(after)
	case kind == 3 && depth > 0:
		list := []any{}
		for range n % 32 {
			var one any
			one, rest = cutAnswer(rest, depth-1)
			list = append(list, one)
		}
		return list, rest
	}
	return nil, b[1:]
}

func FuzzNews(f *testing.F) {
	client := nowhere(f)
	result := sampleEnd() + "outcome"
	news := string(appendResult([]byte{'H', 0, 1, 'a'}, "a", []byte(result)))
	other, finished := &op{hotOp: hotOp{id: "b"}}, &op{hotOp: hotOp{id: "a", value: blob(result)}}
	all := string(appendNews(nil, []*op{other, finished})) + "ba" + result
	for _, message := range []string{
		all, all[:len(all)-1], "F", "F\x00", "F\x00\x01", "F\x00\x01\xff\xff\xff\xff\xff\xffa",
		news, news + news, news[:len(news)-1], "R\x00\x01a\xff\xff\xff\xff", "H", "M" + fuzzToken, "Mnobody", "",
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		b, _ := lonely(t, client)
		told := 0
		b.watches.byID["a"] = []*watch{{fn: func(s broker.Snapshot) {
			told++
			require.Equal(t, "a", s.ID)
		}}}
		b.heard(false, message)
		require.Equal(t, told == 0, len(b.watches.byID["a"]) == 1, "a watch ends when it is told")
		require.LessOrEqual(t, told, 1)
	})
}

func FuzzBell(f *testing.F) {
	client := nowhere(f)
	for _, message := range []string{
		"1\norder@3", "0\nother@1\norder@3\x00build", "2\norder@3", "-1\norder@3", "x\norder@3", "1", "", "\n\n",
	} {
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message string) {
		b, w := lonely(t, client)
		for i := range w.inbox.slots {
			w.inbox.slots[i] = slot{}
		}
		b.heard(true, message)
		woken := 0
		for _, s := range w.inbox.slots {
			require.Equal(t, slot{ready: s.ready}, s)
			if s.ready {
				woken++
			}
		}
		require.LessOrEqual(t, woken, 1)
		require.False(t, woken == 1 && !strings.Contains(message, "order@3"), "a bell of other lanes wakes nobody")
	})
}

// FuzzSagaComesBack writes a start, a transition that keeps and one that finishes, as commit.lua stores them, and reads the saga after
// each.
func FuzzSagaComesBack(f *testing.F) {
	p := New(nowhere(f), Options{}).parts[0]
	f.Add("order-42", "order", 3, "parent", []byte("record"), "reserve", []byte("out"), []byte("outcome"))
	f.Add("", "", -1, "", []byte{}, "", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, id, flow string, version int, parent string, record []byte, path string, data, outcome []byte) {
		s := broker.Start{ID: id, Served: broker.Served{Flow: flow, Version: version}, Digest: [32]byte{9}, Parent: parent}
		s.Record = record
		keep := broker.Transition{ID: id, Rev: 1, Next: broker.Keep, Append: []broker.Entry{{Path: path, Data: data}}}
		if strings.Contains(flow, "\x00") || checkStart(s) != nil || checkTransition(keep) != nil {
			return
		}
		o := newHotStart(fuzzToken, s, fuzzNode)
		require.Equal(t, string(appendServed(nil, s.Served)), o.lane)
		line, stored := o.startLine(7), string(o.value)
		l := stands(t, s, broker.Owned, 1, line, stored, "")
		require.Equal(t, fuzzToken, l.owner)

		h := &holding{head: o.head, line: line}
		if o = hotOpOf(h, keep, p); o == nil {
			return
		}
		require.Equal(t, line, o.line)
		line = keptLine(line)
		stands(t, s, broker.Owned, 2, line, stored, string(o.value), keep.Append...)
		known := newHotLine([]any{id, line, stored, []any{}, string(o.value)})
		require.Equal(t, hotLine{line, string(o.value)}, known)
		h.known(known)
		require.Nil(t, hotOpOf(h, keep, p), "a repeat needs to be compared with what is stored")
		more := hotOpOf(h, broker.Transition{ID: id, Rev: 2, Next: broker.Keep, Append: keep.Append}, p)
		require.Equal(t, more != nil, 2*len(o.value) <= room)
		if more != nil {
			stands(t, s, broker.Owned, 3, keptLine(line), stored, string(more.value), append(keep.Append, keep.Append...)...)
		}

		o = hotOpOf(h, broker.Transition{ID: id, Rev: 2, Next: broker.Finish, Outcome: outcome}, p)
		require.NotNil(t, o)
		shot, err := parseResult(id, string(o.value))
		require.NoError(t, err)
		require.Equal(t, broker.Finished, shot.State)
		require.Equal(t, uint64(3), shot.Rev)
		require.True(t, bytes.Equal(outcome, shot.Outcome))
		s.Record = nil
		require.Equal(t, s, shot.Start)
	})
}

// hotOpOf is the op of a transition, if it goes with a hot batch.
func hotOpOf(h *holding, t broker.Transition, p *partition) *op {
	if !h.fits(&t, fuzzToken) {
		return nil
	}
	o := newHotOp()
	h.transition(o, &t, fuzzToken, p)
	return o
}

// stands reads what is stored of s, line and record, and its journal, and gives its line.
func stands(t *testing.T, s broker.Start, state broker.State, rev uint64, stored, record, chunk string, journal ...broker.Entry) line {
	t.Helper()
	l, r, mail, err := parseStored(s.ID, stored, []any{record, []any{}, chunk})
	require.NoError(t, err)
	require.Empty(t, mail)
	require.Equal(t, state, l.state)
	require.Equal(t, rev, r.Rev)
	require.Equal(t, string(appendEntries(nil, journal)), string(appendEntries(nil, r.Journal)))
	require.True(t, bytes.Equal(s.Record, r.Record))
	s.Record, r.Record = nil, nil
	require.Equal(t, s, r.Start)
	return l
}
