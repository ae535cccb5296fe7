"""Names and passwords that a route asks for: who passes, what the backend is told, what it costs, and what is told to who does not."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h2.events
import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import read_answer
from tests.kit.edge import EVERY_PATTERN, until
from tests.kit.raw import OK, Record, answering
from tests.kit.users import basic, by_argon2, by_htpasswd, write
from tests.wire.test_edits import fields
from tests.wire.test_http2 import Speaker, curl
from tests.wire.test_limits import limit, metric
from tests.wire.test_switches import Daemon, asking, until_there

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Script = Callable[[socket.socket, Record], None]
ALICE, BOB = "correct horse", "pässwörd: 123£"
SLOW = ("-B", "-C", "11")
"""An eighth of a second, and more where others are busy."""


class Stage:
    """An edge with one route that asks for a password, and its backend."""

    def __init__(
        self,
        edge: Edges,
        pki: Pki,
        raw: Raws,
        folder: Path,
        basic: str = "",
        more: str = "",
        before: str = "",
        listener: str = "",
        backend: Script | None = None,
    ) -> None:
        self.pki, self.raw, self.status = pki, raw(backend or answering(OK)), free_port()
        self.users = write(folder / "users", by_htpasswd("alice", ALICE), by_argon2("böb", BOB))
        asks = f'basic = {{ file = "{self.users}"{basic} }}'
        self.text = (
            f'{before}[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n'
            f"{asks}\n{more}\n"
        )
        self.edge = edge(self.text, listener=listener, more=f'[status]\nbind = "127.0.0.1:{self.status}"\n')

    def ask(self, shown: str | None = None, more: str = "") -> Answer:
        with tls(self.edge.port, "a.test", self.pki.public.file) as sock:
            return exchange(sock, request(shown, more))

    def signs_in(self, name: str, password: str, more: str = "") -> int:
        return self.ask(basic(name, password), more).status

    def refused(self, shown: str | None, slug: str, status: int = 401, more: str = "") -> Answer:
        """It is, for that, and the backend hears nothing of it."""
        mark = self.raw.mark()
        it = self.ask(shown, more)
        assert (it.status, slug in it.text) == (status, True), f"{it.status} {it.text}"
        assert self.raw.since(mark) == []
        return it

    def under_way(self) -> float:
        return metric(self.status, "everyhop_passwords_under_way")

    def counted(self, verdict: str) -> float:
        return metric(self.status, f'everyhop_passwords_total{{verdict="{verdict}"}}')


FAR = ("x-forwarded-for", "192.0.2.1")


def at_once(speaker: Speaker, requests: list[tuple[tuple[str, str], ...]]) -> list[int]:
    """In one piece, so that none of them comes later than the others."""
    pseudo = [(":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "a.test")]
    streams = []
    for more in requests:
        streams.append(speaker.h2.get_next_available_stream_id())
        speaker.h2.send_headers(streams[-1], [*pseudo, *more], end_stream=True)
    speaker.flush()
    return streams


def request(shown: str | None = None, more: str = "") -> str:
    sent = "" if shown is None else f"Authorization: {shown}\r\n"
    return f"GET / HTTP/1.1\r\nHost: a.test\r\n{sent}{more}\r\n"


@pytest.fixture
def stage(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> Stage:
    return Stage(edge, pki, raw, tmp_path)


def test_who_shows_the_right_password_passes_and_who_shows_none_is_asked_for_one(stage: Stage) -> None:
    assert stage.signs_in("alice", ALICE) == 200
    assert stage.signs_in("böb", BOB) == 200, "a hash of argon2, a colon and signs beyond ASCII"
    told = 'Basic realm="a.test", charset="UTF-8"'
    assert stage.refused(None, "password/missing").headers["www-authenticate"] == told
    for shown in ("Bearer a.b.c", "Basic", "Digest username=alice", ""):
        assert stage.refused(shown, "password/missing").headers["www-authenticate"] == told
    for scheme in ("basic", "BASIC", "bAsIc"):
        assert stage.ask(basic("alice", ALICE).replace("Basic", scheme)).status == 200
    users = [(line["user"], line["status"]) for line in stage.edge.all_lines()]
    assert (
        users.count(("alice", 200)) == 4
        and users.count(("böb".encode().decode("latin-1"), 200)) == 1
        and users.count((None, 401)) == 5
    )


def test_whoever_shows_anything_else_is_refused_and_is_told_the_same_whatever_it_was(stage: Stage) -> None:
    """S01."""
    wrong = [
        ("alice", ALICE[:-1]),
        ("alice", ALICE + " "),
        ("alice", ""),
        ("alice", BOB),
        ("Alice", ALICE),
        ("bob", BOB),
        ("mallory", ALICE),
        ("", ""),
        ("", ALICE),
        ("alice", "x" * 4000),
        ("x" * 4000, "x"),
    ]
    for name, password in wrong:
        it = stage.refused(basic(name, password), "password/wrong")
        assert it.headers["www-authenticate"] == 'Basic realm="a.test", charset="UTF-8"'
        assert not name or name not in it.text
    assert stage.counted("wrong") == len(wrong), "also for who is not there one is verified"
    assert stage.counted("right") == 0


def test_what_is_no_name_and_password_in_its_one_form_is_refused_without_verifying_anything(stage: Stage) -> None:
    """S02."""
    fine = basic("alice", ALICE)
    for shown in (
        "Basic !!!!",
        fine[:-1] + "%",
        fine + "=",
        fine + " x",
        fine + ",",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"alice:\xff").decode(),
        basic("alice", ALICE + "\0"),
        basic("alice\n", ALICE),
        basic("alice", "x" * 9000),
    ):
        stage.refused(shown, "password/malformed")
    assert stage.counted("wrong") == stage.counted("right") == 0
    assert stage.signs_in("alice", ALICE) == 200


def test_a_request_with_two_of_them_is_malformed(stage: Stage) -> None:
    """S02."""
    fine = basic("alice", ALICE)
    for second in (fine, "Bearer a.b.c", basic("alice", "wrong")):
        stage.refused(fine, "http1/two-authorizations", 400, f"Authorization: {second}\r\n")
    with Speaker(stage.edge, stage.pki) as speaker:
        for second in (fine, "Bearer a.b.c", basic("alice", "wrong")):
            assert speaker.outcome(speaker.headers(("authorization", fine), ("authorization", second))) == "400"
    stage.refused(None, "password/missing", more=f"Connection: authorization\r\nAuthorization: {fine}\r\n")
    stage.refused(None, "password/missing", more=f"Proxy-Authorization: {fine}\r\n")


def test_they_are_asked_for_in_every_pattern_where_tls_ends_and_by_http2(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    from everyhop.demo.backends import Backend

    plain, behind = raw(answering(OK)), raw(answering(OK), leaf=pki.backend)
    opened = [Backend("passed", pki.pass_leaf)]
    ports = {"plaintext": plain.port, "reencrypt": behind.port, "mutual": behind.port, "passthrough": opened[0].port}
    users = write(tmp_path / "users", by_htpasswd("alice", ALICE))
    text = EVERY_PATTERN.format(**ports)
    for name in ("plaintext", "reencrypt", "mutual"):
        asks = f'basic = {{ file = "{users}", forward = "x-user" }}'
        text = text.replace(f'name = "{name}"\n', f'name = "{name}"\n{asks}\n')
    it = edge(text)
    try:
        for host in ("a.test", "b.test", "c.test"):
            for sent, status in (("", 401), (f"Authorization: {basic('alice', ALICE)}\r\n", 200)):
                with tls(it.port, host, pki.public.file) as sock:
                    assert exchange(sock, f"GET / HTTP/1.1\r\nHost: {host}\r\n{sent}\r\n").status == status, host
        with Speaker(it, pki) as speaker:
            assert speaker.outcome(speaker.headers()) == "401"
            assert speaker.outcome(speaker.headers(("authorization", basic("alice", "wrong")))) == "401"
            shown = ("authorization", basic("alice", ALICE))
            assert speaker.outcome(speaker.headers(shown, ("x-user", "root"), ("x_user", "root"))) == "200"
        assert b"root" not in plain.received and fields(plain.received)["x-user"] == ["alice"]
    finally:
        for one in opened:
            one.close()


@pytest.mark.parametrize("strip", [True, False])
def test_the_backend_and_a_mirror_are_told_the_name_and_the_password_where_it_goes_on(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path, strip: bool
) -> None:
    mirror = raw(answering(OK))
    more = f'mirror = {{ to = ["127.0.0.1:{mirror.port}"] }}'
    it = Stage(edge, pki, raw, tmp_path, f', forward = "X-User", strip = {str(strip).lower()}', more)
    forged = "X-User: root\r\nx-user: root\r\nX_USER: root\r\nX.User: root\r\nX-Users: kept\r\n"
    assert it.signs_in("böb", BOB, forged) == 200
    until(lambda: b"\r\n\r\n" in mirror.received or None)
    for received in (it.raw.received, mirror.received):
        got = fields(received)
        assert got["x-user"] == ["böb"] and got["x-users"] == ["kept"]
        assert b"root" not in received
        assert got.get("authorization") == (None if strip else [basic("böb", BOB)])


def test_a_password_is_verified_once_and_one_that_was_wrong_is_never_remembered(stage: Stage) -> None:
    """S01."""
    with tls(stage.edge.port, "a.test", stage.pki.public.file) as sock:
        for _ in range(5):
            assert exchange(sock, request(basic("alice", ALICE))).status == 200
    assert stage.signs_in("alice", ALICE) == 200, "on another connection it is known, too"
    assert (stage.counted("right"), stage.counted("remembered")) == (1, 5)
    assert [stage.signs_in("alice", "wrong") for _ in range(3)] == [401] * 3
    assert (stage.counted("wrong"), stage.counted("remembered")) == (3, 5)
    assert [stage.signs_in(name, ALICE) for name in ("mallory", "mallory", "böb")] == [401] * 3
    assert (stage.counted("wrong"), stage.counted("remembered")) == (6, 5)
    assert stage.under_way() == 0


def test_the_same_password_that_several_connections_show_at_once_is_verified_once(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    """As a browser begins: six connections, none of which is known yet."""
    it = Stage(edge, pki, raw, tmp_path)
    write(it.users, by_htpasswd("alice", ALICE, *SLOW))
    assert it.edge.admin("reload")["reloaded"]
    socks = [tls(it.edge.port, "a.test", pki.public.file) for _ in range(6)]
    for sock in socks:
        sock.sendall(request(basic("alice", ALICE)).encode())
    assert [read_answer(sock).status for sock in socks] == [200] * 6
    for sock in socks:
        sock.close()
    assert it.counted("right") + it.counted("remembered") <= 6
    assert it.counted("right") == 1


def test_others_are_served_while_a_password_is_verified(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> None:
    """S03. There is one thread: it waits for nothing."""
    it = Stage(edge, pki, raw, tmp_path)
    write(it.users, by_htpasswd("alice", ALICE), by_htpasswd("slow", ALICE, "-B", "-C", "13"))
    assert it.edge.admin("reload")["reloaded"]
    assert it.signs_in("alice", ALICE) == 200
    tried = iter(range(1000))

    def is_served_meanwhile() -> bool:
        """A thread that waited would be here with its answer only once nothing is under way."""
        with (
            tls(it.edge.port, "a.test", pki.public.file) as waits,
            tls(it.edge.port, "a.test", pki.public.file) as sock,
        ):
            waits.sendall(request(basic("slow", str(next(tried)))).encode())
            assert exchange(sock, request(basic("alice", ALICE))).status == 200
            was = it.under_way() == 1
            assert read_answer(waits).status == 401
            return was

    until(lambda: is_served_meanwhile() or None)


def test_where_too_many_are_shown_the_rest_is_refused_and_nobody_passes_by_that(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    """S03."""
    it = Stage(edge, pki, raw, tmp_path, listener='trusted_proxies = ["127.0.0.1"]')
    write(it.users, by_htpasswd("alice", ALICE, *SLOW))
    assert it.edge.admin("reload")["reloaded"]
    with Speaker(it.edge, pki) as speaker:
        shown = [*map(str, range(40)), ALICE]
        right = at_once(speaker, [(("authorization", basic("alice", it)), FAR) for it in shown])[-1]
        # One is being verified and sixteen wait: there is no room for the right one.
        told = next(
            dict(event.headers)
            for event in speaker.events()
            if isinstance(event, h2.events.ResponseReceived) and event.stream_id == right
        )
        assert (told[b":status"], told[b"retry-after"]) == (b"503", b"1") and b"www-authenticate" not in told
        assert it.counted("too-many-at-once") >= 20
        assert it.signs_in("alice", ALICE, "X-Forwarded-For: 192.0.2.2\r\n") == 200, "another address has its turn"
    # Those who left are not verified any more.
    until(lambda: it.under_way() == 0)
    assert it.counted("wrong") <= 30
    assert it.raw.received.count(b"GET / HTTP/1.1") == 1, "who was right, and nobody else"
    ends = [line["end"] for line in it.edge.all_lines()]
    assert ends.count("password/too-many-at-once") >= 20 and ends.count("done") == 1


def test_whoever_tries_passwords_has_as_many_tries_as_its_address_has_requests(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    it = Stage(edge, pki, raw, tmp_path, more='limited_by = ["few"]', before=limit("3/h"))
    tried = [it.signs_in("alice", password) for password in ("a", "b", "c", "d", ALICE)]
    assert tried == [401, 401, 401, 429, 429], "also with the right one: which it was is not told to who guessed on"
    assert it.counted("wrong") == 3, "what is beyond the limit is not verified"
    assert not it.raw.received


def test_a_file_that_changes_lets_in_whom_it_has_from_then_on_and_nobody_else(stage: Stage) -> None:
    """S04."""
    assert [stage.signs_in("alice", ALICE), stage.signs_in("böb", BOB)] == [200, 200]
    bob = by_argon2("böb", BOB)
    write(stage.users, by_htpasswd("alice", "another"), bob, by_htpasswd("carol", "hers"))
    until(lambda: stage.signs_in("alice", ALICE) == 401)
    assert [stage.signs_in("alice", "another"), stage.signs_in("carol", "hers")] == [200, 200]
    assert stage.signs_in("böb", BOB) == 200 and stage.signs_in("böb", BOB) == 200
    assert stage.counted("right") == 4, "whose hash is the same is still known"
    write(stage.users, bob)
    until(lambda: stage.signs_in("carol", "hers") == 401)
    assert stage.signs_in("alice", "another") == 401
    write(stage.users, bob, "alice:hunter2 is secret\nhunter3 is pasted\n")
    stage.edge.edge.wait_for("the last good ones stay", 30)
    assert stage.signs_in("böb", BOB) == 200, "the last that could be used are kept"


def test_nothing_of_a_line_that_is_refused_is_shown_by_anybody(stage: Stage) -> None:
    """S04. A password may stand there."""
    write(stage.users, by_argon2("böb", BOB), "alice:hunter2 is secret\nhunter3 is pasted\n")
    checked = stage.edge.cli("check", str(stage.edge.config))
    assert checked.returncode == 1 and f"{stage.users}:2:7: refused [users/other-hash]" in checked.stderr
    assert f"{stage.users}:3:1: refused [users/line]" in checked.stderr
    asked = stage.edge.cli("check", str(stage.edge.config), "--json")
    reloaded = stage.edge.cli("reload", "--config", str(stage.edge.config))
    assert reloaded.returncode == 1
    stage.edge.edge.wait_for("the last good ones stay", 30)
    told = "\n".join([*stage.edge.edge.said, *(it.stdout + it.stderr for it in (checked, asked, reloaded))])
    assert "users/other-hash" in told and "hunter" not in told and "$argon2" not in told


def test_nginxs_format_has_the_name_in_its_place(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> None:
    users = write(tmp_path / "users", by_htpasswd('al "ice"', ALICE))
    asks = f'basic = {{ file = "{users}" }}\n'
    port = raw(answering(OK)).port
    it = edge(
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{asks}',
        log='format = "combined"',
    )
    for shown, status in ((basic('al "ice"', ALICE), 200), (None, 401)):
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, request(shown)).status == status
    it.edge.stop()
    first, second = it.log.read_text().splitlines()
    assert first.startswith("127.0.0.1 - al \\x22ice\\x22 [") and second.startswith("127.0.0.1 - - [")


def test_a_tunnel_outlives_other_users_and_ends_with_the_password_that_opened_it(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    """S04."""
    it = Stage(edge, pki, raw, tmp_path, more='upgrades = ["tcp"]', backend=Daemon())
    alice = it.users.read_text().split("\n")[0] + "\n"
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        sock.sendall(asking().replace(b"\r\n\r\n", f"\r\nAuthorization: {basic('alice', ALICE)}\r\n\r\n".encode(), 1))
        until_there(sock, b"hi")
        write(it.users, alice, by_htpasswd("carol", "hers"))
        assert it.edge.admin("reload")["reloaded"]
        sock.sendall(b"still")
        until_there(sock, b"STILL")
        write(it.users, by_htpasswd("alice", "another"))
        assert it.edge.admin("reload")["reloaded"]
        assert sock.recv(1) == b""
    line = it.edge.line(lambda line: line["status"] == 101)
    assert (line["end"], line["user"]) == ("tunnel/route-gone", "alice")


def test_a_preflight_which_proves_nothing_is_answered_and_pages_may_read_why_they_were_refused(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    cors = 'cors = { origins = ["https://app.test"], headers = ["authorization"] }'
    it = Stage(edge, pki, raw, tmp_path, more=cors)
    asks = "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n"
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, f"OPTIONS / HTTP/1.1\r\nHost: a.test\r\n{asks}\r\n")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "https://app.test")
    for shown, slug in ((None, "password/missing"), (basic("alice", "wrong"), "password/wrong")):
        refused = it.refused(shown, slug, more="Origin: https://app.test\r\n")
        assert refused.headers["access-control-allow-origin"] == "https://app.test"


def test_what_it_is_for_is_told_in_the_owners_words(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> None:
    it = Stage(edge, pki, raw, tmp_path, ', realm = "the staging site"')
    for shown, slug in ((None, "password/missing"), (basic("alice", "wrong"), "password/wrong")):
        told = it.refused(shown, slug).headers["www-authenticate"]
        assert told == 'Basic realm="the staging site", charset="UTF-8"'


def test_curl_signs_in(stage: Stage) -> None:
    url = f"https://a.test:{stage.edge.port}/"
    for version in ("--http1.1", "--http2"):
        for user, status in ((f"alice:{ALICE}", b"200"), (f"böb:{BOB}", b"200"), ("alice:wrong", b"401")):
            done = curl(stage.edge, version, "-o", "/dev/null", "-w", "%{http_code}", "-u", user, url)
            assert done.stdout == status, done.stderr
        # It asks first without one, as browsers do, and answers what it is asked for.
        done = curl(
            stage.edge, version, "-o", "/dev/null", "-w", "%{http_code}", "--anyauth", "-u", f"alice:{ALICE}", url
        )
        assert done.stdout == b"200", done.stderr


def test_a_body_is_asked_for_once_its_password_was_verified_and_not_before(stage: Stage) -> None:
    """Also while it is verified: what comes early waits."""
    for password, status in ((ALICE, 200), ("wrong", 401)):
        mark = stage.raw.mark()
        head = (
            f"POST / HTTP/1.1\r\nHost: a.test\r\nAuthorization: {basic('alice', password)}\r\nContent-Length: 5\r\n\r\n"
        )
        with tls(stage.edge.port, "a.test", stage.pki.public.file) as sock:
            assert exchange(sock, head + "hello").status == status
            assert exchange(sock, request(basic("alice", ALICE))).status == 200
        seen = b"".join(stage.raw.since(mark))
        assert (seen.count(b"POST /"), seen.count(b"hello")) == ((1, 1) if status == 200 else (0, 0))
        assert seen.count(b"GET /") == 1


def test_where_tells_whether_a_password_passes_and_why_not_without_sending_anything(stage: Stage) -> None:
    def where(*more: str, typed: str = "") -> str:
        command = [sys.executable, "-m", "everyhop", "where", "a.test/", "--config", str(stage.edge.config), *more]
        said = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)
        assert said.returncode in (0, 1), said.stderr
        return said.stdout

    mark = stage.raw.mark()
    assert "taken as shown; --user NAME" in where()
    assert "this one passes" in where("--user", "alice", typed=f"{ALICE}\n")
    told = where("--user", "alice", typed="wrong\n")
    assert "refused with 401" in told and "password/wrong" in told and "this one is refused" in told
    assert "password/malformed" in where("--header", "Authorization: Basic !!!!")
    assert "not judged" in where("--offline", "--user", "alice", typed="wrong\n")
    assert stage.raw.since(mark) == [] and stage.counted("wrong") == 0


def test_the_line_that_the_command_makes_lets_its_owner_in_and_shows_no_password(stage: Stage) -> None:
    def made(name: str, typed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "everyhop", "password", name]
        return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False)

    done = made("dave", "tr0ub4dor&3\n")
    assert done.returncode == 0 and done.stdout.startswith("dave:$argon2id$v=19$m=19456,t=2,p=1$")
    assert done.stdout.count("\n") == 1 and "tr0ub4dor" not in done.stdout + done.stderr
    write(stage.users, done.stdout, by_htpasswd("alice", ALICE))
    until(lambda: stage.signs_in("dave", "tr0ub4dor&3") == 200)
    assert stage.signs_in("dave", "tr0ub4dor&4") == 401
    for name, typed in (
        ("da:ve", "x\n"),
        ("#dave", "x\n"),
        (" dave", "x\n"),
        ("", "x\n"),
        ("dave", ""),
        ("dave", "\n"),
    ):
        assert made(name, typed).returncode == 2, (name, typed)


def test_nothing_of_a_password_is_in_any_log(stage: Stage) -> None:
    shown = basic("alice", "a very wrong one")
    assert stage.ask(shown).status == 401 and stage.signs_in("alice", ALICE) == 200
    stage.edge.all_lines()
    told = stage.edge.log.read_text() + "\n".join(stage.edge.edge.said)
    for secret in ("a very wrong one", ALICE, shown[6:], basic("alice", ALICE)[6:], "$2y$", "$argon2"):
        assert secret not in told
