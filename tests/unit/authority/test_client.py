"""What an authority says is taken whole or not at all: whoever cuts a connection takes nothing out of an answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from everyhop.authority import Authority, client
from everyhop.authority.acts import LISTS, ROOTS
from everyhop.authority.client import asked, enroll, published, renew, verified
from everyhop.authority.enrolment import Token, invite
from everyhop.authority.names import named
from everyhop.authority.server import Server
from everyhop.errors import Declined, Surroundings
from everyhop.identity import names_of
from tests.unit.authority.test_enrolment import DAY

Own = Callable[..., Authority]
HOST = "127.0.0.1"
HEAD = "HTTP/1.0 {} OK\r\nContent-Type: application/x-pem-file\r\n{}\r\n"


@pytest.fixture
def own_at(own: Own) -> Authority:
    return own(networks=("127.0.0.0/8",))


@contextlib.contextmanager
def answering(it: Authority, answers: dict[str, bytes], *, says_the_end: bool) -> Iterator[int]:
    """A server that the authority certified; what it answers, by path. `says_the_end`: of the TLS session, not of TCP alone."""
    issued = it.issue([named(HOST)], "server", DAY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with os.fdopen(os.memfd_create("own", os.MFD_CLOEXEC), "wb") as file:
        file.write(issued.chain_pem + (issued.key_pem or b""))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    with sock, contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
                        path = tls.recv(65536).split()[1].decode()
                        tls.sendall(answers[path])
                        if says_the_end:
                            tls.unwrap()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def whole(data: bytes, length: int | None = None) -> bytes:
    return HEAD.format(200, f"Content-Length: {len(data) if length is None else length}\r\n").encode() + data


def files(it: Authority) -> tuple[bytes, bytes]:
    return (it.at / ROOTS).read_bytes(), (it.at / LISTS).read_bytes()


@pytest.mark.parametrize("says_the_end", [True, False])
def test_roots_and_lists_are_taken_as_the_authority_has_them_and_none_that_were_cut_short(
    own_at: Authority, says_the_end: bool
) -> None:
    roots, lists = files(own_at)
    first = lists.index(b"-----END X509 CRL-----\n") + len(b"-----END X509 CRL-----\n")
    assert 0 < first < len(lists)
    given = {"/roots": whole(roots), "/lists": whole(lists)}
    with answering(own_at, given, says_the_end=says_the_end) as port:
        assert published(roots, HOST, port) == (roots, lists)
        # At the end of one list, in the midst of the next, before the last byte, and before the first.
        for cut in (first, first + 100, len(lists) - 1, 0):
            given["/lists"] = whole(lists[:cut], len(lists))
            with pytest.raises(Surroundings, match="was cut short"):
                published(roots, HOST, port)
        given |= {"/lists": whole(lists), "/roots": whole(roots[:-1], len(roots) + len(roots))}
        with pytest.raises(Surroundings, match="was cut short"):
            published(roots, HOST, port)


def test_an_answer_that_says_nothing_of_its_length_or_is_too_long_is_none(
    own_at: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its end is the connection's, whoever ends that decides what was said."""
    roots, _ = files(own_at)
    given = {"/roots": HEAD.format(200, "").encode() + roots}
    with answering(own_at, given, says_the_end=True) as port:
        context = verified(roots)
        with pytest.raises(Surroundings, match="does not say how long its answer is"):
            asked(context, HOST, port, "GET", "/roots")
        given["/roots"] = whole(roots)
        for most, is_taken in ((len(roots), True), (len(roots) - 1, False)):
            monkeypatch.setattr(client, "MOST_BYTES", most)
            if is_taken:
                assert asked(context, HOST, port, "GET", "/roots") == roots
                continue
            with pytest.raises(Surroundings, match=f"more than {most} bytes"):
                asked(context, HOST, port, "GET", "/roots")


def test_what_is_no_200_is_told_with_its_reason(own_at: Authority) -> None:
    roots, _ = files(own_at)
    body = json.dumps({"why": "it is late"}).encode()
    for code, data, why in ((403, body, "answered 403: it is late"), (503, b"[]", "and did not say why")):
        given = {"/roots": HEAD.format(code, f"Content-Length: {len(data)}\r\n").encode() + data}
        with answering(own_at, given, says_the_end=True) as port, pytest.raises(Declined, match=why):
            asked(verified(roots), HOST, port, "GET", "/roots")


@contextlib.contextmanager
def serving(it: Authority) -> Iterator[int]:
    """The authority itself."""
    with Server(it.at, (HOST, 0), [named(HOST)], lambda _: None) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(30)


def test_a_token_becomes_a_certificate_with_its_key_and_that_another_of_itself(
    own_at: Authority, tmp_path: Path
) -> None:
    token = invite(own_at, [named("a.corp.example")], "both", DAY, DAY)
    with serving(own_at) as port:
        first = enroll(token, HOST, port)
        leaf = x509.load_pem_x509_certificates(first.chain_pem)[0]
        assert load_pem_private_key(first.key_pem, None).public_key() == leaf.public_key()
        assert (first.roots_pem, first.lists_pem) == files(own_at) and "BEGIN" not in repr(first)
        with pytest.raises(Declined, match="answered 403"):
            enroll(token, HOST, port)
        for name, pem in (("chain", first.chain_pem), ("key", first.key_pem)):
            (tmp_path / name).write_bytes(pem)
        second = renew(first.roots_pem, tmp_path / "chain", tmp_path / "key", HOST, port)
        assert second.key_pem != first.key_pem and names_of(x509.load_pem_x509_certificates(second.chain_pem)[0]) == (
            "a.corp.example",
        )
    (tmp_path / "key").write_bytes(second.key_pem)
    with pytest.raises(Surroundings, match="are no pair that can be shown"):
        renew(first.roots_pem, tmp_path / "chain", tmp_path / "key", HOST, port)
    with pytest.raises(Surroundings, match="did not answer"):
        published(first.roots_pem, HOST, port)


def test_a_token_is_shown_to_nobody_but_whom_its_root_certified(own_at: Authority, own: Own) -> None:
    other = own(networks=("127.0.0.0/8",), folder="other")
    token = invite(other, [named("a.corp.example")], "both", DAY, DAY)
    with serving(own_at) as port, pytest.raises(Surroundings, match="is not the authority that the token is of"):
        enroll(token, HOST, port)
    # Whoever gives out the right root and shows a certificate of another is told nothing either.
    with (
        answering(own_at, {"/roots": whole(files(other)[0])}, says_the_end=True) as port,
        pytest.raises(Surroundings, match="is not believed"),
    ):
        enroll(token, HOST, port)
    with (
        answering(own_at, {"/roots": whole(b"nonsense")}, says_the_end=True) as port,
        pytest.raises(Surroundings, match="nothing was said to it"),
    ):
        enroll(token, HOST, port)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (lambda it: {}, "gave no certificate that can be read"),
        (lambda it: [], "gave no certificate that can be read"),
        (lambda it: {"chain": "nonsense", "roots": it, "lists": it}, "gave no certificate that can be read"),
        (lambda it: {"chain": it, "roots": "nonsense", "lists": it}, "gave no certificate that can be read"),
        (lambda it: {"chain": it, "roots": it, "lists": it}, "gave a certificate of another key"),
    ],
    ids=["nothing", "a list", "no chain", "no roots", "another's"],
)
def test_what_is_no_certificate_of_the_key_that_was_made_is_not_kept(
    own_at: Authority, told: Callable[[str], object], why: str
) -> None:
    roots = files(own_at)[0]
    body = json.dumps(told(roots.decode())).encode()
    with answering(own_at, {"/enrol": whole(body)}, says_the_end=True) as port, pytest.raises(Surroundings, match=why):
        client.given(verified(roots), HOST, port, "/enrol", {})


@pytest.mark.parametrize(
    "spoiled", [b"", b"nonsense", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_an_authority_is_not_asked_by_roots_that_cannot_be_read(spoiled: bytes, tmp_path: Path) -> None:
    """It was an error of ours, by which an edge's renewals ended."""
    for act in (
        lambda: published(spoiled, HOST, 1),
        lambda: renew(spoiled, tmp_path / "chain", tmp_path / "key", HOST, 1),
    ):
        with pytest.raises(Surroundings, match="cannot be read; nothing was said to it"):
            act()


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.test"])
def test_a_name_that_no_host_has_is_told_as_one_that_did_not_answer(host: str) -> None:
    """It was an error of ours."""
    with pytest.raises(Surroundings, match=f"^{host}:1 did not answer: .*label"):
        enroll(Token(bytes(32), bytes(32)), host, 1)


def test_roots_that_cannot_be_read_are_not_kept(own_at: Authority) -> None:
    roots, lists = files(own_at)
    given = {"/roots": whole(b"nonsense"), "/lists": whole(lists)}
    with answering(own_at, given, says_the_end=True) as port, pytest.raises(Surroundings, match="gave no roots"):
        published(roots, HOST, port)


def test_who_is_not_of_those_roots_is_not_asked(own_at: Authority, own: Own) -> None:
    other = own(folder="other")
    with answering(own_at, {}, says_the_end=True) as port, pytest.raises(Surroundings, match="is not believed"):
        published(files(other)[0], HOST, port)
