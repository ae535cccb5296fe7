package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/moby/spdystream"
)

// What a daemon of containers does with a request to run something: it reads what to run, takes the connection out of HTTP,
// and what follows is the program's input and output. `/tcp` is Docker's way, `/spdy` that of Kubernetes.
func run(w http.ResponseWriter, r *http.Request) {
	what, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	protocol := r.Header.Get("Upgrade")
	if r.Header.Get("Connection") != "Upgrade" || protocol == "" {
		http.Error(w, "nothing was asked to switch to", 400)
		return
	}
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	if protocol == "tcp" {
		defer conn.Close()
		program(buffered, conn, what)
		return
	}
	it, err := spdystream.NewConnection(conn, true)
	if err != nil {
		return
	}
	it.Serve(func(stream *spdystream.Stream) {
		stream.SendReply(http.Header{}, false)
		go func() {
			program(stream, stream, what)
			stream.Close()
		}()
	})
}

// It tells nothing before its input is at its end, which is only half of the connection's.
func program(in io.Reader, out io.Writer, what []byte) {
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err == nil {
		fmt.Fprintf(out, "%s %d %s", what, n, hex.EncodeToString(sum.Sum(nil)))
	}
}

func runs(chain, key, clients string) {
	told(everyWay(chain, key, clients, func(listener net.Listener, shown *tls.Config) {
		server := &http.Server{Handler: http.HandlerFunc(run), TLSConfig: shown, ErrorLog: log.New(io.Discard, "", 0)}
		if shown == nil {
			server.Serve(listener)
		} else {
			server.ServeTLS(listener, "", "")
		}
	}))
}

// Runs `what` with that many bytes of input, as the clients of both do; says what it told.
func exec(ca, at, protocol, what string, n int) {
	where, err := url.Parse(at)
	must(err)
	conn, err := tls.Dial("tcp", "127.0.0.1:"+where.Port(), &tls.Config{RootCAs: roots(ca), ServerName: where.Hostname(), NextProtos: []string{"http/1.1"}})
	must(err)
	request, err := http.NewRequest("POST", at, strings.NewReader(what))
	must(err)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", protocol)
	must(request.Write(conn))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	must(err)
	found := map[string]any{"status": response.StatusCode, "upgrade": response.Header.Get("Upgrade")}
	input := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	if response.StatusCode == 101 {
		found["told"] = talked(conn, reader, protocol, input)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func talked(conn *tls.Conn, reader *bufio.Reader, protocol string, input []byte) string {
	if protocol == "tcp" {
		_, err := conn.Write(input)
		must(err)
		must(conn.CloseWrite())
		told, err := io.ReadAll(reader)
		must(err)
		return string(told)
	}
	it, err := spdystream.NewConnection(conn, false)
	must(err)
	go it.Serve(spdystream.NoOpStreamHandler)
	stream, err := it.CreateStream(http.Header{}, nil, false)
	must(err)
	must(stream.Wait())
	_, err = stream.Write(input)
	must(err)
	must(stream.Close())
	told, err := io.ReadAll(stream)
	must(err)
	return string(told)
}
