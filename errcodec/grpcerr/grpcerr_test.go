package grpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skald-go/skald/errcodec"
	"github.com/skald-go/skald/errcodec/errcodectest"
	"github.com/skald-go/skald/errcodec/grpcerr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// call invokes a method of a server that answers with answer.
func call(t *testing.T, ctx context.Context, answer error) error {
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return answer }))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///shop", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.Invoke(ctx, "/shop.Shop/Buy", new(emptypb.Empty), new(emptypb.Empty))
}

func detailed(t *testing.T) error {
	s, err := status.New(codes.FailedPrecondition, "no points").WithDetails(
		&errdetails.ErrorInfo{Reason: "POINTS", Domain: "shop", Metadata: map[string]string{"need": "1000"}},
		&errdetails.RequestInfo{RequestId: "7"})
	require.NoError(t, err)
	return s.Err()
}

func TestStatusErrorsOfCallsArriveAsThemselves(t *testing.T) {
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, err := range map[string]error{
		"not found":          call(t, t.Context(), status.Error(codes.NotFound, "no such pet")),
		"details":            call(t, t.Context(), detailed(t)),
		"plain error":        call(t, t.Context(), errors.New("boom")),
		"deadline":           call(t, past, nil),
		"code without name":  call(t, t.Context(), status.Error(codes.Code(99), "odd")),
		"invalid UTF-8":      status.Error(codes.Internal, "a\xff"),
		"made in the client": status.Errorf(codes.Unauthenticated, "token: %v", "expired"),
	} {
		t.Run(name, func(t *testing.T) {
			codec := errcodec.New(grpcerr.Errors())
			wrapped := fmt.Errorf("buy pet: %w", err)
			got := errcodectest.Travels(t, codec, wrapped)
			want, arrived := status.Convert(errors.Unwrap(wrapped)), status.Convert(errors.Unwrap(got))
			assert.True(t, proto.Equal(want.Proto(), arrived.Proto()), "%v became %v", want, arrived)
			require.ErrorIs(t, got, err)
			assert.Equal(t, status.Code(wrapped), status.Code(got))
			assert.Equal(t, codec.Encode(wrapped), codec.Encode(got))
		})
	}
}

func TestDetailsAreMessages(t *testing.T) {
	codec := errcodec.New(grpcerr.Errors())
	details := status.Convert(codec.Decode(codec.Encode(detailed(t)))).Details()
	require.Len(t, details, 2)
	assert.Equal(t, "1000", details[0].(*errdetails.ErrorInfo).Metadata["need"])
	assert.Equal(t, "7", details[1].(*errdetails.RequestInfo).RequestId)
}

func TestSentinelArrivesAsItself(t *testing.T) {
	codec := errcodec.New(grpcerr.Errors())
	assert.Same(t, grpc.ErrServerStopped, codec.Decode(codec.Encode(grpc.ErrServerStopped)))
}

func TestMessageIsRedacted(t *testing.T) {
	codec := errcodec.New(grpcerr.Errors(), errcodec.Redact(func(text string) string {
		return strings.ReplaceAll(text, "secret", "***")
	}))
	data := codec.Encode(status.Error(codes.Internal, "token secret"))
	assert.NotContains(t, string(data), "secret")
	got := codec.Decode(data)
	assert.Equal(t, "token ***", status.Convert(got).Message())
}

func TestProcessWithoutGRPCKeepsTextAndPassesOn(t *testing.T) {
	codec, plain := errcodec.New(grpcerr.Errors()), errcodec.New()
	data := codec.Encode(detailed(t))
	got := plain.Decode(data)
	assert.Equal(t, "rpc error: code = FailedPrecondition desc = no points", got.Error())
	assert.Equal(t, data, plain.Encode(got))
}

func TestBytesThatAreNoStatusArriveOpaque(t *testing.T) {
	codec := errcodec.New(grpcerr.Errors())
	data := codec.Encode(detailed(t))
	for i := range data {
		for _, b := range []byte{0, 1, 0x93, 0xc0, 0xff} {
			changed := append([]byte(nil), data...)
			changed[i] = b
			assert.NotPanics(t, func() { _ = codec.Decode(changed).Error() })
		}
	}
}

func Example() {
	codec := errcodec.New(grpcerr.Errors())
	err := fmt.Errorf("buy pet: %w", status.Error(codes.NotFound, "no such pet"))
	arrived := codec.Decode(codec.Encode(err))
	fmt.Println(arrived)
	fmt.Println(status.Code(arrived))
	// Output:
	// buy pet: rpc error: code = NotFound desc = no such pet
	// NotFound
}
