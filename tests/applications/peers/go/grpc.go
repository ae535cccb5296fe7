package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// Messages are bytes on both sides: no generated code.
type plainBytes struct{}

func (plainBytes) Name() string { return "proto" }

func (plainBytes) Marshal(it any) ([]byte, error) { return *it.(*[]byte), nil }

func (plainBytes) Unmarshal(data []byte, it any) error {
	*it.(*[]byte) = append([]byte{}, data...)
	return nil
}

// How many connections a server was given.
type counted struct{ connections atomic.Int64 }

func (it *counted) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (it *counted) HandleRPC(context.Context, stats.RPCStats)                         {}
func (it *counted) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (it *counted) HandleConn(_ context.Context, told stats.ConnStats) {
	if _, begins := told.(*stats.ConnBegin); begins {
		it.connections.Add(1)
	}
}

var (
	counts    counted
	cancelled = make(chan struct{}, 1000)
)

// What each method does is told in `test_grpc.py`.
func called(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var said []byte
	switch path.Base(method) {
	case "Join":
		var all [][]byte
		for {
			if err := stream.RecvMsg(&said); err == io.EOF {
				break
			} else if err != nil {
				return err
			}
			all = append(all, said)
		}
		said = bytes.Join(all, []byte(","))
		return stream.SendMsg(&said)
	case "Talk":
		for {
			if err := stream.RecvMsg(&said); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(&said); err != nil {
				return err
			}
		}
	}
	if err := stream.RecvMsg(&said); err != nil {
		return err
	}
	switch path.Base(method) {
	case "One":
		said = bytes.ToUpper(said)
		return stream.SendMsg(&said)
	case "Many":
		for _, letter := range said {
			one := []byte{letter}
			if err := stream.SendMsg(&one); err != nil {
				return err
			}
		}
		return nil
	case "Details":
		stream.SetTrailer(metadata.Pairs("x-request-id", "mine"))
		field := &errdetails.BadRequest_FieldViolation{Field: "größe", Description: strings.Repeat("too large; ", 200)}
		refused := status.New(codes.InvalidArgument, "größer als erlaubt: 100 %")
		refused, err := refused.WithDetails(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{field}})
		must(err)
		return refused.Err()
	case "Wait":
		<-stream.Context().Done()
		cancelled <- struct{}{}
		return stream.Context().Err()
	case "Cancelled":
		select {
		case <-cancelled:
		case <-stream.Context().Done():
		}
		return stream.SendMsg(&said)
	case "Back":
		sent, _ := metadata.FromIncomingContext(stream.Context())
		mine := metadata.MD{"x-mine": sent["x-mine"], "x-mine-bin": sent["x-mine-bin"]}
		stream.SetHeader(mine)
		stream.SetTrailer(mine)
		said = []byte("ok")
		return stream.SendMsg(&said)
	case "Connections":
		said = []byte(fmt.Sprint(counts.connections.Load()))
		return stream.SendMsg(&said)
	}
	return status.Error(codes.Unimplemented, method)
}

// A server that ends its connections, gracefully, after `age`.
func grpcServe(chain, key, clients, age string) {
	each, err := time.ParseDuration(age)
	must(err)
	told(everyWay(chain, key, clients, func(listener net.Listener, shown *tls.Config) {
		options := []grpc.ServerOption{
			grpc.UnknownServiceHandler(called), grpc.ForceServerCodec(plainBytes{}), grpc.StatsHandler(&counts),
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: each, MaxConnectionAgeGrace: time.Minute}),
		}
		if shown != nil {
			options = append(options, grpc.Creds(credentials.NewTLS(shown)))
		}
		grpc.NewServer(options...).Serve(listener)
	}))
}
