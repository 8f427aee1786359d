// Package grpcerr lets gRPC status errors travel as themselves: code, message
// and details.
//
//	codec := errcodec.New(grpcerr.Errors())
//
// It is a module of its own, so that Skald does not depend on gRPC.
package grpcerr

import (
	"cmp"

	"github.com/skald-go/skald/errcodec"
	"github.com/vmihailenco/msgpack/v5"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

// Errors registers the type of status errors, and the sentinel of package grpc.
func Errors() errcodec.Entry {
	return errcodec.Group(
		errcodec.Like("grpc.status", status.Error(codes.Unknown, ""), encode, decode),
		errcodec.Sentinel("grpc.server-stopped", grpc.ErrServerStopped),
	)
}

func encode(enc *msgpack.Encoder, err error) error {
	s := status.Convert(err).Proto()
	details := s.GetDetails()
	for _, failure := range []error{
		enc.EncodeInt(int64(s.GetCode())),
		enc.EncodeString(s.GetMessage()),
		enc.EncodeArrayLen(2 * len(details)),
	} {
		if failure != nil {
			return failure
		}
	}
	for _, detail := range details {
		if failure := cmp.Or(enc.EncodeString(detail.GetTypeUrl()), enc.EncodeBytes(detail.GetValue())); failure != nil {
			return failure
		}
	}
	return nil
}

func decode(dec *msgpack.Decoder, _ error) (error, error) {
	code, err := dec.DecodeInt32()
	if err != nil {
		return nil, err
	}
	message, err := dec.DecodeString()
	if err != nil {
		return nil, err
	}
	details, err := decodeDetails(dec)
	return status.ErrorProto(&spb.Status{Code: code, Message: message, Details: details}), err
}

func decodeDetails(dec *msgpack.Decoder) (details []*anypb.Any, err error) {
	n, err := dec.DecodeArrayLen()
	for ; n > 0 && err == nil; n -= 2 {
		detail := new(anypb.Any)
		details = append(details, detail)
		if detail.TypeUrl, err = dec.DecodeString(); err == nil {
			detail.Value, err = dec.DecodeBytes()
		}
	}
	return details, err
}
