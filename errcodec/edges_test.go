package errcodec_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/skald-go/skald/errcodec"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// message is a whole message around one node without a text of its own.
func message(node string) []byte { return []byte("\xc1\x01\x04text" + node) }

func TestBytesThatBreakTheFormatSayHow(t *testing.T) {
	for node, why := range map[string]string{
		"":                             "it ends too early",
		"\x00":                         "there is no error in it",
		"\x08":                         "a nil has more than one byte",
		"\x0f":                         "there is an unknown class of errors",
		"\x69":                         "there is an unknown shape of causes",
		"\x89\x01":                     "a plain error has extras",
		"\x0c\x01k\x00":                "something follows the error",
		"\x8c\x40\x01k":                "there are unknown extras",
		"\x01\x7fabc":                  "a text is longer than the data",
		"\x11\x05":                     "a text is outside its parent's",
		"\x19\x02\x03":                 "a text is outside its parent's",
		"\x01\xff\xff\xff\xff\x08":     "a number is too large",
		"\x01\xff\xff\xff\xff\xff\x01": "a number is too large",
		"\x01\xff\xff\xff\xff\x07":     "a text is longer than the data",
		"\x49\x05\x09":                 "there are more causes than data",
		strings.Repeat("\x29", 20_000): "it is too deep",
		"\x8c\x02\x01k\x01\x00":        "it ends too early",
	} {
		t.Run(hex.EncodeToString([]byte(node[:min(len(node), 8)])), func(t *testing.T) {
			got := app().Decode(message(node))
			var unreadable *errcodec.Unreadable
			require.ErrorAs(t, got, &unreadable)
			assert.Equal(t, why, unreadable.Why())
			assert.Equal(t, "text", got.Error(), "the text can be read nevertheless")
		})
	}
}

func TestFieldsThatAreNoMsgpackAreNotGivenToEntries(t *testing.T) {
	codec := errcodec.New(errcodec.Type("test.any", func(enc *msgpack.Encoder, c code) error {
		return enc.EncodeInt(int64(c))
	}, func(*msgpack.Decoder) (code, error) { return 1, nil }))
	for fields, good := range map[string]bool{
		"": true, "\xc0": true, "\x7f\xff\xe0": true, "\xc2\xc3": true, "\xc1": false,
		"\x81\x01\x02": true, "\x82\x01\x02": false, "\x92\x01\x02": true, "\x93\x01\x02": false,
		"\xa1a": true, "\xa2a": false, "\xbf" + strings.Repeat("x", 31): true,
		"\xc4\x01a": true, "\xc4\x02a": false, "\xc5\x00\x01a": true, "\xc6\x00\x00\x00\x01a": true, "\xc6\xff\xff\xff\xffa": false,
		"\xc7\x01\x05a": true, "\xc7\x02\x05a": false, "\xc8\x00\x01\x05a": true, "\xc9\x00\x00\x00\x01\x05a": true,
		"\xca1234": true, "\xca123": false, "\xcb12345678": true, "\xcb1234567": false,
		"\xcc1": true, "\xcd12": true, "\xce1234": true, "\xcf12345678": true, "\xcf1234567": false,
		"\xd01": true, "\xd112": true, "\xd21234": true, "\xd312345678": true, "\xd0": false,
		"\xd4t1": true, "\xd5t12": true, "\xd6t1234": true, "\xd7t12345678": true, "\xd8t1234567890123456": true, "\xd8t123": false,
		"\xd9\x01a": true, "\xda\x00\x01a": true, "\xdb\x00\x00\x00\x01a": true, "\xd9\x02a": false, "\xdb\x00": false,
		"\xdc\x00\x01\x01": true, "\xdc\x00\x02\x01": false, "\xdd\x00\x00\x00\x01\x01": true, "\xdd\x7f\xff\xff\xff\x01": false,
		"\xde\x00\x01\x01\x02": true, "\xde\x00\x02\x01\x02": false, "\xdf\x00\x00\x00\x01\x01\x02": true, "\xdf": false,
	} {
		t.Run(hex.EncodeToString([]byte(fields)), func(t *testing.T) {
			got := codec.Decode(message("\x0b\x08test.any" + string(rune(len(fields))) + fields))
			if good {
				assert.Equal(t, code(1), got)
				return
			}
			var opaque *errcodec.Opaque
			require.ErrorAs(t, got, &opaque)
			assert.Equal(t, "the fields of errcodec_test.code are no msgpack values", opaque.Why())
		})
	}
}

// sent is a typed error as bytes.
func sent(key, fields string) []byte {
	return message("\x0b" + string(rune(len(key))) + key + string(rune(len(fields))) + fields)
}

func TestStandardTypesWithoutTheirFieldsArriveOpaque(t *testing.T) {
	codec := errcodec.New()
	for _, known := range codec.Registered() {
		if known.Sentinel == nil {
			got := codec.Decode(sent(known.Key, ""))
			assert.IsType(t, new(errcodec.Opaque), got, known.Key)
			assert.Equal(t, "text", got.Error())
		}
	}
}

func TestStandardTypesWithOtherFieldsAreUsable(t *testing.T) {
	codec := errcodec.New()
	for _, known := range codec.Registered() {
		for _, fields := range []string{"\xa1a", "\x01", "\xa1a\xa1a\xa1a\x01", "\xa1a\xa1a\xa1a\xa1a\xa1a\xa1a"} {
			requireUsable(t, codec, sent(known.Key, fields))
		}
	}
}

func TestErrorNumberOfAnotherSystemArrivesOpaque(t *testing.T) {
	got := errcodec.New().Decode(message("\x0b\x08os.errno\x08\xa6plan99\x02"))
	var opaque *errcodec.Opaque
	require.ErrorAs(t, got, &opaque)
	assert.Contains(t, opaque.Why(), "an error number of plan99 has no meaning on ")
	assert.Equal(t, "text", got.Error())
}

// address is of a network that package net does not know.
type address struct{}

func (address) Network() string { return "pigeon" }
func (address) String() string  { return "roof 7" }

func TestAddressesOfOperations(t *testing.T) {
	for _, addr := range []net.Addr{
		nil, address{}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"},
		&net.UDPAddr{IP: net.ParseIP("::1"), Port: 53}, &net.UnixAddr{Name: "/x", Net: "unix"}, &net.UnixAddr{Name: "/x", Net: "unixgram"}, &net.IPAddr{IP: net.IPv4(10, 0, 0, 1)},
		&net.TCPAddr{},
	} {
		want := &net.OpError{Op: "dial", Net: "tcp", Source: addr, Addr: addr, Err: errDeclined}
		got := trip(app(), want)
		var op *net.OpError
		require.ErrorAs(t, got, &op)
		requireSameTree(t, want, op)
		if addr != nil {
			assert.Equal(t, addr.Network(), op.Addr.Network())
			assert.Equal(t, addr.String(), op.Source.String())
		}
	}
	got := trip(app(), &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, Err: errDeclined})
	var op *net.OpError
	require.ErrorAs(t, got, &op)
	assert.IsType(t, new(net.TCPAddr), op.Addr)
	got = trip(app(), &net.OpError{Op: "dial", Net: "pigeon", Addr: address{}, Err: errDeclined})
	require.ErrorAs(t, got, &op)
	_, unix := op.Addr.(*net.UnixAddr)
	assert.False(t, unix)
}

func TestUnreadableBytesThatAreTooManyAreNotSentOn(t *testing.T) {
	got := app().Decode([]byte(strings.Repeat("garbage ", 20_000)))
	data := app().Encode(got)
	assert.Less(t, len(data), 64<<10)
	assert.Contains(t, app().Decode(data).Error(), "these 160000 bytes are no error")
}

func TestOpaqueThatIsTooLargeKeepsItsText(t *testing.T) {
	var none *errcodec.Codec
	passed := none.Decode(app().Encode(errors.Join(&status{7, strings.Repeat("x", 5000)}, errDeclined)))
	small := app().With(errcodec.Bounds(errcodec.Limits{Bytes: 1000}))
	data := small.Encode(fmt.Errorf("passed: %w", passed))
	assert.LessOrEqual(t, len(data), 1000)
	assert.True(t, strings.HasPrefix(small.Decode(data).Error(), "passed: xxxxx"))
}

func TestTextsOfManySizesPassTheNumberFormat(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 129, 16_383, 16_384, 40_000} {
		text := strings.Repeat("é", size/2) + strings.Repeat("x", size%2)
		requireSameTree(t, stranger{text}, trip(app(), stranger{text}))
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	codec := app().With(errcodec.Bounds(errcodec.Limits{Bytes: 512}))
	for offset := range 4 {
		got := trip(codec, errors.New(strings.Repeat("x", offset)+strings.Repeat("€", 1000))).Error()
		head, tail, found := strings.Cut(got, "… (")
		assert.True(t, found, got)
		assert.True(t, strings.HasSuffix(head, "€"), got)
		assert.Equal(t, fmt.Sprintf("%d bytes in all)", 3000+offset), tail)
	}
}

func TestOverflowRemembersDistinctSentinels(t *testing.T) {
	codec := app().With(numbered(100)...).With(errcodec.Bounds(errcodec.Limits{Nodes: 2}))
	many := []error{errors.New("first")}
	for range 3 {
		many = append(many, errDeclined, nil, errLocked, scripted{says("x"), func() error { panic("no") }, never})
	}
	got := trip(codec, &strangeList{"list", many})
	require.ErrorIs(t, got, errDeclined)
	require.ErrorIs(t, got, errLocked)
	assert.Equal(t, "list", got.Error())
}

func TestTextMayBeWrittenInMoreThanOneWay(t *testing.T) {
	for _, node := range []string{"\x09", "\x11\x00", "\x19\x00\x04", "\x01\x04text"} {
		assert.Equal(t, errors.New("text"), app().Decode(message(node)), "%x", node)
	}
	assert.Equal(t, errors.New(""), app().Decode(message("\x11\x04")))
}
