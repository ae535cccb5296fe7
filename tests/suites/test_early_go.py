"""Go's client of HTTP/1 and HTTP/2 reads an answer that comes before its upload has ended. F04; read first
`tests/wire/test_early.py`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw
from tests.suites.peers import found
from tests.wire.test_early import ROUTES, SIZE, URLS, left, says_no

GO = """
package main

import ("bytes"; "context"; "crypto/tls"; "crypto/x509"; "fmt"; "net"; "net/http"; "os")

func main() {
	pem, _ := os.ReadFile(os.Args[2])
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dial := func(ctx context.Context, n, _ string) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, n, os.Args[3]) }
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: dial, ForceAttemptHTTP2: os.Args[4] == "h2"}
	r, _ := http.NewRequest("PUT", os.Args[1], bytes.NewReader(make([]byte, SIZE)))
	a, err := (&http.Client{Transport: t}).Do(r)
	if err != nil { fmt.Println(err); os.Exit(1) }
	fmt.Println(a.StatusCode)
}
""".replace("SIZE", str(SIZE))


def test_go_reads_the_answer(edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki, tmp_path: Path) -> None:
    source, program = tmp_path / "put.go", str(tmp_path / "put")
    source.write_text(GO)
    # Its standard library is compiled by the first build of a machine.
    build = [found("go"), "build", "-o", program, str(source)]
    subprocess.run(build, env={**os.environ, "GO111MODULE": "off"}, check=True, timeout=600)
    it = edge(ROUTES.format(port=raw(says_no(left)).port, nobody=free_port()))
    for version in ("h1", "h2"):
        for status, (host, path) in URLS.items():
            ask = [program, f"https://{host}:{it.port}{path}", str(pki.public.file), f"127.0.0.1:{it.port}", version]
            done = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
            assert done.stdout.strip() == status, (version, done)
