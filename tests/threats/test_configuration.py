"""Configurations that are wrong, and moments that are: what runs is the last good plan, whole, and whoever is connected
obeys it from the next request on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from everyhop.admin import engine_socket
from everyhop.admin.client import answer
from everyhop.compile import compile_file
from everyhop.demo.certificates import Authority, put
from everyhop.demo.stage import Edge, free_port
from everyhop.engine.control import Control
from everyhop.engine.frames import connect, packed
from everyhop.engine.messages import Hello, Welcome
from everyhop.errors import EveryhopError
from everyhop.evidence import read_observation
from tests.kit import EdgeKit, Pki, Raw, exchange, read_answer, tls
from tests.kit.edge import until
from tests.kit.forge import HOUR, crl, forged, root, saved
from tests.kit.halt import halt
from tests.kit.raw import OK, answering, head
from tests.threats.frames import Client, fields
from tests.threats.measure import descriptors, engine_pid

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(port: int, more: str = "", name: str = "r", host: str = "a.test", tls_: str = "plaintext") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\ntls = "{tls_}"\nto = ["127.0.0.1:{port}"]\n{more}\n'


# C01.

GOOD = """
[[route]]
name = "plain"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{port}"]
[[route]]
name = "mutual"
host = "c.test"
tls = "mutual"
to = ["10.0.0.1:8443"]
verify = {{ ca = "{{own}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
[[route]]
name = "pass"
host = "pass.test"
tls = "passthrough"
to = ["10.0.0.2:8443"]
[[route]]
name = "accepted"
host = "b.test"
tls = "plaintext"
to = ["10.0.0.3:80"]
[route.acceptance]
owner = "o@example.com"
why = "an appliance without TLS"
context = "vendor-appliance"
since = 2026-11-01
until = 2027-03-01
"""
ADDED = '[[route]]\nname = "more"\nhost = "*.w.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'

Change = tuple[str, str]
"""A text and what stands there instead; an empty text is the end of the file."""

BROKEN: dict[str, tuple[Change, str]] = {
    # The form.
    "a bracket open": (("[engine]", "[engine"), "config/syntax"),
    "a string open": (('name = "plain"', 'name = "plain'), "config/syntax"),
    "a key twice": (('name = "plain"', 'name = "plain"\nname = "plain"'), "config/syntax"),
    "a table twice": (("[engine]", "[engine]\n[engine]"), "config/syntax"),
    "a NUL": (('name = "plain"', 'name = "pl\x00ain"'), "config/syntax"),
    "no UTF-8": (('name = "plain"', 'name = "pl\udcff"'), "config/syntax"),
    "another version": (("version = 1", "version = 2"), "config/wrong-value"),
    "no version": (("version = 1\n", ""), "config/missing-key"),
    "an unknown key": (('tls = "mutual"', 'tls = "mutual"\nverifyy = 1'), "config/unknown-key"),
    "an unknown table": (("", '[[rout]]\nname = "x"\n'), "config/unknown-key"),
    "a key that is missing": (('host = "c.test"\n', ""), "config/missing-key"),
    "another type": (("drain_s = 5", 'drain_s = "5"'), "config/wrong-type"),
    "a number below its least": (("drain_s = 5", "drain_s = -5"), "config/wrong-value"),
    "an unknown pattern": (('tls = "mutual"', 'tls = "off"'), "config/wrong-value"),
    # Names.
    "two routes of one name": (("", ADDED.replace("more", "plain")), "config/duplicate-name"),
    "two listeners of one name": (
        ("", '[[listener]]\nname = "public"\nbind = ["127.0.0.1:1"]\n'),
        "config/duplicate-name",
    ),
    "two sites of one name": (
        (
            "",
            '[[site]]\nname = "edge"\nhosts = ["x.test"]\ncerts = [{ chain = "{own}/edge.pem", key = "file:{own}/edge.key" }]\n',
        ),
        "config/duplicate-name",
    ),
    "an identity that is not there": (('present = "edge"', 'present = "nobody"'), "config/unknown-name"),
    "a site for those without a name that is not there": (
        ('name = "public"', 'name = "public"\nno_sni = "nobody"'),
        "config/unknown-name",
    ),
    # Addresses.
    "an address that is none": (('bind = ["', 'bind = ["x'), "listener/bind"),
    "an address twice": (("", '[[listener]]\nname = "two"\nbind = ["{bind}"]\n'), "listener/bind-twice"),
    "a backend without a port": (('to = ["10.0.0.1:8443"]', 'to = ["10.0.0.1"]'), "hop/address"),
    "a backend twice": (('to = ["10.0.0.1:8443"]', 'to = ["10.0.0.1:8443", "10.0.0.1:8443"]'), "hop/twice"),
    "a host that is none": (('host = "c.test"', 'host = "c_.test!"'), "route/host"),
    "a path in two forms": (('host = "c.test"', 'host = "c.test"\npath = "/a/../b"'), "route/path"),
    # Contradictions.
    "plaintext that nobody accepted": (
        ('to = ["127.0.0.1:{port}"]', 'to = ["10.9.9.9:80"]'),
        "hop/plaintext-without-acceptance",
    ),
    "an acceptance that is over": (("until = 2027-03-01", "until = 2026-11-02"), "acceptance/expired"),
    "an acceptance for two years": (("until = 2027-03-01", "until = 2028-11-01"), "acceptance/dates"),
    "an acceptance that ends before it begins": (("since = 2026-11-01", "since = 2027-03-02"), "acceptance/dates"),
    "mutual without an identity": (('present = "edge"\n', ""), "hop/no-identity"),
    "verification without a name": ((', name = "backend.internal"', ""), "hop/no-name"),
    "verification without roots": (('ca = "{own}/internal-ca.pem", ', ""), "hop/no-roots"),
    "a layer 7 rule where it is blind": (
        ('host = "pass.test"', 'host = "pass.test"\npath = "/x"'),
        "route/layer-7-on-passthrough",
    ),
    "a name passed and terminated": (('host = "pass.test"', 'host = "a.test"'), "route/passed-and-terminated"),
    "a host that no site serves": (('host = "c.test"', 'host = "d.test"'), "route/no-site"),
    "a tie": (("", ADDED + ADDED.replace("more", "same")), "route/tie"),
    "a host of two sites": (
        (
            "",
            '[[site]]\nname = "two"\nhosts = ["a.test"]\ncerts = [{ chain = "{own}/edge.pem", key = "file:{own}/edge.key" }]\n',
        ),
        "site/host-twice",
    ),
    "trust in everybody": (('name = "public"', 'name = "public"\ntrusted_proxies = ["0.0.0.0/0"]'), "trust/too-wide"),
    # Files.
    "a secret in the file": (("file:{own}/edge.key", "-----BEGIN PRIVATE KEY-----"), "secret/inline"),
    "a chain that is not there": (("{own}/edge.pem", "{own}/gone.pem"), "certificate/unreadable"),
    "a chain that is a folder": (("{own}/edge.pem", "{own}"), "certificate/unreadable"),
    "a key that is not there": (("file:{own}/edge.key", "file:{own}/gone.key"), "certificate/unreadable"),
    "a key that is garbage": (("file:{own}/edge.key", "file:{own}/garbage.key"), "certificate/unreadable"),
    "a key that others can read": (("file:{own}/edge.key", "file:{own}/open.key"), "certificate/key-exposed"),
    "a key of another certificate": (("file:{own}/edge.key", "file:{own}/other.key"), "certificate/key-mismatch"),
    "a certificate that is over": (("{own}/edge.", "{own}/old."), "certificate/expired"),
    "a certificate that is not yet": (("{own}/edge.", "{own}/early."), "certificate/expired"),
    "a certificate for other hosts": (("{own}/edge.", "{own}/other."), "certificate/host-not-covered"),
    "an environment without the key": (("file:{own}/edge.key", "env:NOBODY_SETS_THIS"), "certificate/unreadable"),
    "roots that are not there": (("{own}/internal-ca.pem", "{own}/gone.pem"), "ca/unusable"),
    "roots that are empty": (("{own}/internal-ca.pem", "{own}/empty.pem"), "ca/unusable"),
    "roots that are garbage": (("{own}/internal-ca.pem", "{own}/garbage.key"), "ca/unusable"),
    "roots that are a leaf": (("{own}/internal-ca.pem", "{own}/edge.pem"), "ca/unusable"),
    "client roots that are empty": (
        ('hosts = ["a.test"', 'clients = { ca = "{own}/empty.pem" }\nhosts = ["a.test"'),
        "ca/unusable",
    ),
    "a revocation list of nobody": (
        ('hosts = ["a.test"', 'clients = { ca = "{own}/public-ca.pem", crl = "{own}/other.crl" }\nhosts = ["a.test"'),
        "crl/unusable",
    ),
}


def asked(edge: EdgeKit, ask: str) -> dict[str, Any]:
    """The supervisor's answer, whatever stands in its file: commands would look for its socket there."""
    with connect(edge.folder / "admin.sock", 60) as sock:
        return answer(sock, ask)


@dataclass
class Running:
    """An edge that runs a good configuration, with clients that stay connected."""

    edge: EdgeKit
    backend: Raw
    folder: Path
    good: str
    h1: ssl.SSLSocket
    h2: Client
    stream: int = 1

    def fill(self, text: str) -> str:
        text = text.replace("{own}", str(self.folder)).replace("{port}", str(self.backend.port))
        return text.replace("{bind}", f"127.0.0.1:{self.edge.port}")

    def write(self, text: str) -> None:
        self.edge.config.write_bytes(text.encode(errors="surrogateescape"))

    def reload(self) -> dict[str, Any]:
        return asked(self.edge, "reload")

    def identity(self) -> tuple[object, ...]:
        engine, pid = asked(self.edge, "status")["engine"], engine_pid(self.edge)
        return engine["plan_digest"], engine["material_digest"], engine["generation"], pid

    def serve(self) -> None:
        """The connections that were there before are, and are served."""
        assert exchange(self.h1, GET).status == 200
        assert self.h2.ask(self.stream, fields("a.test")) == "200"
        self.stream += 2


@pytest.fixture(scope="module")
def running(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    own = tmp_path_factory.mktemp("own")
    for path in pki.folder.iterdir():
        shutil.copy2(path, own / path.name)
    authority = Authority(own, "Case CA")
    by = root(authority)
    hosts = ["a.test", "b.test", "c.test", "*.w.test"]
    authority.leaf("old", *hosts, days=-2.0)
    authority.leaf("other", "other.test")
    saved(own, "early", forged("early", by, names=hosts, begins=HOUR, ends=24 * HOUR), by)
    shutil.copy2(own / "edge.key", own / "open.key")
    (own / "open.key").chmod(0o644)
    put(own / "garbage.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600)
    put(own / "empty.pem", b"", 0o644)
    crl(own / "other.crl", root(Authority(own, "Other CA")))
    backend = Raw(answering(OK))
    it = EdgeKit(pki, GOOD.format(port=backend.port).replace("{own}", str(own)), more="[limits]\nidle_s = 600\n")
    it.config.write_text(it.config.read_text().replace(str(pki.folder), str(own)))
    assert it.admin("reload")["reloaded"]
    h1 = tls(it.port, "a.test", pki.public.file)
    h2 = tls(it.port, "a.test", pki.public.file, alpn=["h2"])
    h2.settimeout(20)
    yield Running(it, backend, own, it.config.read_text(), h1, Client(h2))
    h1.close()
    h2.close()
    it.close()
    backend.close()


@pytest.mark.parametrize("what", list(BROKEN))
def test_a_broken_configuration_is_refused_with_its_place_and_changes_nothing(running: Running, what: str) -> None:
    """C01, T12. More than fifty mutations of a good one, one thing at a time."""
    (old, new), slug = BROKEN[what]
    old, new = running.fill(old), running.fill(new)
    text = running.good.replace(old, new) if old else running.good + new
    assert text != running.good
    before = running.identity()
    running.serve()
    running.write(text)
    answer = running.reload()
    try:
        assert not answer["reloaded"]
        found = {finding["slug"]: finding for finding in answer["findings"] if finding["severity"] == "refused"}
        assert slug in found, answer
        place = found[slug]
        assert place["file"] == str(running.edge.config) and place["line"] >= 1 and place["column"] >= 1
        assert place["what"] and place["why"] and place["mend"]
        assert running.identity() == before
        assert asked(running.edge, "status")["supervisor"]["last_reload"]["reloaded"] is False
        running.serve()
    finally:
        running.write(running.good)


def test_the_good_one_of_which_they_are_mutations_is_good(running: Running) -> None:
    """C01. And the refusals above left nothing behind: the same file is the same plan."""
    assert len(BROKEN) >= 50
    before = running.identity()
    assert running.edge.admin("reload")["reloaded"]
    after = running.identity()
    assert (after[0], after[1], after[3]) == (before[0], before[1], before[3])
    running.serve()


def test_what_only_the_machine_can_refuse_is_all_or_nothing_as_well(running: Running, tmp_path: Path) -> None:
    """C01. A port in use beside one that is free, other threads, a log that cannot be opened, no file at all, a key
    that can be read and no engine can use."""
    running.serve()  # over a connection to the backend, which counts as well
    before, fds = running.identity(), descriptors(running.edge)
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listeners = [f'[[listener]]\nname = "l{p}"\nbind = ["127.0.0.1:{p}"]\n' for p in (free, port)]
        strange(tmp_path, "odd", Authority(tmp_path, "Odd CA"))
        site = f'[[site]]\nname = "odd"\nhosts = ["odd.test"]\ncerts = [{{ chain = "{tmp_path}/odd.pem", key = "file:{tmp_path}/odd.key" }}]\n'
        texts = {
            f"{port} is in use": running.good + "".join(listeners),
            "restart needed": running.good.replace("threads = 1", "threads = 2"),
            "log/cannot-open": running.good.replace(str(running.edge.log), str(tmp_path / "no/such/log")),
            "odd.key is Ed448": running.good + listeners[0] + site,
        }
        for why, text in texts.items():
            running.write(text)
            answer = running.reload()
            assert not answer["reloaded"] and why in str(answer), answer
            assert running.identity() == before, why
            running.serve()
            until(lambda: not listens(free), 10)
    running.write(running.good)
    running.serve()
    assert running.identity() == before
    until(lambda: descriptors(running.edge) <= fds, 10)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# C02.


def settled(it: EdgeKit) -> str:
    """The digest, once supervisor and engine agree on it and a client is served."""

    def agreed() -> str | None:
        status = asked(it, "status")
        engine, supervisor = status.get("engine"), status["supervisor"]
        if not engine or engine["plan_digest"] != supervisor["plan_digest"]:
            return None
        return str(engine["plan_digest"])

    digest = until(lambda: attempted(agreed), 30)
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        assert exchange(sock, GET).status == 200
    return digest


def attempted(act: Callable[[], str | None]) -> str | None:
    """`None` where the other side was not there or said that its engine was not."""
    try:
        return act()
    except (EveryhopError, OSError):
        return None


MOMENTS_MS = (0, 3, 10, 25, 60, 120)


def digests(it: EdgeKit, texts: list[str]) -> list[str]:
    found = []
    for text in texts:
        it.config.write_text(text)
        found.append(compile_file(it.config).plan_digest)
    return found


def test_an_engine_killed_while_it_is_given_a_plan_comes_back_with_one_whole_plan(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """C02. At six moments of a reload: afterwards supervisor and engine agree, on the old plan or the new."""
    port = raw(answering(OK)).port
    it = edge(route(port))
    base = it.config.read_text()
    texts = [base, base + route(port, 'path = "/other"', "other")]
    known = digests(it, texts)
    for turn, moment in enumerate(MOMENTS_MS):
        it.config.write_text(texts[(turn + 1) % 2])
        mark, pid = len(it.edge.said), engine_pid(it)
        it.edge.process.send_signal(signal.SIGHUP)
        threading.Event().wait(moment / 1000)
        os.kill(pid, signal.SIGKILL)
        it.edge.wait_for("the engine is back", 30, after=mark)
        assert settled(it) in known
        assert engine_pid(it) != pid
    assert asked(it, "reload")["reloaded"]
    assert settled(it) == known[len(MOMENTS_MS) % 2]


def test_a_supervisor_killed_while_it_gives_a_plan_is_followed_by_one_that_agrees_with_the_engine(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """C02. At each moment the engine serves on, and the next supervisor brings it to what the file says."""
    port = raw(answering(OK)).port
    it = edge(route(port))
    pid, base = engine_pid(it), it.config.read_text()
    texts = [base, base + route(port, 'path = "/other"', "other")]
    known = digests(it, texts)
    with tls(it.port, "a.test", pki.public.file) as sock:
        for turn, moment in enumerate(MOMENTS_MS[::2]):
            now = (turn + 1) % 2
            it.config.write_text(texts[now])
            it.edge.process.send_signal(signal.SIGHUP)
            threading.Event().wait(moment / 1000)
            it.edge.process.kill()
            it.edge.process.wait(20)
            assert exchange(sock, GET).status == 200
            it.edge = Edge(it.config)
            it.edge.wait_for(f"adopted the engine with pid {pid}", 30)
            it.edge.wait_for("ready:", 30)
            assert settled(it) == known[now]
            assert exchange(sock, GET).status == 200


def test_an_engine_that_answers_too_late_is_not_misunderstood(edge: Edges, raw: Raws, pki: Pki) -> None:
    """C02. It stands still for longer than the supervisor waits; what it says then is not taken for the next answer."""
    port = raw(answering(OK)).port
    it = edge(route(port))
    base, pid = it.config.read_text(), engine_pid(it)
    before = settled(it)
    halt(pid)
    try:
        it.config.write_text(base + route(port, 'path = "/other"', "other"))
        answer = asked(it, "reload")
        assert not answer["reloaded"] and "the engine did not answer in time" in answer["why"], answer
    finally:
        os.kill(pid, signal.SIGCONT)
    assert settled(it) == before
    assert asked(it, "reload")["reloaded"]
    assert settled(it) != before
    assert engine_pid(it) == pid, "it lived, and goes on"


def test_what_was_asked_of_an_engine_by_one_who_has_left_is_not_done(edge: Edges, raw: Raws, pki: Pki) -> None:
    """C02. An engine that stood still finds two questions: one that nobody waits for any more, which may be the older."""
    it = edge(route(raw(answering(OK)).port))
    pid = engine_pid(it)
    path = engine_socket(it.folder / "admin.sock")
    halt(pid)
    try:
        for _ in range(20):
            left = Control.connect(path)
            left.sock.sendall(packed({"protocol": 1, "ask": "drain", "drain_s": 60}))
            left.close()
    finally:
        os.kill(pid, signal.SIGCONT)
    for _ in range(20):
        control = Control.connect(path)
        try:
            welcome = control.must(Hello(), Welcome)
        finally:
            control.close()
        assert not welcome.draining
        with tls(it.port, "a.test", pki.public.file) as sock:
            assert exchange(sock, GET).status == 200


def test_keys_that_the_engine_cannot_use_leave_the_last_good_ones_and_the_supervisor(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path
) -> None:
    """C02, T14. Whoever reads them asks what the engine itself would say, and tells the kind of the key."""
    authority = Authority(tmp_path, "Own CA")
    authority.leaf("edge", "a.test")
    it = edge(route(raw(answering(OK)).port))
    text = it.config.read_text().replace(str(pki.folder / "edge."), str(tmp_path / "edge."))
    it.config.write_text(text.replace(', "b.test", "c.test", "*.w.test"', ""))
    assert asked(it, "reload")["reloaded"]
    mark = len(it.edge.said)
    strange(tmp_path, "edge", authority)
    it.edge.wait_for("cannot be used; the last good ones stay", 20, after=mark)
    assert any("edge.key is Ed448" in line for line in it.edge.said[mark:])
    with tls(it.port, "a.test", authority.file) as sock:
        assert exchange(sock, GET).status == 200
    mark = len(it.edge.said)
    authority.leaf("edge", "a.test")
    it.edge.wait_for("certificates renewed", 20, after=mark)


def strange(folder: Path, file: str, by: Authority) -> None:
    """A certificate with a key that pyca/cryptography knows and rustls does not; in one step each."""
    odd = ed448.Ed448PrivateKey.generate()
    cert = forged(file, root(by), names=[f"{file}.test", "a.test"], key=odd)
    put(folder / f"{file}.key", odd.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    put(folder / f"{file}.pem", cert.cert.public_bytes(Encoding.PEM), 0o644)


def test_many_who_reload_at_once_get_an_answer_each_and_one_plan(edge: Edges, raw: Raws, pki: Pki) -> None:
    """C02. Eight at a time, while the file changes under them."""
    port = raw(answering(OK)).port
    it = edge(route(port))
    base = it.config.read_text()
    texts = [base + route(port, f'path = "/n{n}"', f"n{n}") for n in range(4)]
    known = digests(it, texts)
    answers: list[dict[str, Any]] = []

    def ask() -> None:
        for _ in range(5):
            answers.append(asked(it, "reload"))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    turn = 0
    while any(asker.is_alive() for asker in askers):
        put(it.config, texts[turn % 4].encode(), 0o644)
        turn += 1
        threading.Event().wait(0.005)
    for asker in askers:
        asker.join()
    assert len(answers) == 40 and all(answer["reloaded"] for answer in answers)
    assert {answer["plan_digest"] for answer in answers} <= set(known)
    assert asked(it, "reload")["reloaded"]
    assert settled(it) == known[(turn - 1) % 4]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tiny", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"only root may mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("on_full", ["drop", "refuse"])
def test_a_full_disk_costs_lines_or_service_as_was_asked_and_leaves_whole_lines(
    edge: Edges, raw: Raws, pki: Pki, tiny: Path, on_full: str
) -> None:
    """C02, G01. What is lost is counted; once there is room, lines are whole again, and so is the service."""
    it, log = edge(route(raw(answering(OK)).port)), tiny / "access.log"
    text = it.config.read_text().replace(f'access = "{it.log}"', f'access = "{log}"\non_full = "{on_full}"')
    it.config.write_text(text)
    assert asked(it, "reload")["reloaded"]
    sent = 0

    def statuses(count: int) -> set[int]:
        nonlocal sent
        found = set()
        with tls(it.port, "a.test", pki.public.file) as sock:
            for _ in range(count):
                found.add(exchange(sock, GET).status)
                sent += 1
        return found

    until(lambda: statuses(100) and asked(it, "status")["engine"]["log_dropped"] > 0, 30)
    if on_full == "drop":
        assert statuses(20) == {200}
    else:
        until(lambda: statuses(5) == {503}, 20)
    # Room again, for longer than it takes to look; and a line that was cut off stands where it stood.
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny)], check=True)
    with log.open("r+b") as file:
        file.truncate(20_000)
    until(lambda: statuses(3) == {200}, 20)
    done = statuses(1)
    assert done == {200}
    dropped = until(lambda: counted(it, log, sent), 20, lambda: f"{sent} requests")
    assert dropped > 0
    lines = log.read_bytes().split(b"\n")
    broken = [line for line in lines if line and not whole(line)]
    assert len(broken) <= 2, "the one that was cut off by the disk, and the one that this test cut off"
    assert whole(lines[-2])


def whole(line: bytes) -> bool:
    try:
        read_observation(line.decode())
    except ValueError:
        return False
    return True


def counted(it: EdgeKit, log: Path, sent: int) -> int:
    """The dropped lines, once the log has stood still with a whole last line."""
    size = log.stat().st_size
    threading.Event().wait(0.3)
    return int(asked(it, "status")["engine"]["log_dropped"]) if size == log.stat().st_size and size > 20_000 else 0


# C03.


def upgrading(sock: socket.socket, record: bytearray) -> None:
    """`/ws` becomes a tunnel that echoes; the rest is `ok`."""
    while (request := head(sock, record)) is not None:
        if b"upgrade: websocket" not in request.lower():
            sock.sendall(OK)
            continue
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := sock.recv(4096):
            sock.sendall(data)
        return


def echoing(sock: socket.socket, record: bytearray) -> None:
    while data := sock.recv(4096):
        sock.sendall(data)


class Connected:
    """A client of each kind, that stays."""

    def __init__(self, it: EdgeKit, pki: Pki) -> None:
        self.h1 = tls(it.port, "a.test", pki.public.file)
        self.h2sock = tls(it.port, "a.test", pki.public.file, alpn=["h2"])
        self.h2 = Client(self.h2sock)
        self.websockets = {path: self.upgraded(it, pki, path) for path in ("/ws", "/keep", "/by-header")}
        self.passed = tls(it.port, "pass.test", pki.public.file)
        for sock in (self.h1, self.h2sock, self.passed, *self.websockets.values()):
            sock.settimeout(20)
        self.stream = 1
        assert exchange(self.h1, GET).status == 200
        assert self.ask2() == "200"
        assert all(self.lives(it) for it in (*self.websockets.values(), self.passed))

    @staticmethod
    def upgraded(it: EdgeKit, pki: Pki, path: str) -> ssl.SSLSocket:
        sock = tls(it.port, "a.test", pki.public.file)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a.test\r\nX-Kind: ws\r\n{upgrade}\r\n".encode())
        assert read_answer(sock).status == 101
        return sock

    def ask2(self, path: bytes = b"/") -> str:
        found = self.h2.ask(self.stream, fields("a.test", path=path))
        self.stream += 2
        return found

    @staticmethod
    def lives(sock: ssl.SSLSocket) -> bool:
        """It echoes; False once it was cut."""
        try:
            sock.sendall(b"ping")
            return sock.recv(4) == b"ping"
        except TimeoutError:
            raise AssertionError("it neither lives nor was it cut") from None
        except OSError:
            return False

    def close(self) -> None:
        for sock in (self.h1, self.h2sock, self.passed, *self.websockets.values()):
            sock.close()


@dataclass
class Changing:
    """An edge with a client of each kind, and the pieces of its configuration."""

    edge: EdgeKit
    pki: Pki
    routes: dict[str, str]
    clients: Connected

    def reload(self, **changed: str) -> None:
        assert self.edge.reload("".join((self.routes | changed).values()))["reloaded"]


@pytest.fixture
def changing(edge: Edges, raw: Raws, pki: Pki) -> Iterator[Changing]:
    plain, passed = raw(upgrading).port, raw(echoing, pki.pass_leaf).port
    ws = "websocket = true"
    routes = {
        "plain": route(plain),
        "ws": route(plain, f'path = "/ws"\n{ws}', "ws"),
        "keep": route(plain, f'path = "/keep"\n{ws}', "keep"),
        "header": route(plain, f'path = "/by-header"\nheaders = {{ x-kind = "ws" }}\n{ws}', "header"),
        "pass": route(passed, "", "pass", "pass.test", "passthrough"),
    }
    it = edge("".join(routes.values()))
    clients = Connected(it, pki)
    yield Changing(it, pki, routes, clients)
    clients.close()


def test_a_reload_that_changes_nothing_for_them_disturbs_nobody(changing: Changing) -> None:
    """C03. The baseline of those below: another route comes, every client stays."""
    changing.reload(more=route(1, 'path = "/more"', "more"))
    it = changing.clients
    assert exchange(it.h1, GET).status == 200
    assert it.ask2() == "200"
    assert all(it.lives(sock) for sock in (*it.websockets.values(), it.passed))


def test_a_reload_of_what_is_not_theirs_cuts_no_tunnel(changing: Changing, raw: Raws) -> None:
    """F06. More backends, more hosts, a site with another name, another route's rule: each of them touches whoever has it."""
    it = changing.clients
    other = raw(upgrading).port
    passes = changing.routes["pass"]

    def more_backends(text: str) -> str:
        return text.replace('to = ["', f'to = ["127.0.0.1:{other}", "')

    def more_hosts(text: str) -> str:
        return text.replace('host = "a.test"', 'host = ["a.test", "b.test"]')

    ws = {name: more_hosts(more_backends(changing.routes[name])) for name in ("ws", "keep", "header")}
    for changed in (
        {"pass": more_backends(passes)},
        {"pass": passes.replace('host = "pass.test"', 'host = ["pass.test", "also.test"]')},
        ws,
        {"plain": route(other, 'method = "GET"')},
        ws | {"more": route(other, 'path = "/more"', "more")},
    ):
        changing.reload(**changed)
        assert all(it.lives(sock) for sock in (*it.websockets.values(), it.passed)), changed
    changing.pki.public.leaf("wider", "a.test", "b.test", "c.test", "*.w.test", "d.test")
    text = changing.edge.config.read_text(encoding="utf-8")
    wider = (
        text.replace("edge.pem", "wider.pem")
        .replace("edge.key", "wider.key")
        .replace('"c.test",', '"c.test", "d.test",')
    )
    assert wider != text
    changing.edge.config.write_text(wider, encoding="utf-8")
    assert changing.edge.admin("reload")["reloaded"]
    assert all(it.lives(sock) for sock in (*it.websockets.values(), it.passed))
    assert not gone(changing.edge)


def test_a_tunnel_ends_where_its_own_rule_or_hop_is_another_one(changing: Changing, raw: Raws) -> None:
    """C03. A route that takes no upgrade any more, a backend that is no more its route's, another route that takes its requests."""
    it, other = changing.clients, raw(upgrading).port
    ws = 'path = "/ws"\nwebsocket = true'
    changing.reload(
        ws=changing.routes["ws"].replace(ws, ws.replace("true", "false")),
        keep=route(other, 'path = "/keep"\nwebsocket = true', "keep"),
        over=route(other, 'path_exact = "/by-header"\nwebsocket = true', "over"),
    )
    for sock in it.websockets.values():
        until(lambda sock=sock: not it.lives(sock), 20)  # type: ignore[misc]
    assert it.lives(it.passed)
    until(lambda: {"ws", "keep", "header"} <= gone(changing.edge))


def test_a_tunnel_by_a_field_ends_where_its_host_or_what_stands_before_it_is_another(changing: Changing) -> None:
    """C03. Nobody has its fields any more: it lives as long as the same is asked of them by whoever could have it."""
    it, own = changing.clients, changing.routes["header"]
    changing.reload(before=own.replace('"header"', '"before"').replace('x-kind = "ws"', 'x-kind = "ws", x-more = "1"'))
    until(lambda: not it.lives(it.websockets["/by-header"]), 20)
    again = it.websockets["/by-header"] = it.upgraded(changing.edge, changing.pki, "/by-header")
    assert it.lives(again)
    changing.reload(header=own.replace('"a.test"', '"c.test"'))
    until(lambda: not it.lives(again), 20)
    assert it.lives(it.websockets["/ws"]) and it.lives(it.websockets["/keep"]) and it.lives(it.passed)


def test_a_plan_that_comes_while_a_backend_thinks_about_an_upgrade_reaches_its_tunnel(
    edge: Edges, raw: Raws, pki: Pki
) -> None:
    """C03. It was admitted by the plan before, and is a tunnel by this one."""
    came, may_go = threading.Event(), threading.Event()

    def thinking(sock: socket.socket, record: bytearray) -> None:
        head(sock, record)
        came.set()
        assert may_go.wait(20)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := sock.recv(4096):
            sock.sendall(data)

    backend = raw(thinking).port
    it = edge(route(backend, "websocket = true"))
    with tls(it.port, "a.test", pki.public.file) as sock:
        sock.settimeout(20)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        sock.sendall(f"GET / HTTP/1.1\r\nHost: a.test\r\n{upgrade}\r\n".encode())
        assert came.wait(20)
        assert it.reload(route(backend, "websocket = false"))["reloaded"]
        may_go.set()
        assert read_answer(sock).status == 101
        until(lambda: not Connected.lives(sock), 20)
    until(lambda: [x["end"] for x in it.lines() if x["status"] == 101] == ["tunnel/route-gone"])


def test_a_shorter_age_reaches_open_tunnels(changing: Changing) -> None:
    """C03."""
    it = changing.clients
    changing.edge.more = "[limits]\nmax_age_s = 1\n"
    changing.reload()
    for sock in (*it.websockets.values(), it.passed):
        until(lambda sock=sock: not it.lives(sock), 20)  # type: ignore[misc]
    until(lambda: [x["end"] for x in changing.edge.lines() if x["status"] == 101] == ["tunnel/max-age"] * 3 or None)
    assert changing.edge.line(lambda x: x["route"] == "pass")["end"] == "tunnel/max-age"


def test_routes_that_go_are_gone_for_the_next_request_and_cut_their_tunnels_alone(changing: Changing) -> None:
    """C03. Also a route that only requests with a certain field take, of which a tunnel shows nothing any more."""
    changing.reload(ws="", header="")
    it = changing.clients
    for path in ("/ws", "/by-header"):
        until(lambda path=path: not it.lives(it.websockets[path]), 20)  # type: ignore[misc]
    assert it.lives(it.websockets["/keep"]) and it.lives(it.passed)
    assert exchange(it.h1, GET).status == 200 and it.ask2() == "200"
    changing.reload(plain=route(1, 'path = "/elsewhere"'), ws="", header="")
    assert exchange(it.h1, GET).status == 404
    assert it.ask2() == "404"
    assert it.lives(it.websockets["/keep"]) and it.lives(it.passed)
    changing.reload(**dict.fromkeys(("ws", "header", "pass"), ""))
    until(lambda: not it.lives(it.passed), 20)
    assert it.lives(it.websockets["/keep"])
    ends = {line["route"]: line["end"] for line in changing.edge.lines() if line["end"] == "tunnel/route-gone"}
    until(lambda: {"ws", "header", "pass"} <= gone(changing.edge), 20, lambda: str(ends))


def gone(it: EdgeKit) -> set[str]:
    return {line["route"] for line in it.lines() if line["end"] == "tunnel/route-gone"}


def test_a_site_that_asks_more_of_clients_keeps_none_that_proved_less(changing: Changing) -> None:
    """C03, T06. HTTP ends between two requests, tunnels at once; passthrough, where the site has no say, goes on."""
    it = changing.clients
    changing.edge.site = 'clients = { ca = "{pki}/public-ca.pem" }'
    changing.reload()
    for sock in it.websockets.values():
        until(lambda sock=sock: not it.lives(sock), 20)  # type: ignore[misc]
    with contextlib.suppress(OSError):
        it.h1.sendall(GET.encode())
        assert it.h1.recv(100) == b"", "no answer by the old rule"
    assert it.ask2() in {"gone", "reset", "421"}
    assert it.lives(it.passed)
    with tls(changing.edge.port, "a.test", changing.pki.public.file, leaf=changing.pki.client) as sock:
        assert exchange(sock, GET).status == 200


def test_a_name_that_is_terminated_from_now_on_is_passed_through_no_longer_and_back(changing: Changing) -> None:
    """C03. Each way the connections of the pattern before end, and the next one is of the other."""
    it, pki = changing.clients, changing.pki
    site = """
[[site]]
name = "was passed"
hosts = ["pass.test"]
certs = [{ chain = "{pki}/pass.pem", key = "file:{pki}/pass.key" }]
"""
    plain = changing.routes["plain"].replace("a.test", "pass.test").replace('"r"', '"pass"')
    changing.reload(**{"pass": site + plain})
    until(lambda: not it.lives(it.passed), 20)
    ended = tls(changing.edge.port, "pass.test", pki.public.file)
    h2 = tls(changing.edge.port, "pass.test", pki.public.file, alpn=["h2"])
    h2.settimeout(20)
    client = Client(h2)
    assert exchange(ended, GET.replace("a.test", "pass.test")).status == 200
    assert client.ask(1, fields("pass.test")) == "200"
    changing.reload()
    ended.settimeout(20)
    with contextlib.suppress(OSError):
        ended.sendall(GET.replace("a.test", "pass.test").encode())
        assert ended.recv(100) == b"", "who was read is not passed on"
    assert client.ask(3, fields("pass.test")) in {"gone", "reset", "421"}
    with tls(changing.edge.port, "pass.test", pki.public.file) as sock:
        sock.settimeout(20)
        assert Connected.lives(sock)
    assert all(it.lives(sock) for sock in it.websockets.values()), "the others were not concerned"
    ended.close()
    h2.close()
