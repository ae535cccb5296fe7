package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

var (
	upgrader = websocket.Upgrader{}
	mutex    sync.Mutex
	waiting  = map[string]chan struct{}{}
)

func released(name string) chan struct{} {
	mutex.Lock()
	defer mutex.Unlock()
	if waiting[name] == nil {
		waiting[name] = make(chan struct{})
	}
	return waiting[name]
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ws" {
		talk(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	switch r.URL.Path {
	case "/echo":
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	case "/nothing":
		w.WriteHeader(204)
	case "/same":
		w.Header().Set("ETag", `"it"`)
		w.WriteHeader(304)
	case "/pieces":
		w.Header().Set("Trailer", "X-Sum")
		for _, letter := range "abcd" {
			io.WriteString(w, strings.Repeat(string(letter), 1000))
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-Sum", "whole")
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: one\n\n")
		w.(http.Flusher).Flush()
		<-released(r.URL.RawQuery)
		io.WriteString(w, "data: two\n\n")
	case "/release":
		close(released(r.URL.RawQuery))
		io.WriteString(w, "ok")
	default:
		fields := [][2]string{{"host", r.Host}}
		for name, values := range r.Header {
			for _, value := range values {
				fields = append(fields, [2]string{name, value})
			}
		}
		sum := sha256.Sum256(body)
		said, _ := json.Marshal(map[string]any{
			"method": r.Method, "target": r.RequestURI, "protocol": strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"),
			"length": len(body), "sha256": hex.EncodeToString(sum[:]), "fields": fields, "trailers": r.Trailer,
		})
		w.Header().Set("Content-Length", strconv.Itoa(len(said)))
		w.Write(said)
	}
}

func talk(w http.ResponseWriter, r *http.Request) {
	it, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer it.Close()
	for {
		kind, data, err := it.ReadMessage()
		if err != nil {
			return
		}
		if words := strings.SplitN(string(data), " ", 3); kind == websocket.TextMessage && words[0] == "close" {
			code, _ := strconv.Atoi(words[1])
			it.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, words[2]))
			it.ReadMessage()
			return
		}
		if it.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func serve(chain, key, clients string) {
	ports := everyWay(chain, key, clients, func(listener net.Listener, shown *tls.Config) {
		server := &http.Server{Handler: http.HandlerFunc(answer), TLSConfig: shown, ErrorLog: log.New(io.Discard, "", 0)}
		if shown == nil {
			server.Handler = h2c.NewHandler(server.Handler, &http2.Server{})
			server.Serve(listener)
		} else {
			server.ServeTLS(listener, "", "")
		}
	})
	told(map[string]any{"go": ports})
}
