"""curl, nghttp, h2load and openssl in every pattern, judged by what nginx counted behind us."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import PATTERNS, Nginx, found, is_up

HOSTS = {"plaintext": "a.test", "reencrypt": "b.test", "mutual": "c.test", "passthrough": "pass.test"}
TERMINATING = PATTERNS[:3]
CURL = {"--http1.1": "HTTP/1.1", "--http2": "HTTP/2"}
BEHIND = {
    ("passthrough", "--http2"): "HTTP/2.0",
    ("passthrough", "--npn-list=h2"): "HTTP/2.0",
}
"""What nginx is spoken to in, where that is not HTTP/1.1: only the two ends of a passthrough agree on it."""


def curl(front: EdgeKit, host: str, path: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [found("curl"), "-sS", "--max-time", "30", "--cacert", str(front.pki.public.file)]
    command += ["--resolve", f"{host}:{front.port}:127.0.0.1", *arguments, f"https://{host}:{front.port}{path}"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def whole(nginx: Nginx, case: str, pattern: str, protocol: str, count: int = 1) -> None:
    """Exactly `count` requests of `case` arrived: there and nowhere else."""
    wanted = {(pattern, protocol): count}
    until(lambda: dict(nginx.counted(case)) == wanted, 20, lambda: f"{nginx.counted(case)} is not {wanted}")


@pytest.mark.parametrize("version", CURL)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_curl_gets_puts_and_asks_for_ranges(
    front: EdgeKit, nginx: Nginx, tmp_path: Path, pattern: str, version: str
) -> None:
    """Promise 15: what is put is what is got, whole and in part."""
    case, host = f"curl-{pattern}{version}", HOSTS[pattern]
    behind = BEHIND.get((pattern, version), "HTTP/1.1")
    body, back = tmp_path / "body", tmp_path / "back"
    body.write_bytes(os.urandom(1_500_000))
    mark, path = ("-H", f"X-Case: {case}", version), f"/files/{case}"
    told = ("-w", "%{http_version} %{http_code}", "-o", str(back))

    put = curl(front, host, path, *mark, *told, "-T", str(body))
    assert put.stdout == CURL[version].removeprefix("HTTP/").encode() + b" 201", put
    assert (nginx.files / case).read_bytes() == body.read_bytes()
    got = curl(front, host, path, *mark, *told)
    assert got.stdout.endswith(b" 200") and back.read_bytes() == body.read_bytes()
    part = curl(front, host, path, *mark, *told, "-r", "1000-1999")
    assert part.stdout.endswith(b" 206") and back.read_bytes() == body.read_bytes()[1000:2000]
    head = curl(front, host, path, *mark, "-I")
    assert b"\r\ncontent-length: 1500000\r\n" in head.stdout.lower() and not head.stderr
    back.write_bytes(body.read_bytes()[:700_000])
    resumed = curl(front, host, path, *mark, *told, "-C", "-")
    assert resumed.stdout.endswith(b" 206") and back.read_bytes() == body.read_bytes()

    whole(nginx, case, pattern, behind, 5)
    ranges = [one.byte_range for one in nginx.seen(case)]
    assert ranges == ["-", "-", "bytes=1000-1999", "-", "bytes=700000-"]
    caller = {one.caller for one in nginx.seen(case)}
    assert caller == ({"CN=edge.internal"} if pattern == "mutual" else {"-"})


@pytest.mark.parametrize("pattern", TERMINATING)
def test_http_1_0_is_served_and_its_connection_closed(front: EdgeKit, nginx: Nginx, pattern: str) -> None:
    """T10: who offers `http/1.0` by ALPN and nothing else has nothing in common with us; who offers nothing is served."""
    case = f"1.0-{pattern}"
    mark = ("--http1.0", "-i", "-H", f"X-Case: {case}")
    refused = curl(front, HOSTS[pattern], "/", *mark)
    assert b"alert no application protocol" in refused.stderr and not nginx.seen(case), refused
    served = curl(front, HOSTS[pattern], "/", *mark, "--no-alpn")
    head, _, body = served.stdout.partition(b"\r\n\r\n")
    assert re.match(rb"HTTP/1\.[01] 200 ", head) and body == b"ok", served
    assert b"\r\nconnection: close" in head.lower()
    whole(nginx, case, pattern, "HTTP/1.1")


@pytest.mark.parametrize("version", CURL)
def test_a_site_that_asks_for_certificates_serves_who_has_one(
    front: EdgeKit, nginx: Nginx, pki: Pki, version: str
) -> None:
    case = f"client{version}"
    mark = ("-H", f"X-Case: {case}", version)
    refused = curl(front, "m.test", "/", *mark)
    assert refused.returncode != 0 and not nginx.seen(case)
    shown = ("--cert", str(pki.client.chain), "--key", str(pki.client.key))
    assert curl(front, "m.test", "/", *mark, *shown).stdout == b"ok"
    whole(nginx, case, "plaintext", "HTTP/1.1")


@pytest.mark.parametrize("protocol", ["--h1", "--npn-list=h2"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_h2load_gets_an_answer_to_each_request(front: EdgeKit, nginx: Nginx, pattern: str, protocol: str) -> None:
    case = f"load-{pattern}{protocol}"
    command = [found("h2load"), protocol, "-n", "500", "-c", "10", *(["-m", "10"] if protocol != "--h1" else [])]
    # Fifty fields more than a browser sends, of which every request must bring all: HPACK on one side, text on the other.
    command += ["-H", f"X-Case: {case}", *(x for i in range(50) for x in ("-H", f"X-Field-{i}: {'v' * 50}"))]
    command += ["--connect-to", f"127.0.0.1:{front.port}", f"https://{HOSTS[pattern]}:{front.port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert f"Application protocol: {'http/1.1' if protocol == '--h1' else 'h2'}" in done.stdout
    whole(nginx, case, pattern, BEHIND.get((pattern, protocol), "HTTP/1.1"), 500)


def nghttp(front: EdgeKit, host: str, path: str, *arguments: str) -> str:
    """It takes the server's name from `:authority`, and connects to where the address says."""
    command = [found("nghttp"), "-nv", "--no-dep", *arguments, "-H", f":authority: {host}"]
    command += [f"https://127.0.0.1:{front.port}{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def test_trailers_pass_both_ways_where_the_backend_speaks_http2(
    edge: Callable[..., EdgeKit], pki: Pki, tmp_path: Path
) -> None:
    """P05: at nghttpd, which tells each frame that it receives; nginx takes no trailers of a request."""
    port = free_port()
    command = [found("nghttpd"), "-v", "-a", "127.0.0.1", "-d", str(tmp_path), "--echo-upload"]
    command += ["--trailer", "x-answered: 5678", str(port), str(pki.backend.key), str(pki.backend.chain)]
    body, said = tmp_path / "body", tmp_path / "said"
    body.write_bytes(os.urandom(200_000))
    with said.open("wb") as out, subprocess.Popen(command, stdout=out) as peer:
        try:
            until(lambda: is_up(port), 20)
            it = edge(
                f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["127.0.0.1:{port}"]\n'
                'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\nupstream_protocol = "h2"\n'
            )
            answer = nghttp(it, "a.test", "/x", "-d", str(body), "--trailer", "x-checksum: 1234")
            got = nghttp(it, "a.test", "/body")
        finally:
            peer.terminate()
    for one in (answer, got):
        lengths = re.findall(r"recv DATA frame <length=(\d+),", one)
        assert ":status: 200" in one and sum(map(int, lengths)) == 200_000, one
    assert re.search(r"recv \(stream_id=\d+\) x-answered: 5678", got), got
    assert re.search(r"recv \(stream_id=\d+\) x-checksum: 1234", said.read_text()), said.read_text()


def test_trailers_of_a_request_do_not_disturb_a_backend_of_http1(front: EdgeKit, nginx: Nginx, tmp_path: Path) -> None:
    """P05."""
    body = tmp_path / "body"
    body.write_bytes(os.urandom(200_000))
    answer = nghttp(front, "c.test", "/h", "-d", str(body), "--trailer", "x-checksum: 1", "-H", "x-case: trailers")
    assert ":status: 200" in answer, answer
    whole(nginx, "trailers", "mutual", "HTTP/1.1")


def test_many_fields_are_carried_to_the_limit_and_refused_beyond(front: EdgeKit, nginx: Nginx) -> None:
    """P03."""
    for count, status in ((90, 200), (200, 431)):
        case = f"fields-{count}"
        fields = [x for i in range(count) for x in ("-H", f"x-{i}: {i}")]
        answer = nghttp(front, "g.w.test", "/", "-H", f"x-case: {case}", *fields)
        assert f":status: {status}" in answer, answer
        if status == 200:
            until(lambda case=case: len(nginx.seen(case)) == 1)  # type: ignore[misc]
        else:
            assert not nginx.seen(case)
    assert ":status: 200" in nghttp(front, "g.w.test", "/")


def s_client(front: EdgeKit, *arguments: str, said: bytes = b"") -> str:
    command = [found("openssl"), "s_client", "-connect", f"127.0.0.1:{front.port}", "-CAfile"]
    command += [str(front.pki.public.file), "-verify_return_error", *arguments]
    done = subprocess.run(command, input=said, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("version", ["1_2", "1_3"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_openssl_shakes_hands_and_is_answered(front: EdgeKit, nginx: Nginx, pattern: str, version: str) -> None:
    case, host = f"openssl-{pattern}-{version}", HOSTS[pattern]
    ask = f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Case: {case}\r\nConnection: close\r\n\r\n"
    told = s_client(
        front, f"-tls{version}", "-servername", host, "-verify_hostname", host, "-ign_eof", said=ask.encode()
    )
    assert "Verify return code: 0 (ok)" in told and "HTTP/1.1 200 OK" in told and told.count("\nok") == 1, told
    whole(nginx, case, pattern, "HTTP/1.1")


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_openssl_resumes_a_session(front: EdgeKit, tmp_path: Path, version: str) -> None:
    kept = str(tmp_path / "session")
    ask = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    first = s_client(front, f"-tls{version}", "-servername", "a.test", "-sess_out", kept, "-ign_eof", said=ask)
    assert "\nNew, TLSv1" in first, first
    again = s_client(front, f"-tls{version}", "-servername", "a.test", "-sess_in", kept, "-ign_eof", said=ask)
    assert "\nReused, TLSv1" in again and "HTTP/1.1 200 OK" in again, again


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_a_client_that_can_verify_no_key_of_ours_gets_the_alert_for_it(front: EdgeKit, version: str) -> None:
    """T09: RFC 8446 §6.2, handshake_failure; access_denied would tell it that somebody judged who it is."""
    hello = (f"-tls{version}", "-servername", "a.test", "-sigalgs")
    assert "Verify return code: 0 (ok)" in s_client(front, *hello, "ECDSA+SHA256"), "the baseline"
    refused = s_client(front, *hello, "RSA-PSS+SHA256:RSA+SHA256")
    assert "alert handshake failure" in refused and "alert number 40" in refused, refused
    front.line(lambda x: x["sni"] == "a.test" and x["end"] == "handshake/no-common-suite")
