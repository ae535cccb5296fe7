package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type calls struct {
	Do, Name string
	Port     int
	Sizes    []int
	Workers  int
	Calls    int64
	AtLeast  int
}

var both = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

// Sends messages of the sizes and gives the sizes of what came: `turns` has each answered before the next is sent.
func (it calls) stream(ctx context.Context, conn *grpc.ClientConn, method string, turns bool) (found, error) {
	stream, err := conn.NewStream(ctx, both, method)
	if err != nil {
		return nil, err
	}
	came, said := []int{}, []byte(nil)
	for _, size := range it.Sizes {
		sent := content(size)
		if err := stream.SendMsg(&sent); err != nil {
			return nil, err
		}
		if turns {
			if err := stream.RecvMsg(&said); err != nil {
				return nil, err
			}
			if !bytes.Equal(said, sent) {
				return nil, fmt.Errorf("another message of %d bytes", len(said))
			}
			came = append(came, len(said))
		}
	}
	stream.CloseSend()
	for {
		err := stream.RecvMsg(&said)
		if err == io.EOF {
			return found{"sizes": came}, nil
		}
		if err != nil {
			return nil, err
		}
		came = append(came, len(said))
	}
}

// Calls from many workers at once, until there were enough of them and they took long enough.
func (it calls) storm(conn *grpc.ClientConn) (found, error) {
	var begun, right atomic.Int64
	var failed atomic.Value
	var all sync.WaitGroup
	ends := time.Now().Add(time.Duration(it.AtLeast) * time.Millisecond)
	for n := 0; n < it.Workers; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				number := begun.Add(1)
				if number > it.Calls && time.Now().After(ends) {
					begun.Add(-1)
					return
				}
				ctx, end := context.WithTimeout(context.Background(), time.Minute)
				sent, said := []byte(fmt.Sprintf("call %d", number)), []byte(nil)
				err := conn.Invoke(ctx, "/pkg.Echo/One", &sent, &said)
				end()
				if err == nil && bytes.Equal(said, bytes.ToUpper(sent)) {
					right.Add(1)
				} else if err != nil {
					failed.Store(err.Error())
				}
			}
		}()
	}
	all.Wait()
	first, _ := failed.Load().(string)
	return found{"calls": begun.Load(), "right": right.Load(), "error": first}, nil
}

func (it calls) call(conn *grpc.ClientConn) (found, error) {
	ctx, end := context.WithTimeout(context.Background(), time.Minute)
	defer end()
	nothing, said := []byte{}, []byte(nil)
	switch it.Do {
	case "one":
		came := []int{}
		for _, size := range it.Sizes {
			sent := content(size)
			if err := conn.Invoke(ctx, "/pkg.Echo/One", &sent, &said); err != nil {
				return nil, err
			}
			if !bytes.Equal(said, bytes.ToUpper(sent)) {
				return nil, fmt.Errorf("another message of %d bytes", len(said))
			}
			came = append(came, len(said))
		}
		return found{"sizes": came}, nil
	case "join":
		return it.stream(ctx, conn, "/pkg.Echo/Join", false)
	case "many":
		return it.stream(ctx, conn, "/pkg.Echo/Many", false)
	case "talk":
		return it.stream(ctx, conn, "/pkg.Echo/Talk", true)
	case "details":
		var trailer metadata.MD
		told := status.Convert(conn.Invoke(ctx, "/pkg.Echo/Details", &nothing, &said, grpc.Trailer(&trailer)))
		fields := []string{}
		for _, detail := range told.Details() {
			if bad, ok := detail.(*errdetails.BadRequest); ok {
				fields = append(fields, bad.FieldViolations[0].Field, fmt.Sprint(len(bad.FieldViolations[0].Description)))
			}
		}
		return found{"code": told.Code().String(), "message": told.Message(), "details": fields, "trailer": trailer["x-request-id"]}, nil
	case "deadline":
		short, end := context.WithTimeout(ctx, 500*time.Millisecond)
		defer end()
		err := conn.Invoke(short, "/pkg.Echo/Wait", &nothing, &said)
		return found{"code": status.Code(err).String()}, nil
	case "back":
		all := string(content(256))
		ctx = metadata.AppendToOutgoingContext(ctx, "x-mine", "text", "x-mine-bin", all)
		var header, trailer metadata.MD
		err := conn.Invoke(ctx, "/pkg.Echo/Back", &nothing, &said, grpc.Header(&header), grpc.Trailer(&trailer))
		same := true
		for _, came := range []metadata.MD{header, trailer} {
			same = same && len(came["x-mine"]) == 1 && came["x-mine"][0] == "text" && len(came["x-mine-bin"]) == 1 && came["x-mine-bin"][0] == all
		}
		return found{"same": same, "said": string(said)}, err
	case "storm":
		return it.storm(conn)
	}
	err := conn.Invoke(ctx, "/pkg.Echo/"+it.Do, &nothing, &said)
	return found{"said": string(said)}, err
}

func grpcAsk(ca string) {
	opened := map[string]*grpc.ClientConn{}
	out := json.NewEncoder(os.Stdout)
	must(out.Encode(found{"ready": true}))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var it calls
		must(json.Unmarshal(lines.Bytes(), &it))
		at := fmt.Sprintf("%s:%d", it.Name, it.Port)
		if opened[at] == nil {
			trust := credentials.NewTLS(&tls.Config{RootCAs: roots(ca), ServerName: it.Name})
			conn, err := grpc.Dial(fmt.Sprintf("passthrough:///127.0.0.1:%d", it.Port),
				grpc.WithTransportCredentials(trust), grpc.WithDefaultCallOptions(grpc.ForceCodec(plainBytes{})))
			must(err)
			opened[at] = conn
		}
		said, err := it.call(opened[at])
		if err != nil {
			said = found{"failed": err.Error()}
		}
		must(out.Encode(said))
	}
}
