"""`everyhop ca serve`: a certificate for a token, once; another for the certificate; and nothing for anybody else, whatever they send."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.authority.enrolment import Token, token_of
from everyhop.authority.server import FAILURES, OF_ONE
from everyhop.demo.certificates import Leaf
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import alone, saved
from tests.kit.nursery import everyhop
from tests.kit.own_ca import OwnCa, Served
from tests.kit.raw import OK, answering, server_context
from tests.unit.authority.test_enrolment import csr

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
NAME = "spiffe://corp.example/edge"
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example", "--network", "127.0.0.0/8")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


@pytest.fixture
def served(own: OwnCa) -> Iterator[Served]:
    it = own.served()
    yield it
    assert it.stop() == 0


def enrolled(own: OwnCa, served: Served, out: Path, *names: str) -> subprocess.CompletedProcess[str]:
    token = own.does("token", *(names or [NAME])).strip()
    return everyhop("ca", "enroll", f"{token}@127.0.0.1:{served.port}", "--out", str(out))


def serial(chain: Path) -> str:
    return f"{x509.load_pem_x509_certificates(chain.read_bytes())[0].serial_number:X}"


def test_an_edge_gets_its_identity_by_a_token_and_its_next_one_by_that(
    edge: Edges, raw: Raws, own: OwnCa, served: Served, tmp_path: Path
) -> None:
    """And backends that ask for one of the authority believe both."""
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for out, name in ((mine, NAME), (theirs, "backend.corp.example")):
        out.mkdir()
        done = enrolled(own, served, out, name)
        assert done.returncode == 0, done.stderr
        assert (out / "identity.key").stat().st_mode & 0o777 == 0o600
        assert (out / "roots.pem").read_bytes() == own.roots.read_bytes()
    shown: list[str] = []

    def serve(sock: socket.socket, record: object) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        shown.append(str((sock.getpeercert() or {})["serialNumber"]))
        answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))(sock, record)  # type: ignore[arg-type]

    backend = raw(serve, Leaf(theirs / "identity.pem", theirs / "identity.key"), clients=theirs / "roots.pem")
    identity = f'[[identity]]\nname = "own"\nchain = "{mine}/identity.pem"\nkey = "file:{mine}/identity.key"\n'
    verify = f'verify = {{ ca = "{mine}/roots.pem", name = "backend.corp.example", crl = "{mine}/crl.pem" }}'
    route = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "own"\n'
    it = edge(f'{route}to = ["127.0.0.1:{backend.port}"]\n{verify}\n', more=identity)
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    first = serial(mine / "identity.pem")
    assert int(shown[-1], 16) == int(first, 16)
    assert "not due before" in everyhop("ca", "renew", str(mine), "--if-due").stdout
    done = everyhop("ca", "renew", str(mine))
    assert done.returncode == 0, done.stderr
    assert serial(mine / "identity.pem") != first

    def is_shown() -> bool:
        with tls(it.port, "a.test", it.pki.public.file, kept=False) as sock:
            assert exchange(sock, GET).status == 200
        return int(shown[-1], 16) == int(serial(mine / "identity.pem"), 16)

    until(is_shown)
    names = [one["names"] for one in own.list()["certificates"]]
    assert names.count([NAME]) == 2


def on_a_full_disk(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "everyhop", *words],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_is_asked_where_what_would_be_given_cannot_be_kept(own: OwnCa, served: Served, tmp_path: Path) -> None:
    """The token stays good, and a renewal that cannot be kept is no certificate of the authority's."""
    (out := tmp_path / "out").mkdir()
    where = f"{own.does('token', NAME).strip()}@127.0.0.1:{served.port}"
    for done in (
        everyhop("ca", "enroll", where, "--out", "/proc/self"),
        on_a_full_disk("ca", "enroll", where, "--out", str(out)),
    ):
        assert done.returncode == 4, done.stderr
        assert "cannot write in /" in done.stderr and "nothing was asked" in done.stderr
    assert list(out.iterdir()) == []
    done = everyhop("ca", "enroll", where, "--out", str(out))
    assert done.returncode == 0, done.stderr
    before = {it.name: it.read_bytes() for it in out.iterdir()}
    done = on_a_full_disk("ca", "renew", str(out))
    assert done.returncode == 4 and "nothing was asked" in done.stderr, done.stderr
    assert {it.name: it.read_bytes() for it in out.iterdir()} == before
    assert [one["names"] for one in own.list()["certificates"]].count([NAME]) == 1


def test_fifty_that_show_one_token_at_once_over_the_network_are_given_one_certificate(
    own: OwnCa, served: Served, tmp_path: Path
) -> None:
    """K01. Each is answered: who found no room, or too many failures, asks again by itself no more."""
    token = own.does("token", NAME).strip()
    command = [sys.executable, "-m", "everyhop", "ca", "enroll", f"{token}@127.0.0.1:{served.port}", "--out"]
    outs = [tmp_path / f"{n}" for n in range(50)]
    running = []
    for out in outs:
        out.mkdir()
        running.append(
            subprocess.Popen([*command, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    ends = [(it.communicate(timeout=300), it.returncode) for it in running]
    assert sum(code == 0 for _, code in ends) == 1, ends
    assert sum((out / "identity.pem").exists() for out in outs) == 1
    assert [one["names"] for one in own.list()["certificates"]].count([NAME]) == 1
    assert "Traceback" not in "".join(err for (_, err), _ in ends)


def test_a_token_that_is_used_guessed_or_for_elsewhere_gets_nothing_and_the_same_words(
    own: OwnCa, served: Served, tmp_path: Path
) -> None:
    """K01. And after a few such tries nobody of that address is listened to for a while."""
    at = f"@127.0.0.1:{served.port}"
    used = own.does("token", NAME).strip()
    assert everyhop("ca", "enroll", "-", "--out", str(tmp_path), given=f"{used}{at}\n").returncode == 0
    root = token_of(used).root_sha256
    told = []
    for text in (used, str(Token(os.urandom(32), root))):
        done = everyhop("ca", "enroll", f"{text}{at}", "--out", str(tmp_path))
        assert done.returncode == 1
        told.append(done.stderr)
    assert told[0] == told[1] and "403" in told[0]
    (tmp_path / "late").mkdir()
    good = own.does("token", NAME).strip()
    for _ in range(FAILURES - 2):
        assert asked(own, served, Token(os.urandom(32), root)) == 403
    done = everyhop("ca", "enroll", f"{good}{at}", "--out", str(tmp_path / "late"))
    assert done.returncode == 1 and "429" in done.stderr
    assert [one["names"] for one in own.list()["certificates"]].count([NAME]) == 1


def asked(own: OwnCa, served: Served, token: Token) -> int:
    body = csr().public_bytes(Encoding.PEM)
    shown = str(token).split(".")[1] + "="
    head = f"POST /enrol HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {shown}\r\nContent-Length: {len(body)}\r\n\r\n"
    with tls(served.port, "127.0.0.1", own.roots, kept=False) as sock:
        return exchange(sock, head.encode() + body).status


def test_whoever_stands_in_between_hears_no_token(own: OwnCa, raw: Raws, tmp_path: Path) -> None:
    """It has no root that the token means; nor does it get by with that root and a certificate of another."""
    token = own.does("token", NAME).strip()
    pretends = alone("127.0.0.1", names=["127.0.0.1"])
    answers = iter([own.roots.read_bytes(), own.roots.read_bytes()])

    def serve(sock: socket.socket, record: object) -> None:
        with contextlib.suppress(OSError):
            record.take(sock, 65536)  # type: ignore[attr-defined]
            data = next(answers)
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    false = raw(serve, saved(tmp_path, "false", pretends, pretends))
    done = everyhop("ca", "enroll", f"{token}@127.0.0.1:{false.port}", "--out", str(tmp_path))
    assert done.returncode == 4 and "is not believed" in done.stderr, done.stderr
    other = Token(token_of(token).secret, os.urandom(32))
    done = everyhop("ca", "enroll", f"{other}@127.0.0.1:{false.port}", "--out", str(tmp_path))
    assert done.returncode == 4 and "is not the authority that the token is of" in done.stderr
    of_another = own.leaf(tmp_path / "b", "b.corp.example")
    false.context = server_context(of_another)
    answers = iter([own.roots.read_bytes()])
    done = everyhop("ca", "enroll", f"{token}@127.0.0.1:{false.port}", "--out", str(tmp_path))
    assert done.returncode == 4 and "is not believed" in done.stderr, done.stderr
    secret = token.split(".")[1].encode()
    assert all(secret not in bytes(record) for record in false.records)
    assert not (tmp_path / "identity.key").exists()


def test_a_certificate_that_was_taken_back_or_is_anothers_renews_nothing(
    own: OwnCa, served: Served, tmp_path: Path
) -> None:
    assert enrolled(own, served, tmp_path).returncode == 0
    own.does("revoke", serial(tmp_path / "identity.pem"))
    done = everyhop("ca", "renew", str(tmp_path))
    assert done.returncode == 1 and "403" in done.stderr, done.stderr
    stranger = alone("edge", names=[NAME])
    saved(tmp_path, "identity", stranger, stranger)
    done = everyhop("ca", "renew", str(tmp_path))
    assert done.returncode == 4, done.stderr
    assert len([1 for one in own.list()["certificates"] if one["names"] == [NAME]]) == 1


def test_anybody_gets_roots_and_lists_and_nothing_else(own: OwnCa, served: Served) -> None:
    for path, file in (("/roots", "roots.pem"), ("/lists", "crl.pem")):
        with tls(served.port, "127.0.0.1", own.roots) as sock:
            answer = exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (answer.status, answer.body) == (200, (own.at / file).read_bytes())
    for request, status in {
        "GET /../authority.json HTTP/1.1\r\n\r\n": 404,
        "GET /1/issuing.key HTTP/1.1\r\n\r\n": 404,
        "POST /roots HTTP/1.1\r\n\r\n": 404,
        "DELETE /roots HTTP/1.1\r\n\r\n": 501,
        "POST /enrol HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n": 400,
        "POST /enrol HTTP/1.1\r\nContent-Length: -1\r\n\r\n": 400,
        "POST /renew HTTP/1.1\r\nContent-Length: 0\r\n\r\n": 403,
        f"GET /{'a' * 70000} HTTP/1.1\r\n\r\n": 414,
        "GET /roots HTTP/9.9.9\r\n\r\n": 400,
    }.items():
        with tls(served.port, "127.0.0.1", own.roots, kept=False) as sock:
            assert exchange(sock, request).status == status, request[:60]


def test_connections_that_say_nothing_hold_nobody_else_up(own: OwnCa, served: Served) -> None:
    """Of one address a few find room; once they are gone, there is room again."""
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(OF_ONE + 4)]
    until(lambda: sum(is_closed(it) for it in idle) >= 4)
    assert sum(is_closed(it) for it in idle) == 4
    for it in idle:
        it.close()

    def answered() -> bool:
        with contextlib.suppress(OSError):
            with tls(served.port, "127.0.0.1", own.roots, kept=False) as sock:
                return exchange(sock, "GET /roots HTTP/1.1\r\n\r\n").status == 200
        return False

    until(answered)


def is_closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_new_root_is_taken_into_use_by_who_serves_and_those_who_renew_get_it(
    own: OwnCa, served: Served, tmp_path: Path
) -> None:
    """K04: both are trusted in the overlap, and a renewal on each side of every step succeeds."""
    assert enrolled(own, served, tmp_path).returncode == 0

    def renewed() -> None:
        done = everyhop("ca", "renew", str(tmp_path))
        assert done.returncode == 0, done.stderr

    own.does("rotate", "--passphrase-file", str(own.passphrase))
    renewed()
    assert (tmp_path / "roots.pem").read_text().count("BEGIN CERT") == 2
    own.does("rotate", "--activate")
    renewed()
    (_, issuer) = x509.load_pem_x509_certificates((tmp_path / "identity.pem").read_bytes())
    assert issuer.subject.rfc4514_string() == "CN=corp.example issuing 2"
    own.does("rotate", "--retire", "--force")
    renewed()
    assert (tmp_path / "roots.pem").read_text().count("BEGIN CERT") == 1
    renewed()


def test_serve_is_refused_where_nobody_could_believe_it(own: OwnCa) -> None:
    for listen, more, code, says in [
        ("0.0.0.0:0", [], 1, "outside"),
        ("127.0.0.1:0", ["--name", "ca.evil.example"], 1, "outside"),
        ("nowhere", [], 2, "is no address"),
        ("127.0.0.1:99999", [], 2, "is no address"),
    ]:
        done = own.asked("serve", "--listen", listen, *more)
        assert done.returncode == code and says in done.stderr, (listen, done.stderr)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = own.asked("serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        assert done.returncode == 4 and "cannot listen" in done.stderr, done.stderr
    assert json.loads(own.does("list", "--json"))["troubles"] == []
