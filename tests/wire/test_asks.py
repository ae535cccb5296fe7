"""Who is asked about requests, judged at the authorizer and at the backend: what it is told and what it is not, who passes by its
word, what the client is told who does not, and what becomes of a request about which nobody says anything."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable

import grpc
import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.authorizer import NO, YES, Asked, Question, block, route
from tests.kit.clients import Answer, read_answer
from tests.kit.edge import until
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.otlp import Collector
from tests.kit.raw import OK, Record, answering, head, rest
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
LATER = "since = 2026-11-01, until = 2027-06-01"


def answers(sock: socket.socket, record: Record) -> None:
    """Reads each request to its end, and answers."""
    while (got := head(sock, record)) is not None:
        lines = got.decode("latin-1").lower().split("\r\n")
        length = next((int(x.partition(":")[2]) for x in lines if x.startswith("content-length:")), 0)
        rest(sock, record, length)
        sock.sendall(OK)


class Stage:
    """An edge with one route that asks, its backend and whoever is asked."""

    def __init__(
        self, edge: Edges, raw: Raws, pki: Pki, asked: Asked, more: str = "", by: str = "", tls_to: str = "plaintext"
    ) -> None:
        self.asked, self.pki = asked, pki
        leaf = None if tls_to == "plaintext" else pki.backend
        clients = pki.internal.file if tls_to == "mutual" else None
        self.who, self.raw = raw(asked, leaf, clients=clients), raw(answers)
        self.text = block(self.who.port, by, tls=tls_to) + route(self.raw.port, more)
        self.edge = edge(self.text)

    def ask(self, request: str = GET) -> Answer:
        with tls(self.edge.port, "a.test", self.pki.public.file) as sock:
            return exchange(sock, request)

    def refused(self, status: int, slug: str, request: str = GET) -> Answer:
        """It is, by the edge's own word, and the backend hears nothing of it."""
        mark = self.raw.mark()
        it = self.ask(request)
        assert (it.status, slug in it.text) == (status, True), f"{it.status} {it.text}"
        assert self.raw.since(mark) == []
        return it

    def line(self) -> dict[str, object]:
        return self.edge.all_lines()[-1]


@pytest.fixture
def stage(edge: Edges, raw: Raws, pki: Pki) -> Callable[..., Stage]:
    return lambda says=YES, more="", by="", tls_to="plaintext": Stage(edge, raw, pki, Asked(says), more, by, tls_to)


def said(status: str, *lines: str, body: str = "") -> bytes:
    head = "".join(f"{line}\r\n" for line in (*lines, f"Content-Length: {len(body)}"))
    return f"HTTP/1.1 {status}\r\n{head}\r\n{body}".encode()


@pytest.mark.parametrize("tls_to", ["plaintext", "reencrypt", "mutual"])
def test_it_is_told_what_is_asked_for_and_by_whom_and_of_fields_those_that_are_named(
    stage: Callable[..., Stage], tls_to: str
) -> None:
    it = stage(by='sends = ["cookie", "authorization"]', tls_to=tls_to)
    request = (
        "POST /%7Ea/b?x=%2f&y HTTP/1.1\r\nHost: A.test\r\nCookie: a=b\r\nAuthorization: Basic YTpi\r\nX-Secret: s\r\nAccept: */*\r\n"
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Uri: /evil\r\nX-Forwarded-Method: HEAD\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert it.ask(request).status == 200
    (question,) = it.asked.questions
    assert (question.method, question.target) == ("GET", "/auth")
    wanted = {
        "host": f"127.0.0.1:{it.who.port}",
        "x-forwarded-method": "POST",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "a.test",
        "x-forwarded-uri": "/~a/b?x=%2f&y",
        "x-forwarded-for": "127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "cookie": "a=b",
        "authorization": "Basic YTpi",
    }
    assert {name: question.one(name) for name in wanted} == wanted
    assert question.fields.keys() - wanted.keys() == {"forwarded", "x-request-id"}, "and nothing else"
    assert b"hello" not in it.who.received and it.raw.received.endswith(b"\r\n\r\nhello")
    assert b"POST /%7Ea/b?x=%2f&y HTTP/1.1\r\n" in it.raw.received, "the backend gets it as it came"
    line = it.line()
    assert line["ask"] == {"by": "sso", "verdict": "passed", "status": 202, "duration_us": line["ask"]["duration_us"]}  # type: ignore[index]
    assert question.one("x-request-id") == line["id"]


def test_nothing_is_told_of_fields_where_none_is_named(stage: Callable[..., Stage]) -> None:
    it = stage()
    assert it.ask(GET.replace("\r\n\r\n", "\r\nCookie: a=b\r\nAuthorization: Basic YTpi\r\n\r\n")).status == 200
    assert not {"cookie", "authorization"} & it.asked.questions[0].fields.keys()


def test_a_verified_client_is_told_by_its_certificate(edge: Edges, raw: Raws, pki: Pki) -> None:
    asked = Asked()
    it = edge(block(raw(asked).port) + route(raw(answering(OK)).port), site='clients = { ca = "{pki}/public-ca.pem" }')
    with tls(it.port, "a.test", pki.public.file, leaf=pki.client) as sock:
        assert exchange(sock, GET.replace("\r\n\r\n", "\r\nClient-Cert: :AAAA:\r\n\r\n")).status == 200
    assert (asked.questions[0].one("client-cert") or "").startswith(":MI")


@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_what_is_taken_of_its_answer_goes_on_and_what_a_client_says_there_never_does(
    stage: Callable[..., Stage], pki: Pki, speaks: str
) -> None:
    answers = [said("200 OK", "X-User: kim", "X-Role: a", "X-Role: b", "X-Other: o"), YES]
    it = stage(lambda _: answers.pop(0), by='takes = ["x-user", "x-role"]')
    forged = ["X-User: root", "x_user: root", "X.User: root", "X_ROLE: root"]
    for expected in (["x-role: a, b", "x-user: kim"], []):
        mark = it.raw.mark()
        if speaks == "h2":
            with Speaker(it.edge, pki) as h2:
                pairs = [(name.lower(), value) for name, _, value in (x.partition(": ") for x in forged)]
                assert h2.outcome(h2.headers(*pairs)) == "200"
        else:
            assert it.ask(GET.replace("\r\n\r\n", "\r\n" + "\r\n".join(forged) + "\r\n\r\n")).status == 200
        (got,) = it.raw.since(mark)
        names = ("x-user", "x_user", "x.user", "x-role", "x_role", "x-other")
        assert sorted(x for x in got.decode().split("\r\n") if x.partition(":")[0].lower() in names) == expected


def test_trailers_say_nothing_that_is_taken(edge: Edges, raw: Raws, pki: Pki) -> None:
    def reads(sock: socket.socket, record: Record) -> None:
        if (got := head(sock, record)) is not None:
            body = len(got)
            while b"\r\n0\r\n" not in record[body:] or not record.endswith(b"\r\n\r\n"):
                if not rest(sock, record, 1):
                    return
            sock.sendall(OK)

    own = raw(reads)
    it = edge(block(raw(Asked(said("200 OK", "X-User: kim"))).port, 'takes = ["x-user"]') + route(own.port))
    sent = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-user\r\n\r\n2\r\nhi\r\n0\r\nX_User: root\r\nX-Sum: 1\r\n\r\n"
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, sent).status == 200
    assert b"root" not in own.received and b"x-user: kim" in own.received and b"x-sum: 1" in own.received.lower()


@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_cookies_of_a_yes_go_to_the_client_beside_those_of_the_backend(
    edge: Edges, raw: Raws, pki: Pki, speaks: str
) -> None:
    """As a session that oauth2-proxy prolongs."""
    who = raw(Asked(said("202 Accepted", "Set-Cookie: s=1; HttpOnly", "Set-Cookie: t=2")))
    own = raw(answering(b"HTTP/1.1 200 OK\r\nSet-Cookie: own=3\r\nContent-Length: 0\r\n\r\n"))
    it = edge(block(who.port) + route(own.port))
    if speaks == "h2":
        with Speaker(it, pki) as h2_:
            stream = h2_.headers()
            found = next(e for e in h2_.events() if isinstance(e, h2.events.ResponseReceived) and e.stream_id == stream)
        cookies = [value.decode() for name, value in found.headers if name == b"set-cookie"]
    else:
        with tls(it.port, "a.test", pki.public.file) as sock:
            sock.sendall(GET.encode())
            got = sock.recv(65536).decode()
        cookies = [x.partition(": ")[2] for x in got.split("\r\n") if x.lower().startswith("set-cookie")]
    assert sorted(cookies) == ["own=3", "s=1; HttpOnly", "t=2"]


@pytest.mark.parametrize("status", [401, 403, 302, 303, 307])
@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_a_no_goes_to_the_client_with_what_leads_it_further_and_nothing_else(
    edge: Edges, raw: Raws, pki: Pki, speaks: str, status: int
) -> None:
    lines = (
        *(
            "Location: https://login.test/?rd=x",
            "Set-Cookie: csrf=1",
            "Set-Cookie: b=2",
            "WWW-Authenticate: Basic realm=x",
        ),
        *("Content-Type: text/html", "X-Inner: secret", "Server: inner", "Connection: keep-alive"),
    )
    own, asked = raw(answering(OK)), Asked(said(f"{status} No", *lines, body="<p>no</p>"))
    it = edge(block(raw(asked).port) + route(own.port))
    if speaks == "h2":
        with Speaker(it, pki) as h2_:
            stream = h2_.headers()
            seen: list[h2.events.Event] = []
            for event in h2_.events():
                seen.append(event)
                if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream:
                    break
        first = next(e for e in seen if isinstance(e, h2.events.ResponseReceived))
        pairs = [(n.decode(), v.decode()) for n, v in first.headers]
        body = b"".join(e.data for e in seen if isinstance(e, h2.events.DataReceived))
    else:
        with tls(it.port, "a.test", pki.public.file) as sock:
            got = b""
            sock.sendall(GET.encode())
            while b"<p>no</p>" not in got:
                got += sock.recv(65536)
            # The connection goes on.
            sock.sendall(GET.encode())
            assert read_answer(sock).status == status
        top, _, body = got.partition(b"\r\n\r\n")
        first_line, *rest_of = top.decode().split("\r\n")
        pairs = [(":status", first_line.split(" ")[1])]
        pairs += [(x.partition(": ")[0].lower(), x.partition(": ")[2]) for x in rest_of]
    told = dict(pairs)
    assert (told[":status"], body) == (str(status), b"<p>no</p>")
    assert told["location"] == "https://login.test/?rd=x" and told["www-authenticate"] == "Basic realm=x"
    assert [v for n, v in pairs if n == "set-cookie"] == ["csrf=1", "b=2"]
    assert (told["content-type"], told["cache-control"]) == ("text/html", "no-store")
    assert not {"x-inner", "server"} & told.keys() and "secret" not in str(pairs)
    assert own.received == b""
    line = it.all_lines()[0]
    assert (line["status"], line["end"], line["backend_hop"]) == (status, "ask/denied", None)
    assert line["ask"]["verdict"] == ("denied" if status in (401, 403) else "led-elsewhere")


def test_nobody_follows_where_a_redirect_leads(stage: Callable[..., Stage]) -> None:
    it = stage(said("302 Found", "Location: /auth"))
    assert it.ask().headers["location"] == "/auth"
    assert len(it.asked.questions) == 1


def test_head_is_told_no_without_a_body(stage: Callable[..., Stage], pki: Pki) -> None:
    it = stage(NO)
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        for _ in range(2):
            assert exchange(sock, GET.replace("GET", "HEAD"), "HEAD").headers["content-length"] == "2"


ODD = {
    "another status": (said("404 Not Found"), "answered 404"),
    "its own failure": (said("500 Oh"), "answered 500"),
    "too many requests": (said("429 Slow"), "answered 429"),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", "answered 304"),
    "a redirect to nowhere": (said("302 Found"), "answered 302"),
    "a no that is too long": (said("403 No", body="x" * 70_000), "too long a body"),
    "no HTTP": (b"hello\r\n\r\n", "hop/bad-response"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "hop/bad-response"),
    "a switch that nobody asked for": (
        b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "hop/bad-response",
    ),
    "a yes that breaks off": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", "hop/truncated"),
    "interim answers without end": (b"HTTP/1.1 102 Wait\r\n\r\n" * 100, "hop/too-many-informational"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_that_is_neither_yes_nor_no_lets_nobody_pass(stage: Callable[..., Stage], odd: str) -> None:
    """Nor where requests may pass unasked: whoever can make it fail by what it asks would be in."""
    answer, detail = ODD[odd]

    def says(_: Question) -> bytes:
        return answer

    it = stage(says, by=f'when_down = "pass"\npass_acceptance = {{ owner = "me", why = "test", {LATER} }}')
    asked = it.asked

    def once(sock: socket.socket, record: Record) -> None:
        if (got := head(sock, record)) is not None:
            del got
            sock.sendall(answer)

    it.who.script = once
    del asked
    it.refused(503, "ask/unfit-answer")
    line = it.line()
    assert line["ask"]["verdict"] == "unfit" and detail in str(line["detail"])  # type: ignore[index]


def test_a_yes_with_a_huge_body_is_a_yes_and_costs_no_more_than_its_bound(stage: Callable[..., Stage]) -> None:
    sent = threading.Event()

    def says(sock: socket.socket, record: Record) -> None:
        if head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while True:
                    sock.sendall(b"x" * 65536)
            except OSError:
                sent.set()

    it = stage()
    it.who.script = says
    assert [it.ask().status for _ in range(3)] == [200, 200, 200]
    assert sent.wait(20), "nobody reads on"


def hangs(sock: socket.socket, record: Record) -> None:
    while head(sock, record) is not None:
        pass


def drips(sock: socket.socket, record: Record) -> None:
    if head(sock, record) is not None:
        for byte in b"HTTP/1.1 200 OK\r\nX-Pad: " + b"x" * 200 + b"\r\nContent-Length: 0\r\n\r\n":
            sock.sendall(bytes([byte]))
            time.sleep(0.05)


@pytest.mark.parametrize("script", [hangs, drips])
def test_a_slow_one_is_waited_for_no_longer_than_its_time_and_others_not_at_all(
    edge: Edges, raw: Raws, pki: Pki, script: Callable[[socket.socket, Record], None]
) -> None:
    own = raw(answering(OK))
    other = route(own.port).replace('"r"', '"other"').replace('ask = "sso"', 'path = "/free"')
    it = edge(block(raw(script).port, "deadline_ms = 3000") + route(own.port) + other)
    with tls(it.port, "a.test", pki.public.file) as slow, tls(it.port, "a.test", pki.public.file) as free:
        began = time.monotonic()
        slow.sendall(GET.encode())
        assert exchange(free, GET.replace("/ ", "/free ")).status == 200
        assert time.monotonic() - began < 2.8, "who asks nobody waits for nobody"
        answer = read_answer(slow)
        took = time.monotonic() - began
    assert (answer.status, "ask/late" in answer.text) == (503, True) and took >= 2.8, took
    assert own.received.count(b"GET / ") == 0
    line = next(line for line in it.all_lines() if line["route"] == "r")
    assert (line["ask"]["verdict"], line["ask"]["status"]) == ("late", None)


def test_nobody_there_is_503_and_they_are_asked_again_once_they_are(edge: Edges, raw: Raws, pki: Pki) -> None:
    port, own = free_port(), raw(answering(OK))
    it = edge(block(port) + route(own.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, GET)
        assert (answer.status, "ask/unreached" in answer.text) == (503, True)
        listener = socket.create_server(("127.0.0.1", port))

        def serve() -> None:
            with listener:
                peer, _ = listener.accept()
                with peer:
                    Asked()(peer, Record())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        until(lambda: exchange(sock, GET).status == 200 or None)
    first = it.all_lines()[0]
    assert first["ask"]["verdict"] == "unreached" and f"hop/connect-failed at 127.0.0.1:{port}" in first["detail"]
    thread.join(10)


def test_who_cannot_prove_itself_hears_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    """T13."""
    who, own = raw(Asked(), pki.other), raw(answering(OK))
    it = edge(block(who.port, tls="reencrypt") + route(own.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 503
    assert who.received == b"" and own.received == b""


def unasked(by: str = "") -> str:
    return f'when_down = "pass"\npass_acceptance = {{ owner = "kim@example.com", why = "test", {LATER} }}\n{by}'


def test_what_passes_unasked_passes_by_somebodys_word_and_says_so(edge: Edges, raw: Raws, pki: Pki) -> None:
    own = raw(answering(OK))
    it = edge(block(free_port(), unasked('takes = ["x-user"]')) + route(own.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET.replace("\r\n\r\n", "\r\nX_User: root\r\n\r\n")).status == 200
    assert b"root" not in own.received, "nobody said who it is"
    explained = it.cli("explain", "--config", str(it.config)).stdout
    assert "PASSES UNASKED: kim@example.com accepted that until 2027-06-01" in " ".join(explained.split())
    checked = it.cli("check", str(it.config)).stdout
    assert "PASSES UNASKED while it is down, until 2027-06-01" in " ".join(checked.split())
    line = it.all_lines()[0]
    assert (line["ask"]["verdict"], line["alarms"], line["end"]) == ("passed-unasked", ["passed_unasked"], "done")
    assert "hop/connect-failed" in line["detail"]


def test_whose_time_is_over_passes_unasked_where_somebody_answers_for_it(edge: Edges, raw: Raws, pki: Pki) -> None:
    it = edge(block(raw(hangs).port, unasked("deadline_ms = 300")) + route(raw(answering(OK)).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200


def test_one_of_several_is_enough(edge: Edges, raw: Raws, pki: Pki) -> None:
    asked, own = Asked(), raw(answering(OK))
    text = block(raw(asked).port).replace("to = [", f'to = ["127.0.0.1:{free_port()}", ')
    it = edge(text + route(own.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert [exchange(sock, GET).status for _ in range(6)] == [200] * 6
    assert len(asked.questions) == 6


def test_its_connections_are_kept_and_one_that_died_of_age_costs_no_request(edge: Edges, raw: Raws, pki: Pki) -> None:
    who = raw(Asked())
    it = edge(block(who.port) + route(raw(answering(OK)).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert [exchange(sock, GET).status for _ in range(5)] == [200] * 5
        assert len(who.records) == 1
        for record in who.records:
            assert record.sock is not None
            record.sock.shutdown(socket.SHUT_RDWR)
        assert [exchange(sock, GET).status for _ in range(5)] == [200] * 5
    assert len(who.records) == 2


def test_nothing_of_a_body_is_asked_for_before_the_verdict(edge: Edges, raw: Raws, pki: Pki) -> None:
    """H08: who waits for 100 Continue hears of it once it may go on, and of a no instead of it."""
    go, verdicts = threading.Event(), [YES, NO]

    def says(_: Question) -> bytes:
        go.wait(20)
        return verdicts.pop(0)

    def continues(sock: socket.socket, record: Record) -> None:
        if head(sock, record) is not None:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            rest(sock, record, 5)
            sock.sendall(OK)

    asked, own = Asked(says), raw(continues)
    it = edge(block(raw(asked).port, "deadline_ms = 20000") + route(own.port))
    request = b"PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(request)
        until(lambda: len(asked.questions) == 1 or None)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert own.received == b""
        sock.settimeout(20)
        go.set()
        assert sock.recv(4096).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"hello")
        assert read_answer(sock).status == 200
    mark = own.mark()
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(request)
        assert sock.recv(4096).startswith(b"HTTP/1.1 403 ")
    assert own.since(mark) == []


@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_a_body_waits_for_the_verdict_and_is_carried_whole(edge: Edges, raw: Raws, pki: Pki, speaks: str) -> None:
    go, body = threading.Event(), b"0123456789" * 20_000

    def says(_: Question) -> bytes:
        go.wait(20)
        return YES

    def reads(sock: socket.socket, record: Record) -> None:
        if head(sock, record) is not None:
            rest(sock, record, len(body))
            sock.sendall(OK)

    asked, own = Asked(says), raw(reads)
    it = edge(block(raw(asked).port, "deadline_ms = 20000") + route(own.port))
    if speaks == "h2":
        with Speaker(it, pki) as h2_:
            stream = h2_.headers(("content-length", str(len(body))), method="POST", end=False)
            until(lambda: len(asked.questions) == 1 or None)
            go.set()
            sent = 0
            while sent < len(body):
                room = min(h2_.h2.local_flow_control_window(stream), 16384, len(body) - sent)
                if room == 0:
                    h2_.h2.receive_data(h2_.sock.recv(65536))
                    h2_.flush()
                    continue
                h2_.h2.send_data(stream, body[sent : sent + room], end_stream=sent + room == len(body))
                h2_.flush()
                sent += room
            assert h2_.outcome(stream) == "200"
    else:
        with tls(it.port, "a.test", pki.public.file) as sock:
            sending = threading.Thread(
                target=sock.sendall,
                args=(f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,),
            )
            sending.start()
            until(lambda: len(asked.questions) == 1 or None)
            go.set()
            assert read_answer(sock).status == 200
            sending.join(20)
    assert own.received.endswith(body)


@pytest.mark.parametrize("speaks", ["http/1.1", "h2"])
def test_a_client_that_leaves_while_somebody_is_asked_sends_nothing_on(
    edge: Edges, raw: Raws, pki: Pki, speaks: str
) -> None:
    go = threading.Event()

    def says(_: Question) -> bytes:
        go.wait(20)
        return YES

    asked, own = Asked(says), raw(answering(OK))
    it = edge(block(raw(asked).port, "deadline_ms = 20000") + route(own.port))
    if speaks == "h2":
        h2_ = Speaker(it, pki)
        stream = h2_.headers()
        until(lambda: len(asked.questions) == 1 or None)
        h2_.h2.reset_stream(stream)
        h2_.flush()
    else:
        sock = tls(it.port, "a.test", pki.public.file)
        sock.sendall(GET.encode())
        until(lambda: len(asked.questions) == 1 or None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        sock.close()
    line = it.line(lambda line: line["route"] == "r")
    go.set()
    assert (line["end"], line["ask"]["verdict"]) == ("request/client-gone", "client-left")
    if speaks == "h2":
        assert h2_.outcome(h2_.headers()) == "200", "the connection goes on"
        assert own.received.count(b"GET / ") == 1
    else:
        it.all_lines()
        assert own.received == b""


def test_a_reload_while_somebody_is_asked_holds_by_the_plan_that_runs_when_the_verdict_is_there(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    go = threading.Event()

    def says(_: Question) -> bytes:
        go.wait(20)
        return said("200 OK", "X-User: kim")

    asked, other, own = Asked(says), Asked(NO), raw(answering(OK))
    before = block(raw(asked).port, 'takes = ["x-user"]\ndeadline_ms = 20000')
    after = before + block(raw(other).port, name="other")
    it = edge(before + route(own.port))
    # To one whose word it is not.
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(GET.encode())
        until(lambda: len(asked.questions) == 1 or None)
        assert it.reload(after + route(own.port, ask="other"))["reloaded"]
        go.set()
        assert read_answer(sock).status == 403
    assert (len(asked.questions), len(other.questions), own.received) == (1, 1, b"")
    # What else changed is no reason to ask again.
    go.clear()
    assert it.reload(after + route(own.port))["reloaded"]
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(GET.encode())
        until(lambda: len(asked.questions) == 2 or None)
        assert it.reload(after + route(own.port, 'request = { set = { x-new = "1" } }'))["reloaded"]
        go.set()
        assert read_answer(sock).status == 200
    assert len(asked.questions) == 2 and b"x-new: 1" in own.received and b"x-user: kim" in own.received
    # A route that is gone takes nothing.
    go.clear()
    mark = own.mark()
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(GET.encode())
        until(lambda: len(asked.questions) == 3 or None)
        assert it.reload(after + route(own.port, 'path = "/elsewhere"'))["reloaded"]
        go.set()
        assert read_answer(sock).status == 404
    assert own.since(mark) == []


def test_what_is_too_much_at_once_is_told_at_once(edge: Edges, raw: Raws, pki: Pki) -> None:
    go = threading.Event()

    def says(_: Question) -> bytes:
        go.wait(20)
        return YES

    asked = Asked(says)
    it = edge(block(raw(asked).port, "deadline_ms = 20000\nat_once = 2") + route(raw(answering(OK)).port))
    socks = [tls(it.port, "a.test", pki.public.file) for _ in range(2)]
    for sock in socks:
        sock.sendall(GET.encode())
    until(lambda: len(asked.questions) == 2 or None)
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert (answer.status, "ask/too-many-at-once" in answer.text, answer.headers["retry-after"]) == (503, True, "1")
    go.set()
    assert [read_answer(sock).status for sock in socks] == [200, 200]


UPGRADE = "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


def echoes(sock: socket.socket, record: Record) -> None:
    if head(sock, record) is not None:
        sock.sendall(SWITCH)
        while data := rest(sock, record, 1):
            sock.sendall(data)


def test_a_tunnel_is_asked_about_when_it_is_opened_and_ends_when_another_is_to_be_asked(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """C03."""
    verdicts = [YES, NO]
    asked, own = Asked(lambda _: verdicts.pop(0)), raw(echoes)
    by = block(raw(asked).port)
    it = edge(by + route(own.port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.sendall(UPGRADE.encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        with tls(it.port, "a.test", pki.public.file) as second:
            second.sendall(UPGRADE.encode())
            assert second.recv(4096).startswith(b"HTTP/1.1 403 ")
        assert it.reload(by + route(own.port, 'request = { set = { x-new = "1" } }'))["reloaded"]
        sock.sendall(b"b")
        assert sock.recv(1) == b"b", "what was let in stays in"
        assert it.reload(block(raw(Asked()).port, name="other") + route(own.port, ask="other"))["reloaded"]
        try:
            assert sock.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            pass
    assert len(own.records) == 1


def test_a_call_of_grpc_is_told_in_its_own_words(edge: Edges, raw: Raws, pki: Pki) -> None:
    backend, port = server(pki.backend, pki.internal.file)
    verdicts = [said("302 Found", "Location: /in"), NO, said("401 No"), said("500 Oh"), YES]
    who = raw(Asked(lambda _: verdicts.pop(0)))
    text = (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\nto = ["127.0.0.1:{port}"]\nupstream_protocol = "h2"\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\npresent = "edge"\nask = "sso"\n'
    )
    it = edge(block(who.port) + text)

    def call() -> grpc.StatusCode:
        with channel(it.port, "a.test", pki.public.file) as ch:
            try:
                ch.unary_unary(f"/{SERVICE}/One")(b"abc", timeout=20)
            except grpc.RpcError as e:
                code: grpc.StatusCode = e.code()
                return code
        return grpc.StatusCode.OK

    try:
        assert [call() for _ in range(5)] == [
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.PERMISSION_DENIED,
            grpc.StatusCode.UNAUTHENTICATED,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.OK,
        ]
    finally:
        backend.stop(None)
    assert [(line["status"], line["grpc_status"]) for line in it.all_lines()[:2]] == [(302, 16), (403, 7)]


def test_a_preflight_which_proves_nothing_is_asked_about_nobody_and_pages_may_read_a_no(
    stage: Callable[..., Stage], pki: Pki
) -> None:
    it = stage(NO, more='cors = { origins = ["https://app.test"], headers = ["authorization"] }')
    asks = "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n"
    answer = it.ask(f"OPTIONS / HTTP/1.1\r\nHost: a.test\r\n{asks}\r\n")
    assert (answer.status, it.asked.questions) == (204, [])
    told = it.ask(GET.replace("\r\n\r\n", "\r\nOrigin: https://app.test\r\n\r\n"))
    assert (told.status, told.headers["access-control-allow-origin"]) == (403, "https://app.test")


def test_who_is_refused_before_is_asked_about_nobody(stage: Callable[..., Stage]) -> None:
    it = stage(more="limits = { body_bytes = 3 }")
    it.refused(413, "request/body-too-long", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
    assert it.asked.questions == []


def test_a_route_that_knows_its_clients_by_a_cookie_of_the_edge_tells_nobody_of_it(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    asked, own = Asked(), raw(answering(OK))
    it = edge(block(raw(asked).port, 'sends = ["cookie"]') + route(own.port, 'sticky = { cookie = "edge" }'))
    with tls(it.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, GET)
        ours = answer.headers["set-cookie"].split(";")[0]
        assert exchange(sock, GET.replace("\r\n\r\n", f"\r\nCookie: a=b; {ours}\r\n\r\n")).status == 200
    assert asked.questions[1].one("cookie") == "a=b"


def test_crumbs_of_a_cookie_are_one_field_again(stage: Callable[..., Stage], pki: Pki) -> None:
    it = stage(by='sends = ["cookie"]')
    with Speaker(it.edge, pki) as h2_:
        assert h2_.outcome(h2_.headers(("cookie", "a=b"), ("cookie", "c=d"))) == "200"
    assert it.asked.questions[0].one("cookie") == "a=b; c=d"


def test_each_copy_of_a_request_has_what_is_taken_and_is_asked_about_once(edge: Edges, raw: Raws, pki: Pki) -> None:
    asked, own, copy = Asked(said("200 OK", "X-User: kim")), raw(answering(OK)), raw(answering(OK))
    mirror = f'mirror = {{ to = ["127.0.0.1:{copy.port}"] }}'
    it = edge(block(raw(asked).port, 'takes = ["x-user"]') + route(own.port, mirror))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    until(lambda: b"x-user: kim" in copy.received or None)
    assert len(asked.questions) == 1 and b"x-user: kim" in own.received


def test_where_says_who_would_be_asked_and_asks_nobody(stage: Callable[..., Stage]) -> None:
    it = stage()
    for more in ([], ["--offline"]):
        said = it.edge.cli("where", "a.test/", "--config", str(it.edge.config), *more)
        assert f"asks     sso -!plaintext!- 127.0.0.1:{it.who.port}; it is not asked now" in said.stdout, said.stdout
    assert it.who.records == [] and it.raw.received == b""


def test_status_and_metrics_tell_what_came_of_asking(edge: Edges, raw: Raws, pki: Pki) -> None:
    verdicts = [YES, NO, said("302 Found", "Location: /in"), said("500 Oh"), YES]
    it = edge(block(raw(Asked(lambda _: verdicts.pop(0))).port) + route(raw(answering(OK)).port))
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert [exchange(sock, GET).status for _ in range(5)] == [200, 403, 302, 503, 200]
    (found,) = it.status()["authorizers"]
    counted = {word: n for word, n in found["counted"].items() if n}
    assert (found["name"], counted) == ("sso", {"passed": 2, "denied": 1, "led-elsewhere": 1, "unfit": 1})
    text = json.dumps(it.status())
    assert '"under_way": 0' in text


def test_a_trace_has_the_question_as_a_span_that_the_authorizer_is_told_of(edge: Edges, raw: Raws, pki: Pki) -> None:
    verdicts = [YES, NO, said("500 Oh")]
    asked, own, to = Asked(lambda _: verdicts.pop(0)), raw(answering(OK)), Collector()
    traces = (
        f'[[collector]]\nname = "otel"\nto = ["127.0.0.1:{to.port}"]\ntls = "plaintext"\n'
        '[traces]\ncollector = "otel"\nratio = 1.0\n'
    )
    try:
        it = edge(block(raw(asked).port) + route(own.port) + traces)
        with tls(it.port, "a.test", pki.public.file) as sock:
            for path, status in (("/yes", 200), ("/no", 403), ("/odd", 503)):
                assert exchange(sock, GET.replace("/ ", f"{path} ")).status == status
        server, *spans = to.whole(3, **{"url.path": "/yes"})
        question, client = sorted(spans, key=lambda span: span.began_ns)
        assert (question.said["everyhop.authorizer"], question.said["everyhop.verdict"]) == ("sso", "passed")
        assert (question.said["http.response.status_code"], question.failed) == (202, False)
        assert question.parent == client.parent == server.id and question.ended_ns <= client.ended_ns
        assert asked.questions[0].one("traceparent") == f"00-{server.trace}-{question.id}-01"
        assert f"traceparent: 00-{server.trace}-{client.id}-01".encode() in own.received
        for path, verdict, failed in (("/no", "denied", False), ("/odd", "unfit", True)):
            _, question = to.whole(2, **{"url.path": path})
            assert (question.said["everyhop.verdict"], question.failed) == (verdict, failed)
    finally:
        to.close()


def test_metrics_count_each_verdict_and_tell_how_long_it_took(edge: Edges, raw: Raws, pki: Pki) -> None:
    port, verdicts = free_port(), [YES, NO]
    it = edge(
        f'[status]\nbind = "127.0.0.1:{port}"\n'
        + block(raw(Asked(lambda _: verdicts.pop(0))).port, unasked())
        + route(raw(answering(OK)).port)
    )
    with tls(it.port, "a.test", pki.public.file) as sock:
        assert [exchange(sock, GET).status for _ in range(2)] == [200, 403]
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    for line in (
        'everyhop_asks_total{authorizer="sso",verdict="passed"} 1',
        'everyhop_asks_total{authorizer="sso",verdict="denied"} 1',
        'everyhop_ask_duration_seconds_count{authorizer="sso"} 2',
        'everyhop_asks_under_way{authorizer="sso"} 0',
    ):
        assert f"\n{line}\n" in text, line
    assert 'everyhop_expires_timestamp_seconds{kind="pass-acceptance",name="sso"} ' in text
