"""`everyhop guard --enroll`: a guard comes to its certificate by a token, renews it while requests are made, begins again by what it
kept, and lets in whom it is told. A token that is not good is told before anything is served."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from everyhop.authority import opened
from everyhop.authority.certify import BACKDATED
from everyhop.authority.enrolment import invite
from everyhop.authority.names import named
from everyhop.cli.guard import lasting
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.forge import alone, saved
from tests.kit.guards import GET, Guard, asked, flags, serial
from tests.kit.nursery import everyhop
from tests.kit.own_ca import OwnCa, Served
from tests.threats.ground import serving
from tests.threats.talk import arrivals

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Guards = Callable[..., Guard]
EDGE, BACKEND = "spiffe://corp.example/edge", "backend.corp.example"
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example", "--network", "127.0.0.0/8")


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


@pytest.fixture
def served(own: OwnCa) -> Iterator[Served]:
    it = own.served()
    yield it
    assert it.stop() == 0


@pytest.fixture
def guard(own: OwnCa, served: Served) -> Iterator[Guards]:
    begun: list[Guard] = []

    def start(to: int, token: str, *more: str) -> Guard:
        begun.append(Guard(to, "--enroll", at(served, token), "--admit", EDGE, *more))
        return begun[-1]

    yield start
    for it in begun:
        it.close()


def at(served: Served, token: str = "") -> str:
    return f"{token}@127.0.0.1:{served.port}" if token else f"127.0.0.1:{served.port}"


def token(own: OwnCa, *names: str, lasts_s: float = 86400, ends_in_s: float = 600, use: str = "both") -> str:
    """As `everyhop ca token` makes one, by the second."""
    lasts, ends_in = dt.timedelta(seconds=lasts_s), dt.timedelta(seconds=ends_in_s)
    return str(invite(opened(own.at), [named(it) for it in names or [BACKEND]], use, lasts, ends_in))


def kept(it: Guard) -> x509.Certificate:
    return x509.load_pem_x509_certificates((it.state / "identity/current/pair.pem").read_bytes())[0]


def admitted(own: OwnCa, served: Served, folder: Path) -> str:
    """An identity of the edge, by the same authority."""
    given = folder / "edge.token"
    given.touch(0o600)
    given.write_text(token(own, EDGE))
    return (
        f'[[identity]]\nname = "own"\nfrom = "ca"\nauthority = "{at(served)}"\ntoken = "file:{given}"\n'
        f'state = "{folder / "edge"}"\n'
    )


def through(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file, kept=False) as sock:
        return exchange(sock, GET).status


@pytest.mark.parametrize("names", [[BACKEND], ["spiffe://corp.example/backend"]], ids=["host", "workload"])
def test_an_edge_reaches_the_backend_by_the_lines_that_an_enrolled_guard_gives(
    edge: Edges, raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path, names: list[str]
) -> None:
    """Both by one token each; nobody copied a key, a certificate, roots or lists."""
    backend = raw(serving)
    given = token(own, *names)
    it = guard(backend.port, given)
    front = edge(it.route("own"), more=admitted(own, served, tmp_path))
    until(lambda: through(front) == 200)
    hop = front.line(lambda line: line.get("route") == "r" and line["status"] == 200)["backend_hop"]
    assert hop["identity"] == "demanded"
    (got, *_) = arrivals([bytes(record) for record in backend.records])
    assert got.one("x-forwarded-for") == "127.0.0.1, 127.0.0.1"
    until(lambda: EDGE in it.lines)
    secret = given.split(".")[1]
    for file in it.state.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    assert secret not in it.paste.read_text() + "".join(it.said)
    assert (it.state / "identity").stat().st_mode & 0o777 == 0o700


def test_nobody_else_gets_to_the_backend_of_an_enrolled_guard(
    raw: Raws, own: OwnCa, guard: Guards, edge: Edges, tmp_path: Path
) -> None:
    """No certificate, one of another authority, another name of this one; who is admitted, until that was taken back."""
    backend = raw(serving)
    it = guard(backend.port, token(own))
    roots = own.roots
    stranger = alone("edge", names=["edge.corp.example"])
    for shows in (None, saved(tmp_path, "stranger", stranger, stranger)):
        with pytest.raises(OSError):
            asked(it.port, roots, shows)
    other = own.leaf(tmp_path / "other", "spiffe://corp.example/edge2")
    assert asked(it.port, roots, other) == 403
    assert not any(bytes(record) for record in backend.records)
    mine = own.leaf(tmp_path / "edge", EDGE)
    assert asked(it.port, roots, mine) == 200
    own.does("revoke", f"{x509.load_pem_x509_certificates(mine.chain.read_bytes())[0].serial_number:X}")
    assert everyhop("reload", "--config", str(it.config)).returncode == 0

    def is_shut_out() -> bool:
        try:
            asked(it.port, roots, mine)
        except OSError:
            return True
        return False

    until(is_shut_out)


def test_a_guard_renews_by_itself_while_requests_are_made_and_none_of_them_fails(
    edge: Edges, raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path
) -> None:
    """K04. Until the first certificate of the guard is over, and the hop with it."""
    backend = raw(serving)
    it = guard(backend.port, token(own, lasts_s=24))
    first, me = kept(it), own.leaf(tmp_path / "me", EDGE)
    front = edge(it.route("own"), more=admitted(own, served, tmp_path))
    until(lambda: through(front) == 200)
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(through(front))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert serial(it.port, own.roots, me) == first.serial_number
        until(lambda: serial(it.port, own.roots, me) == kept(it).serial_number != first.serial_number, 60)
        # By its own word: when it was noticed here is of no account.
        renewed = kept(it).not_valid_before_utc + BACKDATED
        until(lambda: dt.datetime.now(dt.UTC) > first.not_valid_after_utc, 60)
        passed = len(answers)
        until(lambda: len(answers) > passed + 5)
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}, answers
    half = first.not_valid_after_utc - dt.timedelta(seconds=12)
    assert half <= renewed <= first.not_valid_after_utc
    assert it.wait_for("identity 'guard' has a new certificate")


def test_a_guard_that_begins_again_goes_on_with_what_it_kept_and_needs_neither_token_nor_authority(
    raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path
) -> None:
    backend = raw(serving)
    given = token(own)
    it = guard(backend.port, given)
    me, first = own.leaf(tmp_path / "me", EDGE), kept(it).serial_number
    assert it.stop() == 0
    for enroll in (at(served, given), at(served), f"127.0.0.1:{free_port()}"):
        it.begin("--enroll", enroll, "--admit", EDGE)
        assert "goes on with a certificate of backend.corp.example" in it.paste.read_text()
        assert serial(it.port, own.roots, me) == first
        assert asked(it.port, own.roots, me) == 200
        assert it.stop() == 0
    it.begin("--enroll", at(served), "--admit", EDGE)
    assert [one["names"] for one in own.list()["certificates"]].count([BACKEND]) == 1


def test_a_guard_whose_supervisor_is_killed_goes_on_and_the_next_one_takes_it_over(
    raw: Raws, own: OwnCa, guard: Guards, tmp_path: Path
) -> None:
    """As under systemd, by the unit that is shipped: nobody waits for a restart."""
    it = guard(raw(serving).port, token(own))
    me, first = own.leaf(tmp_path / "me", EDGE), kept(it).serial_number
    it.process.kill()
    it.process.wait(30)
    assert asked(it.port, own.roots, me) == 200
    it.begin()
    assert any("left over" in row or "adopted" in row for row in it.said), it.said
    assert asked(it.port, own.roots, me) == 200 and serial(it.port, own.roots, me) == first


def test_a_token_in_a_file_is_read_there_and_serves_again_once_the_certificate_was_over(
    raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path
) -> None:
    """The file is what the configuration names, so that who runs it needs no restart for another token."""
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(token(own, lasts_s=2) + "\n")
    it = guard(raw(serving).port, f"file:{file}")
    assert f'token = "file:{file}"' in it.config.read_text()
    first = kept(it)
    assert it.stop() == 0
    until(lambda: dt.datetime.now(dt.UTC) > first.not_valid_after_utc)
    done = everyhop("guard", *flags(it.state, it.port, it.to, "--enroll", at(served), "--admit", EDGE))
    assert done.returncode == 2 and "has one that is over since" in done.stderr, done.stderr
    file.write_text(token(own) + "\n")
    it.begin("--enroll", at(served, f"file:{file}"), "--admit", EDGE)
    assert kept(it).serial_number != first.serial_number


def used(own: OwnCa, served: Served, folder: Path) -> str:
    given = token(own)
    (folder / "first").mkdir()
    done = everyhop("ca", "enroll", f"{given}@127.0.0.1:{served.port}", "--out", str(folder / "first"))
    assert done.returncode == 0, done.stderr
    return given


def wrong(own: OwnCa, served: Served, folder: Path) -> str:
    good = token(own)
    mark, secret, root = good.split(".")
    return ".".join([mark, ("B" if secret[0] == "A" else "A") + secret[1:], root])


def withdrawn(own: OwnCa, served: Served, folder: Path) -> str:
    given = token(own)
    own.does("token", "--withdraw", BACKEND)
    return given


NOT_GOOD = {
    "used": (used, 1, "answered 403: that token or certificate is not good here"),
    "wrong": (wrong, 1, "answered 403: that token or certificate is not good here"),
    "over": (lambda own, *_: token(own, ends_in_s=0), 1, "answered 403: that token or certificate is not good here"),
    "withdrawn": (withdrawn, 1, "answered 403: that token or certificate is not good here"),
    "none": (lambda *_: "ehca1.abc", 2, "that is no token of everyhop ca token; nothing was asked"),
    "for clients": (lambda own, *_: token(own, use="client"), 1, "for clients alone"),
    "for servers": (lambda own, *_: token(own, use="server"), 1, "for servers alone"),
    "no file": (lambda *_: "file:/nowhere/token", 4, "/nowhere/token"),
    "absent": (lambda *_: "", 2, "it needs a certificate, and has none in"),
}


@pytest.mark.parametrize("case", NOT_GOOD)
def test_a_token_that_is_not_good_is_told_in_one_sentence_and_nothing_is_served(
    own: OwnCa, served: Served, tmp_path: Path, case: str
) -> None:
    make, code, told = NOT_GOOD[case]
    state, port = tmp_path / "state", free_port()
    given = make(own, served, tmp_path)
    arguments = flags(state, port, "127.0.0.1:9", "--enroll", at(served, given), "--admit", EDGE)
    done = everyhop("guard", *arguments)
    assert done.returncode == code and told in done.stderr, done.stdout + done.stderr
    first, *more = done.stderr.splitlines()
    assert first.startswith("everyhop: ") and all(row.startswith("  ") for row in more), done.stderr
    assert not (state / "guard.toml").exists() and not (state / "identity/current").exists()
    assert len(given) < 64 or given.split(".")[1] not in done.stdout + done.stderr


def test_an_authority_that_is_away_or_is_another_gets_no_token(own: OwnCa, served: Served, tmp_path: Path) -> None:
    """And the token is good afterwards."""
    given, gone = token(own), free_port()
    (tmp_path / "more").mkdir()
    another = OwnCa(tmp_path / "more", *TOLD)
    other = another.served()
    try:
        for port, told in ((gone, "did not answer"), (other.port, "is not the authority that the token is of")):
            arguments = ["--enroll", f"{given}@127.0.0.1:{port}", "--admit", EDGE]
            done = everyhop("guard", *flags(tmp_path / "state", free_port(), "127.0.0.1:9", *arguments))
            assert done.returncode == 4 and told in done.stderr, done.stderr
    finally:
        assert other.stop() == 0
    (one,) = own.does("token", "--list").splitlines()[:-1]
    assert " good " in one


def test_a_name_that_is_not_in_the_certificate_is_refused_and_one_that_is_stands_in_the_lines(
    raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path
) -> None:
    two = token(own, BACKEND, "second.corp.example")
    it = guard(raw(serving).port, two, "--name", "second.corp.example")
    assert 'name = "second.corp.example" }' in it.paste.read_text()
    assert it.stop() == 0
    for state, given in ((it.state, ""), (tmp_path / "state", token(own))):
        more = ["--enroll", at(served, given), "--admit", EDGE, "--name", "third.corp.example"]
        done = everyhop("guard", *flags(state, free_port(), "127.0.0.1:9", *more))
        assert done.returncode == 1 and "not of third.corp.example" in done.stderr, done.stderr
    it.begin("--enroll", at(served), "--admit", EDGE)


def test_edges_of_another_authority_are_known_by_its_roots_and_lists_where_those_are_given(
    raw: Raws, own: OwnCa, served: Served, guard: Guards, tmp_path: Path
) -> None:
    """The guard's own certificate is of one, whom it admits of the other."""
    (tmp_path / "more").mkdir()
    another = OwnCa(tmp_path / "more", *TOLD)
    it = guard(raw(serving).port, token(own), "--ca", str(another.roots), "--crl", str(another.lists))
    theirs, ours = another.leaf(tmp_path / "theirs", EDGE), own.leaf(tmp_path / "ours", EDGE)
    assert asked(it.port, own.roots, theirs) == 200
    with pytest.raises(OSError):
        asked(it.port, own.roots, ours)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--cert", "a.pem"], "say one of both"),
        (["--key", "a.key"], "say one of both"),
        (["--crl", "a.pem"], "--crl goes with --ca"),
        (["--enroll", "nowhere"], "is no address such as"),
        (["--enroll", "-"], "is no address such as"),
    ],
)
def test_what_is_said_twice_or_to_nobody_is_refused_before_anything_is_written(
    tmp_path: Path, more: list[str], told: str
) -> None:
    good = flags(tmp_path / "state", 8443, "127.0.0.1:8080", "--enroll", "127.0.0.1:9", "--admit", EDGE)
    shown = everyhop("guard", *good, "--print-config")
    assert shown.returncode == 0 and 'ca = "identity:guard", crl = "identity:guard"' in shown.stdout, shown.stderr
    done = everyhop("guard", *good, *more)
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert not (tmp_path / "state").exists()


def test_whom_to_ask_may_come_by_standard_input_and_a_token_is_shown_by_no_configuration(own: OwnCa) -> None:
    given = token(own)
    words = ["--listen", ":8443", "--to", "127.0.0.1:8080", "--admit", EDGE, "--enroll"]
    for more, stdin in (([f"{given}@127.0.0.1:9"], None), (["-"], f"{given}@127.0.0.1:9\n")):
        done = everyhop("guard", *words, *more, "--print-config", given=stdin)
        assert done.returncode == 0 and 'authority = "127.0.0.1:9"' in done.stdout, done.stderr
        assert "token" not in done.stdout and given.split(".")[1] not in done.stdout + done.stderr


def test_without_a_folder_a_certificate_lies_where_it_outlives_a_start_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lasting() == Path("/var/lib/everyhop/guard")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert lasting() == Path("/home/me/.local/state/everyhop/guard")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert lasting() == Path("/home/me/state/everyhop/guard")
