package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

type job struct {
	Client, Do, Method, URL, Release, Say string
	Fields                                map[string]string
	Size                                  *int
	Chunked, Expect                       bool
	Sizes                                 []int
	Close                                 []any
}

type found map[string]any

// Where names under .test are; others are never asked for.
func here(ctx context.Context, network, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
}

func roots(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	must(err)
	it := x509.NewCertPool()
	it.AppendCertsFromPEM(pem)
	return it
}

func content(size int) []byte {
	return bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
}

func transport(trust *tls.Config, h2 bool) *http.Transport {
	it := &http.Transport{DialContext: here, TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: h2, ExpectContinueTimeout: 20 * time.Second, IdleConnTimeout: 2 * time.Second} // KEPT_S in clients.py
	if !h2 {
		it.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return it
}

func (it job) request(client *http.Client, method, url string) (*http.Response, *bool, error) {
	var body io.Reader
	if it.Size != nil {
		body = bytes.NewReader(content(*it.Size))
		if it.Chunked {
			body = struct{ io.Reader }{body}
		}
	}
	continued := new(bool)
	trace := &httptrace.ClientTrace{
		Got100Continue: func() { *continued = true },
		Got1xxResponse: func(int, textproto.MIMEHeader) error { return nil },
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), method, url, body)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("TE", "trailers")
	for name, value := range it.Fields {
		request.Header.Set(name, value)
	}
	if it.Expect {
		request.Header.Set("Expect", "100-continue")
	}
	response, err := client.Do(request)
	return response, continued, err
}

func (it job) ask(client *http.Client) (found, error) {
	response, continued, err := it.request(client, it.Method, it.URL)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	whole, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	fields, trailers := map[string]string{}, map[string]string{}
	for name := range response.Header {
		fields[strings.ToLower(name)] = response.Header.Get(name)
	}
	for name := range response.Trailer {
		trailers[strings.ToLower(name)] = response.Trailer.Get(name)
	}
	text, sum := "", sha256.Sum256(whole)
	if len(whole) <= 8000 {
		text = string(whole)
	}
	return found{
		"status": response.StatusCode, "protocol": strings.TrimSuffix(strings.TrimPrefix(response.Proto, "HTTP/"), ".0"),
		"fields": fields, "trailers": trailers, "length": len(whole), "sha256": hex.EncodeToString(sum[:]), "body": text,
		"continued": *continued,
	}, nil
}

func (it job) events(client *http.Client) (found, error) {
	response, _, err := it.request(client, "GET", it.URL)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	first := make([]byte, len("data: one\n\n"))
	if _, err := io.ReadFull(response.Body, first); err != nil {
		return nil, err
	}
	released, _, err := it.request(client, "GET", it.Release)
	if err != nil {
		return nil, err
	}
	released.Body.Close()
	rest, err := io.ReadAll(response.Body)
	return found{"first": string(first), "rest": string(rest)}, err
}

func (it job) talk(trust *tls.Config) (found, error) {
	dialer := websocket.Dialer{NetDialContext: here, TLSClientConfig: trust.Clone()}
	conn, _, err := dialer.Dial(it.URL, nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	echoed := []int{}
	for _, size := range it.Sizes {
		conn.WriteMessage(websocket.BinaryMessage, content(size))
		_, data, err := conn.ReadMessage()
		if err != nil {
			return nil, err
		}
		echoed = append(echoed, len(data))
	}
	conn.WriteMessage(websocket.TextMessage, []byte(it.Say))
	_, said, err := conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	conn.WriteMessage(websocket.TextMessage, []byte(fmt.Sprintf("close %v %v", it.Close...)))
	_, _, err = conn.ReadMessage()
	if closed, ok := err.(*websocket.CloseError); ok {
		return found{"echoed": echoed, "said": string(said), "closed": []any{closed.Code, closed.Text}}, nil
	}
	return nil, err
}

func ask(ca string) {
	trust := &tls.Config{RootCAs: roots(ca)}
	clients := map[string]*http.Client{
		"go-h1": {Transport: transport(trust, false), Timeout: 60 * time.Second},
		"go-h2": {Transport: transport(trust, true), Timeout: 60 * time.Second},
	}
	out := json.NewEncoder(os.Stdout)
	must(out.Encode(found{"ready": true}))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var it job
		must(json.Unmarshal(lines.Bytes(), &it))
		var said found
		var err error
		switch {
		case it.Do == "talk":
			said, err = it.talk(trust)
		case it.Do == "events":
			said, err = it.events(clients[it.Client])
		default:
			said, err = it.ask(clients[it.Client])
		}
		if err != nil {
			said = found{"failed": err.Error()}
		}
		must(out.Encode(said))
	}
}
