"""`[tickets]`: a session that was made at one edge is taken up at another that has the secret, and after a restart; whatever does not
fit, a whole handshake comes in its place and no error; and a client is judged by what it proved, at whichever edge."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from everyhop.demo.certificates import Authority, Leaf
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.process import children
from tests.kit.raw import OK, answering
from tests.threats.ground import response

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
REFUSED = (0, False)
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@dataclass
class Client:
    """One that comes again and again by what it was given."""

    pki: Pki
    version: ssl.TLSVersion
    leaf: Leaf | None = None
    session: ssl.SSLSession | None = None

    def __post_init__(self) -> None:
        self.context = ssl.create_default_context(cafile=str(self.pki.public.file))
        self.context.maximum_version = self.version
        if self.leaf:
            self.context.load_cert_chain(self.leaf.chain, self.leaf.key)

    def comes(self, it: EdgeKit, *, keeps: bool = True) -> tuple[int, bool]:
        """The status (0: it ended), and whether it resumed; it comes with what it was given by the last edge that it kept."""
        raw, resumed = socket.create_connection(("127.0.0.1", it.port), 20), False
        try:
            with self.context.wrap_socket(raw, server_hostname="a.test", session=self.session) as sock:
                resumed = bool(sock.session_reused)
                sock.sendall(GET)
                status = response(sock)[0]
                if keeps:
                    self.session = sock.session
                return status, resumed
        except OSError:
            raw.close()
            return 0, resumed


class Fleet:
    """Secrets in a folder of their own, and edges that name them."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, folder: Path) -> None:
        self.edge, self.pki, self.folder = edge, pki, folder
        self.backend = raw(answering(OK))

    def routes(self, more: str = "") -> str:
        return (
            f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.backend.port}"]\n{more}'
        )

    def secret(self, name: str, data: bytes | None = None) -> str:
        """In one step, as whoever brings it there should: half of one is none."""
        beside = self.folder / f"{name}.new"
        beside.touch(0o600)
        beside.write_bytes(os.urandom(48) if data is None else data)
        beside.replace(self.folder / name)
        return f"file:{self.folder / name}"

    def starts(self, *keys: str, rotate: str = "12h", site: str = "", more: str = "") -> EdgeKit:
        return self.edge(self.routes(), site=site, more=tickets(*keys, rotate=rotate) + more)

    def reloads(self, it: EdgeKit, *keys: str, routes: str = "") -> None:
        it.more = tickets(*keys)
        answer = it.reload(self.routes(routes))
        assert answer["reloaded"], answer


def tickets(*keys: str, rotate: str = "12h") -> str:
    return f'[tickets]\nkey = {json.dumps(keys)}\nrotate = "{rotate}"\n' if keys else ""


@pytest.fixture
def fleet(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path) -> Fleet:
    return Fleet(edge, raw, pki, tmp_path)


@VERSIONS
def test_a_session_made_at_one_edge_is_taken_up_at_another_that_has_the_secret(
    fleet: Fleet, pki: Pki, version: ssl.TLSVersion
) -> None:
    key = fleet.secret("one.key")
    here, there, other = fleet.starts(key), fleet.starts(key), fleet.starts(fleet.secret("other.key"))
    client = Client(pki, version)
    assert client.comes(here) == (200, False)
    assert client.comes(there, keeps=False) == (200, True)
    assert client.comes(here, keeps=False) == (200, True)
    assert client.comes(other, keeps=False) == (200, False), "another secret: a whole handshake, and no error"
    assert there.line(lambda it: bool(it["client_hop"]["resumed"])), "and it is told as what it is"


def test_edges_without_a_secret_take_up_their_own_sessions_alone(fleet: Fleet, pki: Pki) -> None:
    here, there = fleet.starts(), fleet.starts()
    client = Client(pki, ssl.TLSVersion.TLSv1_3)
    assert client.comes(here) == (200, False)
    assert client.comes(here, keeps=False) == (200, True)
    assert client.comes(there, keeps=False) == (200, False)


@VERSIONS
def test_what_was_proved_at_a_site_that_demands_less_is_worth_nothing_at_one_that_demands_more(
    fleet: Fleet, pki: Pki, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """Whoever proved nothing, or proved it to another authority, is asked again: the secret is the same at all of them."""
    key = fleet.secret("one.key")
    other = Authority(tmp_path, "Other CA")
    foreign, known = other.leaf("foreign", "foreign.test"), pki.client
    demands = 'clients = { ca = "%s" }'
    open_, ours, theirs = (
        fleet.starts(key, site=site) for site in ("", demands % pki.public.file, demands % other.file)
    )
    client = Client(pki, version)
    assert client.comes(open_) == (200, False) and client.comes(open_, keeps=False) == (200, True)
    before = len(fleet.backend.received)
    assert client.comes(ours, keeps=False) == REFUSED
    assert len(fleet.backend.received) == before
    client = Client(pki, version, foreign)
    assert client.comes(theirs) == (200, False) and client.comes(theirs, keeps=False) == (200, True)
    assert client.comes(ours, keeps=False) == REFUSED
    client = Client(pki, version, known)
    assert client.comes(open_) == (200, False)
    assert client.comes(ours) == (200, False), "it is asked, and proves it"
    assert client.comes(ours, keeps=False) == (200, True)
    assert client.comes(open_, keeps=False) == (200, False)


def test_a_client_that_comes_back_elsewhere_is_who_it_proved_to_be_and_is_judged_by_the_plan_there(
    fleet: Fleet, pki: Pki
) -> None:
    key, site = fleet.secret("one.key"), f'clients = {{ ca = "{pki.public.file}" }}'
    here, there = fleet.starts(key, site=site), fleet.starts(key, site=site)
    client = Client(pki, ssl.TLSVersion.TLSv1_3, pki.client)
    assert client.comes(here) == (200, False)
    fleet.reloads(there, key, routes='allow = { clients = ["client.test"] }\n')
    assert client.comes(there, keeps=False) == (200, True)
    fleet.reloads(there, key, routes='allow = { clients = ["somebody.else"] }\n')
    assert client.comes(there, keeps=False) == (403, True)
    fleet.reloads(there, key, routes='allow = { clients = ["spiffe://test/client"] }\n')
    assert client.comes(there, keeps=False) == (200, True)


@VERSIONS
def test_what_the_secret_before_sealed_is_opened_until_that_is_gone(
    fleet: Fleet, pki: Pki, version: ssl.TLSVersion
) -> None:
    old, new = fleet.secret("old.key"), fleet.secret("new.key")
    it = fleet.starts(old)
    early, late = Client(pki, version), Client(pki, version)
    assert early.comes(it) == (200, False) == late.comes(it)
    fleet.reloads(it, new, old)
    assert early.comes(it) == (200, True), "opened by the old one, sealed anew by the new one"
    fleet.reloads(it, new)
    assert early.comes(it) == (200, True)
    assert late.comes(it) == (200, False), "its secret is gone"
    assert late.comes(it) == (200, True)


def test_a_secret_that_is_replaced_in_its_file_is_taken_as_it_is_noticed_and_a_bad_one_is_not(
    fleet: Fleet, pki: Pki
) -> None:
    key = fleet.secret("one.key", bytes(range(48)))
    it = fleet.starts(key)
    client = Client(pki, ssl.TLSVersion.TLSv1_3)
    assert client.comes(it) == (200, False)
    mark = len(it.edge.said)
    fleet.secret("one.key", b"too short")
    it.edge.wait_for("the last good ones stay", 20, after=mark)
    assert not it.admin("reload")["reloaded"]
    assert client.comes(it) == (200, True), "what runs stays"
    fleet.secret("one.key")
    until(lambda: client.comes(it, keeps=False) == (200, False))
    assert Client(pki, ssl.TLSVersion.TLSv1_3).comes(it) == (200, False)


@VERSIONS
def test_sessions_are_taken_up_after_a_restart_of_the_engine_and_of_all_and_after_an_upgrade(
    fleet: Fleet, pki: Pki, version: ssl.TLSVersion
) -> None:
    it = fleet.starts(fleet.secret("one.key"))
    client = Client(pki, version)
    assert client.comes(it) == (200, False)
    (engine,) = children(it.edge.process.pid)
    os.kill(engine, 9)
    until(lambda: engine not in children(it.edge.process.pid))
    assert client.comes(it) == (200, True), "another engine"
    assert it.admin("upgrade")["upgraded"]
    assert client.comes(it) == (200, True), "the engine of an upgrade"
    it.edge.stop()
    it.edge = type(it.edge)(it.config)
    it.edge.wait_for("ready:", 60)
    assert client.comes(it) == (200, True), "another supervisor"


def test_without_a_secret_a_restart_ends_all_sessions(fleet: Fleet, pki: Pki) -> None:
    it = fleet.starts()
    client = Client(pki, ssl.TLSVersion.TLSv1_3)
    assert client.comes(it) == (200, False) and client.comes(it) == (200, True)
    (said,) = (route["tickets"]["sentence"] for route in it.explained())
    assert "nobody else has them, they are on no disk, and they end with the engine" in said
    it.edge.stop()
    it.edge = type(it.edge)(it.config)
    it.edge.wait_for("ready:", 60)
    assert client.comes(it) == (200, False)


def test_a_secret_is_told_by_its_fingerprint_alone(fleet: Fleet, pki: Pki) -> None:
    """By status, check, plan, explain and diff, in the log and in every file of the edge's own."""
    secret, before = os.urandom(48), os.urandom(48)
    key, old = fleet.secret("one.key", secret), fleet.secret("before.key", before)
    it = fleet.starts(key, old)
    assert Client(pki, ssl.TLSVersion.TLSv1_3).comes(it) == (200, False)
    status = it.admin("status")
    marks = {e["id"]: e["chain_sha256"] for e in status["supervisor"]["material"]}
    shown = it.cli("status", "--config", str(it.config)).stdout
    first, second = (marks[f"tickets/{i}"][:16] for i in range(2))
    assert (
        f"session tickets shared: sealed by keys of {first} ({key}), new every 12 h; opened of {second} ({old}) too"
        in shown
    )
    said = [json.dumps(status), shown, *it.edge.said, it.config.read_text()]
    for command in (("check",), ("plan",), ("plan", "--compiled"), ("explain",)):
        done = it.cli(*command, str(it.config))
        assert done.returncode == 0, done
        said += [done.stdout, done.stderr]
    files = [path for path in it.folder.rglob("*") if path.is_file()]
    said += [path.read_text(errors="replace") for path in files]
    for data in (secret, before):
        for form in (data.hex(), data.decode(errors="replace"), str(list(data)), repr(data)[2:-1]):
            assert not any(form in text for text in said)
    assert not any(data in path.read_bytes() for data in (secret, before) for path in files)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_from_the_secret_and_a_ticket_whoever_has_them_reads_sessions_of_tls_1_2_and_none_of_1_3(
    fleet: Fleet, pki: Pki, version: str
) -> None:
    """What the how-to and `diff` say of it, by the form that is written down: no word of the engine is asked."""
    secret = os.urandom(48)
    it = fleet.starts(fleet.secret("one.key", secret))
    kept, log = fleet.folder / "session", fleet.folder / "keys"
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{it.port}", "-servername", "a.test", "-ign_eof"]
    more = [f"-tls{version.replace('.', '_')}", "-sess_out", str(kept), "-keylogfile", str(log)]
    ask = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    subprocess.run([*client, *more], input=ask, capture_output=True, timeout=60, check=True)
    text = subprocess.run(
        ["openssl", "sess_id", "-in", str(kept), "-noout", "-text"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    rows = re.findall(r"^ +[0-9a-f]{4,} - ((?:[0-9a-f]{2}[ -]){1,16})", text, re.M)
    ticket = bytes.fromhex("".join(rows).replace("-", "").replace(" ", ""))
    plan = json.loads(it.admin("status")["supervisor"]["plan"])
    inside = read_by(secret, plan["sites"][0], ticket)
    lines = [line.split() for line in log.read_text().splitlines() if not line.startswith("#")]
    (said,) = (route["tickets"]["sentence"] for route in it.explained())
    assert f"made of {fleet.folder / 'one.key'}" in said.replace("file:", "")
    assert "can read what is recorded of sessions by TLS 1.2 that were given a ticket and can answer" in said
    # Of 1.2 the one from which all keys of the session are made; of 1.3 those from which they are made, one by one.
    assert lines and {bytes.fromhex(one) in inside for *_, one in lines} == {version == "1.2"}


def read_by(secret: bytes, site: dict[str, object], ticket: bytes) -> bytes:
    """What is in a ticket, by `crates/ticket/src/lib.rs` and what a site is bound to."""
    bound = json.dumps(
        [site["name"], site["protocol"], "nothing", site["policy"]], sort_keys=True, separators=(",", ":")
    )
    prk = hmac.digest(b"everyhop session tickets, form 1", secret, "sha256")
    for rotation in (int(time.time()) // 43_200, int(time.time()) // 43_200 - 1):
        info = b"key" + hashlib.sha256(bound.encode()).digest() + struct.pack(">QQ", 43_200, rotation)
        made = HKDFExpand(hashes.SHA256(), 48, info).derive(prk)
        if made[:16] == ticket[:16]:
            try:
                return AESGCMSIV(made[16:]).decrypt(ticket[16:28], ticket[28:], made[:16])
            except InvalidTag as e:
                raise AssertionError("its key is known and does not open it") from e
    raise AssertionError("it is of no key that is made of this secret")
