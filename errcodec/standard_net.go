package errcodec

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"syscall"

	"github.com/vmihailenco/msgpack/v5"
)

func netEntries() []Entry {
	return []Entry{
		Sentinel("net.closed", net.ErrClosed),
		Sentinel("net.write-to-connected", net.ErrWriteToConnected),
		Wrapper("net.op", encodeOp, decodeOp),
		Wrapper("net.dns", encodeDNS, decodeDNS),
		Type("net.addr", func(enc *msgpack.Encoder, err *net.AddrError) error {
			return encodeStrings(enc, err.Err, err.Addr)
		}, func(dec *msgpack.Decoder) (*net.AddrError, error) {
			err := new(net.AddrError)
			return err, decodeStrings(dec, &err.Err, &err.Addr)
		}),
		Type("net.parse", func(enc *msgpack.Encoder, err *net.ParseError) error {
			return encodeStrings(enc, err.Type, err.Text)
		}, func(dec *msgpack.Decoder) (*net.ParseError, error) {
			err := new(net.ParseError)
			return err, decodeStrings(dec, &err.Type, &err.Text)
		}),
		text[net.UnknownNetworkError]("net.unknown-network"),
		text[net.InvalidAddrError]("net.invalid-addr"),
		text[url.EscapeError]("url.escape"),
		text[url.InvalidHostError]("url.invalid-host"),
		Wrapper("url.error", func(enc *msgpack.Encoder, err *url.Error) error {
			return encodeStrings(enc, err.Op, err.URL)
		}, func(dec *msgpack.Decoder, cause error) (*url.Error, error) {
			err := &url.Error{Err: cause}
			return err, decodeStrings(dec, &err.Op, &err.URL)
		}),
	}
}

// text registers a type that is a string.
func text[T interface {
	~string
	error
}](key string) Entry {
	return Type(key, func(enc *msgpack.Encoder, err T) error {
		return enc.EncodeString(string(err))
	}, func(dec *msgpack.Decoder) (T, error) {
		s, err := dec.DecodeString()
		return T(s), err
	})
}

func encodeOp(enc *msgpack.Encoder, err *net.OpError) error {
	source, sourceText := describeAddr(err.Source)
	addr, addrText := describeAddr(err.Addr)
	return encodeStrings(enc, err.Op, err.Net, source, sourceText, addr, addrText)
}

func decodeOp(dec *msgpack.Decoder, cause error) (*net.OpError, error) {
	err := &net.OpError{Err: cause}
	var source, sourceText, addr, addrText string
	failure := decodeStrings(dec, &err.Op, &err.Net, &source, &sourceText, &addr, &addrText)
	err.Source, err.Addr = addrOf(source, sourceText), addrOf(addr, addrText)
	return err, failure
}

func describeAddr(addr net.Addr) (network, text string) {
	if addr == nil {
		return "", ""
	}
	return addr.Network(), addr.String()
}

// addrOf is the address that describeAddr described: of the type that package
// net has for it, if it says the same.
func addrOf(network, text string) net.Addr {
	var addr net.Addr
	port, err := netip.ParseAddrPort(text)
	switch {
	case network == "" && text == "":
		return nil
	case network == "tcp" && err == nil:
		addr = net.TCPAddrFromAddrPort(port)
	case network == "udp" && err == nil:
		addr = net.UDPAddrFromAddrPort(port)
	case network == "unix", network == "unixgram", network == "unixpacket":
		addr = &net.UnixAddr{Name: text, Net: network}
	}
	if addr == nil || addr.String() != text {
		return otherAddr{network, text}
	}
	return addr
}

// otherAddr is an address of a type that package net does not have.
type otherAddr struct{ network, text string }

// Network returns the name of the network.
func (a otherAddr) Network() string { return a.network }

// String returns the address.
func (a otherAddr) String() string { return a.text }

func encodeDNS(enc *msgpack.Encoder, err *net.DNSError) error {
	if e := encodeStrings(enc, err.Err, err.Name, err.Server); e != nil {
		return e
	}
	for _, is := range []bool{err.IsTimeout, err.IsTemporary, err.IsNotFound} {
		if e := enc.EncodeBool(is); e != nil {
			return e
		}
	}
	return nil
}

func decodeDNS(dec *msgpack.Decoder, cause error) (*net.DNSError, error) {
	result := &net.DNSError{UnwrapErr: cause}
	if err := decodeStrings(dec, &result.Err, &result.Name, &result.Server); err != nil {
		return nil, err
	}
	for _, is := range []*bool{&result.IsTimeout, &result.IsTemporary, &result.IsNotFound} {
		var err error
		if *is, err = dec.DecodeBool(); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func encodeErrno(enc *msgpack.Encoder, err syscall.Errno) error {
	if e := enc.EncodeString(errnoSystem()); e != nil {
		return e
	}
	return enc.EncodeUint(uint64(err))
}

func decodeErrno(dec *msgpack.Decoder) (syscall.Errno, error) {
	system, err := dec.DecodeString()
	if err != nil {
		return 0, err
	}
	if here := errnoSystem(); system != here {
		return 0, fmt.Errorf("an error number of %s has no meaning on %s", system, here)
	}
	n, err := dec.DecodeUint64()
	return syscall.Errno(n), err
}

// errnoSystem names the systems on which error numbers mean the same.
func errnoSystem() string {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return runtime.GOOS + "/mips"
	}
	return runtime.GOOS
}
