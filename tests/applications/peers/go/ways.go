package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"os"
)

// Opens a port for each way in which a backend is spoken to: in the clear (`shown` is nil), over TLS, and with clients' certificates.
func everyWay(chain, key, clients string, serve func(listener net.Listener, shown *tls.Config)) map[string]int {
	pair, err := tls.LoadX509KeyPair(chain, key)
	must(err)
	ports := map[string]int{}
	for _, way := range []string{"plain", "tls", "mutual"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		ports[way] = listener.Addr().(*net.TCPAddr).Port
		var shown *tls.Config
		if way != "plain" {
			shown = &tls.Config{Certificates: []tls.Certificate{pair}}
		}
		if way == "mutual" {
			shown.ClientAuth, shown.ClientCAs = tls.RequireAndVerifyClientCert, roots(clients)
		}
		go serve(listener, shown)
	}
	return ports
}

// Says the ports in one line, and stays until standard input ends.
func told(ports any) {
	json.NewEncoder(os.Stdout).Encode(map[string]any{"ports": ports})
	io.Copy(io.Discard, os.Stdin)
}
