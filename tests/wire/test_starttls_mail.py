"""`starttls = "smtp"` and `"imap"`: servers greet once, before TLS where it is asked for, else within it; whatever each side
of the edge does, what a client hears is what its protocol has it hear, and no word of the clear gets into a session."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.raw import Record, server_context
from tests.wire.test_starttls import dial, secured
from tests.wire.test_tcp import is_end, receive, route, site

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Script = Callable[[socket.socket, Record], None]


@pytest.fixture(scope="module", autouse=True)
def leaf(pki: Pki) -> None:
    pki.public.leaf("streams", "mq.test", "db.test", "*.s.test")
    pki.public.leaf("passed", "passed.test")


def line(sock: socket.socket, record: Record) -> bytes:
    """The next line with its end, recorded; less where the connection ends."""
    got = b""
    while not got.endswith(b"\n") and (more := record.take(sock, 1)):
        got += more
    return got


@dataclass(frozen=True)
class Words:
    """What a protocol's peers say, as a test needs it."""

    name: str
    greeting: bytes
    """Of the backend, in which what nobody else says."""
    clear: dict[bytes, bytes]
    """Of the backend before TLS: answers by the first of a line that is asked."""
    asked: bytes
    """All that the edge says to a backend before TLS; the edge's address stands in it."""
    opening: tuple[tuple[bytes, bytes], ...]
    """Of a client before TLS: what it says, and how the answer ends."""
    inside: tuple[bytes, bytes]
    """A question within TLS, and its answer."""


SMTP = Words(
    "smtp",
    b"220-backend.internal\r\n220 what the backend greets with\r\n",
    {b"EHLO": b"250-backend.internal\r\n250-SIZE 1000\r\n250 STARTTLS\r\n", b"STARTTLS": b"220 go on\r\n"},
    b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n",
    ((b"EHLO client.test\r\n", b"250 STARTTLS\r\n"), (b"STARTTLS\r\n", b"220 2.0.0 Ready to start TLS\r\n")),
    (b"EHLO again\r\n", b"250 within TLS\r\n"),
)
IMAP = Words(
    "imap",
    b"* OK [CAPABILITY IMAP4rev1 STARTTLS] what the backend greets with\r\n",
    {b"a1 STARTTLS": b"* OK still here\r\na1 OK go on\r\n"},
    b"a1 STARTTLS\r\n",
    ((b"x CAPABILITY\r\n", b"x OK CAPABILITY completed\r\n"), (b"y STARTTLS\r\n", b"y OK begin TLS\r\n")),
    (b"z NOOP\r\n", b"z OK within TLS\r\n"),
)
BOTH = pytest.mark.parametrize("words", [SMTP, IMAP], ids=["smtp", "imap"])


def session(sock: socket.socket, record: Record, words: Words) -> None:
    while said := line(sock, record):
        sock.sendall(words.inside[1] if said == words.inside[0] else b"what is that\r\n")
    if isinstance(sock, ssl.SSLSocket):
        sock.unwrap()


def asked(pki: Pki, words: Words, *, mutual: bool = False, leaf: str = "backend") -> Script:
    """A backend that is asked for TLS."""

    def script(sock: socket.socket, record: Record) -> None:
        sock.sendall(words.greeting)
        while True:
            said = line(sock, record)
            answer = next((a for asked, a in words.clear.items() if said.startswith(asked)), b"")
            sock.sendall(answer)
            if b"STARTTLS" in said:
                break
        context = server_context(pki.backend, clients=pki.internal.file if mutual else None)
        if leaf != "backend":
            context.load_cert_chain(pki.folder / f"{leaf}.pem", pki.folder / f"{leaf}.key")
        with context.wrap_socket(sock, server_side=True) as inside:
            session(inside, record, words)

    return script


def greeting(words: Words) -> Script:
    """A backend that is spoken to by TLS at once, or in the clear."""

    def script(sock: socket.socket, record: Record) -> None:
        sock.sendall(words.greeting)
        session(sock, record, words)

    return script


def opening(sock: socket.socket, words: Words) -> bytes:
    """What a client hears before TLS, the greeting first."""
    heard = receive_line(sock)
    for says, ends in words.opening:
        sock.sendall(says)
        answer = b""
        while not answer.endswith(ends):
            answer += receive_line(sock)
            assert answer.endswith(b"\n"), heard + answer
        heard += answer
    return heard


def receive_line(sock: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\n") and (more := sock.recv(1)):
        got += more
    return got


@BOTH
@pytest.mark.parametrize("client", ["asks", "begins with TLS"])
@pytest.mark.parametrize("backend", ["asked", "TLS at once", "mutual", "plaintext"])
def test_a_client_hears_one_greeting_and_the_backend_one_session_however_each_begins_tls(
    edge: Edges, raw: Raws, pki: Pki, words: Words, client: str, backend: str
) -> None:
    """T16."""
    pattern = {"asked": "reencrypt", "TLS at once": "reencrypt"}.get(backend, backend)
    is_asked = backend in ("asked", "mutual")
    if is_asked:
        peer = raw(asked(pki, words, mutual=backend == "mutual"))
    else:
        peer = raw(greeting(words), None if backend == "plaintext" else pki.backend)
    more = f'starttls = "{words.name}"' if is_asked else ""
    it = edge(
        route(peer.port, tls=pattern, more=more) + site(),
        listener=f'starttls = "{words.name}"' if client == "asks" else "",
    )
    sock = dial(it.port)
    if client == "asks":
        assert b"backend" not in opening(sock, words)
    inside = secured(sock, pki.public.file)
    if client != "asks":
        heard = receive_line(inside)
        # What a backend says in the clear, anybody on the way can have said.
        assert heard.startswith((b"220", b"* OK")) and (b"backend" in heard) == (not is_asked)
        if not is_asked and words is SMTP:
            assert receive_line(inside) == b"220 what the backend greets with\r\n"
    inside.sendall(words.inside[0])
    assert receive_line(inside) == words.inside[1]
    inside.unwrap()
    assert it.line(is_end)["end"] == "done"
    assert peer.received == (words.asked if is_asked else b"") + words.inside[0]


@BOTH
def test_where_tls_passes_through_both_sides_are_asked_alike_or_nobody_is_served(
    edge: Edges, raw: Raws, pki: Pki, words: Words
) -> None:
    peer = raw(asked(pki, words, leaf="passed"))
    asks, second = f'starttls = "{words.name}"', free_port()
    passing = f"""
[[route]]
name = "passed"
host = "passed.test"
tls = "passthrough"
to = ["127.0.0.1:{peer.port}"]
{asks}
"""
    it = edge(passing, site=None, listener=listeners("", second, asks))
    context = ssl.create_default_context(cafile=str(pki.public.file))
    sock = dial(second)
    opening(sock, words)
    with context.wrap_socket(sock, server_hostname="passed.test") as inside:
        inside.sendall(words.inside[0])
        assert receive_line(inside) == words.inside[1]
    assert it.line(lambda line: line["route"] == "passed")["client_hop"]["tls"] == "passed"
    with pytest.raises(OSError), context.wrap_socket(dial(it.port), server_hostname="passed.test"):
        pass
    line = it.line(lambda line: line["end"] != "done")
    assert (line["route"], line["end"]) == ("passed", "hello/other-protocol")
    assert len(peer.records) == 1


def listeners(first: str, port: int, second: str) -> str:
    """What the first listener says more, and another one."""
    return f'{first}\n[[listener]]\nname = "second"\nbind = ["127.0.0.1:{port}"]\n{second}'


SAID: list[tuple[Words, bytes, bytes, str]] = [
    (SMTP, b"EHLO a\r\nSTARTTLS\r\nEHLO b\r\n", b"250 STARTTLS\r\n", "hello/early-bytes"),
    (SMTP, b"EHLO a\r\nSTARTTLS\r\n\x16\x03\x01", b"250 STARTTLS\r\n", "hello/early-bytes"),
    (IMAP, b"x STARTTLS\r\ny LOGIN a b\r\n", b"", "hello/early-bytes"),
    (IMAP, b"x STARTTLS\r\n\x16", b"", "hello/early-bytes"),
    (SMTP, b"EHLO a\r\nMAIL FROM:<a@b.test>\r\n", b"530 5.7.0 Must issue", "hello/tls-not-asked"),
    (SMTP, b"AUTH PLAIN AGEAYg==\r\nQUIT\r\n", b"221 2.0.0 Bye\r\n", "hello/tls-not-asked"),
    (SMTP, b"NOOP\r\n" * 40, b"421 4.7.0", "hello/tls-not-asked"),
    (SMTP, b"EHLO a\n", b"500 5.5.2", "hello/tls-not-asked"),
    (SMTP, b"x" * 600, b"500 5.5.2", "hello/tls-not-asked"),
    (SMTP, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"530 5.7.0", "hello/tls-not-asked"),
    (SMTP, b"EHLO a\r\n", b"250 STARTTLS\r\n", "hello/incomplete"),
    (IMAP, b"x LOGIN alice secret\r\n", b"x NO [PRIVACYREQUIRED]", "hello/tls-not-asked"),
    (IMAP, b"x LOGIN {5}\r\nalice", b"* BYE", "hello/tls-not-asked"),
    (IMAP, b"x LOGIN {12+}\r\ny STARTTLS\r\n\r\n", b"* BYE", "hello/tls-not-asked"),
    (IMAP, b"x" * 3000, b"* BYE", "hello/tls-not-asked"),
    (IMAP, b"x NOOP\r\n" * 40, b"* BYE", "hello/tls-not-asked"),
]


@BOTH
def test_what_is_said_in_the_clear_is_answered_by_the_edge_and_gets_no_further(
    edge: Edges, raw: Raws, words: Words
) -> None:
    """T16."""
    backend = raw(greeting(words))
    it = edge(route(backend.port) + site(), listener=f'starttls = "{words.name}"')
    cases = [case for case in SAID if case[0] is words]
    for n, (_, says, hears, slug) in enumerate(cases):
        with dial(it.port) as sock:
            receive_line(sock)
            sock.sendall(says)
            sock.shutdown(socket.SHUT_WR)
            heard = receive(sock, 10000)
        assert hears in heard and b"begin TLS" not in heard and b"Ready" not in heard, says
        line = until(lambda n=n: it.lines()[n:] or None)[0]  # type: ignore[misc]
        assert (line["end"], line["route"]) == (slug, None), says
    assert backend.records == []


@BOTH
def test_who_only_asks_whether_somebody_is_there_is_counted_and_has_no_line(
    edge: Edges, raw: Raws, words: Words
) -> None:
    backend = raw(greeting(words))
    it = edge(route(backend.port) + site(), listener=f'starttls = "{words.name}"')
    with dial(it.port) as sock:
        receive_line(sock)
    with dial(it.port) as sock:
        receive_line(sock)
        sock.sendall(b"QUIT\r\n" if words is SMTP else b"x LOGOUT\r\n")
        assert receive(sock, 1000).endswith((b"221 2.0.0 Bye\r\n", b"x OK LOGOUT completed\r\n"))
    with dial(it.port) as sock:
        receive_line(sock)
        sock.sendall(b"?\r\n")
        receive_line(sock)
    assert it.line(lambda line: line["end"].startswith("hello/"))["end"] == "hello/tls-not-asked"
    assert [one["end"] for one in it.lines()] == ["hello/tls-not-asked"]


def test_who_asks_for_tls_and_leaves_is_told_of(edge: Edges, raw: Raws) -> None:
    backend = raw(greeting(SMTP))
    it = edge(route(backend.port) + site(), listener='starttls = "smtp"')
    with dial(it.port) as sock:
        opening(sock, SMTP)
    assert it.line(lambda line: True)["end"] == "hello/incomplete"


ANSWERS: list[tuple[Words, dict[bytes, bytes], str]] = [
    (SMTP, {b"EHLO": b"250-x\r\n250 SIZE 1\r\n"}, "it does not offer STARTTLS"),
    (SMTP, {b"EHLO": b"502 no\r\n"}, "it answered EHLO with no"),
    (SMTP, {b"STARTTLS": b"454 later\r\n"}, "it answered STARTTLS with not now (454)"),
    (SMTP, {b"STARTTLS": b"501 no\r\n"}, "it answered STARTTLS with no"),
    (SMTP, {b"STARTTLS": b"220 go\r\n250 injected\r\n"}, "it said more than it was asked"),
    (SMTP, {b"EHLO": b"250-x\r\n250 STARTTLS\r\n220 go\r\n"}, "it said more than it was asked"),
    (SMTP, {b"STARTTLS": b"\x16\x03\x01\r\n"}, "what it said is no reply of SMTP"),
    (SMTP, {b"STARTTLS": b"220 " + b"x" * 9000}, "what it said is no reply of SMTP"),
    (IMAP, {b"a1 STARTTLS": b"a1 NO no\r\n"}, "it answered STARTTLS with no"),
    (IMAP, {b"a1 STARTTLS": b"a1 BAD what\r\n"}, "it answered STARTTLS with no"),
    (IMAP, {b"a1 STARTTLS": b"a1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n"}, "it said more than it was asked"),
    (IMAP, {b"a1 STARTTLS": b"a2 OK go\r\n"}, "what it said is no answer of IMAP"),
    (IMAP, {b"a1 STARTTLS": b"x" * 9000}, "what it said is no answer of IMAP"),
]


GREETINGS: list[tuple[Words, bytes, str, str | None]] = [
    (SMTP, b"554 no service\r\n", "hop/not-ready", "it greeted with a refusal"),
    (SMTP, b"421-busy\r\n421 come back\r\n", "hop/not-ready", "it takes no session now (421)"),
    (SMTP, b"+OK pop3\r\n", "hop/not-tls", "what it said is no reply of SMTP"),
    (SMTP, b"250 hello\r\n", "hop/not-tls", "it did not greet as SMTP does"),
    (SMTP, b"220 early\r\n250 STARTTLS\r\n", "hop/not-tls", "it said more than it was asked"),
    (IMAP, b"* BYE later\r\n", "hop/not-ready", "it takes no session now (BYE)"),
    (IMAP, b"* PREAUTH alice\r\n", "hop/not-tls", "it takes whoever comes for somebody it knows (PREAUTH)"),
    (IMAP, b"+OK pop3\r\n", "hop/not-tls", "it did not greet as IMAP does"),
    (IMAP, b"", "hop/closed", None),
]


@BOTH
def test_a_backend_that_says_anything_but_yes_gets_nothing_of_the_client(
    edge: Edges, raw: Raws, pki: Pki, words: Words
) -> None:
    """T16."""
    now: list[dict[bytes, bytes] | bytes] = []

    def script(sock: socket.socket, record: Record) -> None:
        says = now[-1]
        sock.sendall(says if isinstance(says, bytes) else words.greeting)
        while says and (said := line(sock, record)):
            answers = {**words.clear, **(says if isinstance(says, dict) else {})}
            sock.sendall(next((answer for asked, answer in answers.items() if said.startswith(asked)), b""))

    peer, asks = raw(script), f'starttls = "{words.name}"'
    more = f"{asks}\n[limits]\neject_after = 1000\n"
    it = edge(site() + route(peer.port, tls="reencrypt", more=more), listener=asks)
    cases: list[tuple[dict[bytes, bytes] | bytes, str, str | None]] = []
    cases += [(answers, "hop/not-tls", detail) for of, answers, detail in ANSWERS if of is words]
    cases += [(greets, slug, detail) for of, greets, slug, detail in GREETINGS if of is words]
    for n, (says, slug, detail) in enumerate(cases):
        now.append(says)
        assert refused(it, words, n) == (slug, detail), says
    assert words.inside[0] not in peer.received and b"\x16" not in peer.received


def test_a_backend_that_stays_silent_is_left_when_its_time_is_over(edge: Edges, raw: Raws) -> None:
    peer = raw(rest_of)
    asks = 'starttls = "smtp"'
    more = f"{asks}\nlimits = {{ connect_s = 1 }}"
    it = edge(route(peer.port, tls="reencrypt", more=more) + site(), listener=asks)
    assert refused(it, SMTP, 0) == ("hop/connect-timeout", None)


def rest_of(sock: socket.socket, record: Record) -> None:
    while record.take(sock, 1000):
        pass


def refused(it: EdgeKit, words: Words, n: int) -> tuple[str, str | None]:
    """What became of the client of line `n`: slug and detail."""
    with dial(it.port) as sock:
        opening(sock, words)
        with contextlib.suppress(OSError):
            inside = secured(sock, it.pki.public.file)
            inside.sendall(words.inside[0])
            assert inside.recv(1) == b""
    end = until(lambda: it.lines()[n:] or None)[0]
    assert [one["end"] for one in end["failed_hops"]] == [end["end"]]
    return end["end"], end["failed_hops"][0]["detail"]


@BOTH
def test_one_that_takes_no_session_now_is_passed_over_and_not_ejected(
    edge: Edges, raw: Raws, pki: Pki, words: Words
) -> None:
    busy = raw(lambda sock, record: sock.sendall(b"421 busy\r\n" if words is SMTP else b"* BYE busy\r\n"))
    well = raw(asked(pki, words))
    asks = f'starttls = "{words.name}"'
    it = edge(
        route(busy.port, well.port, tls="reencrypt", more=asks) + site() + "[limits]\neject_after = 1\n", listener=asks
    )
    for _ in range(4):
        sock = dial(it.port)
        opening(sock, words)
        inside = secured(sock, pki.public.file)
        inside.sendall(words.inside[0])
        assert receive_line(inside) == words.inside[1]
        inside.unwrap()
        sock.close()
    assert len(busy.records) >= 2


def test_a_client_of_one_protocol_does_not_get_to_backends_of_another(edge: Edges, raw: Raws, pki: Pki) -> None:
    """T16. The same name at the port of another protocol."""
    peer = raw(asked(pki, SMTP))
    smtp = 'starttls = "smtp"'
    it = edge(
        route(peer.port, tls="reencrypt", more=smtp) + site(),
        listener=listeners('starttls = "imap"', free_port(), smtp),
    )
    sock = dial(it.port)
    opening(sock, IMAP)
    with contextlib.suppress(OSError):
        inside = secured(sock, pki.public.file)
        assert inside.recv(1) == b""
    assert it.line(is_end)["end"] == "hello/other-protocol"
    assert peer.records == []
