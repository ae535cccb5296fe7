"""An edge and its backend whose certificates come from `everyhop ca`: they believe one another, until one is taken back; and they
get a new root under traffic."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from everyhop.demo.certificates import Leaf
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.own_ca import OwnCa
from tests.kit.raw import OK, answering, server_context
from tests.kit.settle import settle

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example")
BACKEND, EDGE = "backend.corp.example", "spiffe://corp.example/edge"
ONCE = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


def between(edge: Edges, own: OwnCa, backend: Raw) -> EdgeKit:
    """An edge that shows a certificate of the authority to a backend which it verifies by it."""
    folder = own.at.parent
    own.leaf(folder / "edge", EDGE, use="client")
    identity = f'[[identity]]\nname = "inside"\nchain = "{folder}/edge.pem"\nkey = "file:{folder}/edge.key"\n'
    verify = f'verify = {{ ca = "{own.roots}", name = "{BACKEND}", crl = "{own.lists}" }}'
    route = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "inside"\n'
    return edge(f'{route}to = ["127.0.0.1:{backend.port}"]\n{verify}\n', more=identity)


def status(it: EdgeKit) -> int:
    with tls(it.port, "a.test", it.pki.public.file, kept=False) as sock:
        return exchange(sock, GET).status


def test_both_sides_of_a_mutual_hop_are_certified_and_what_is_taken_back_is_believed_no_more(
    edge: Edges, raw: Raws, own: OwnCa
) -> None:
    mine = own.leaf(own.at.parent / "backend", BACKEND, use="server")
    served = raw(answering(OK), mine, clients=own.roots)
    it = between(edge, own, served)
    assert it.cli("check", str(it.config)).returncode == 0
    assert status(it) == 200
    assert print_of(mine) in json.dumps(it.line(lambda x: x["end"] == "done")["backend_hop"])
    assert "taken back" in own.does("revoke", BACKEND, "--reason", "key-compromise")
    until(lambda: status(it) == 502)
    settle(it, served)
    mark = served.mark()
    assert status(it) == 502
    settle(it, served)
    assert served.since(mark) == []
    it.line(lambda x: x["end"] == "hop/revoked")
    again = own.leaf(own.at.parent / "again", BACKEND, use="server")
    served.context = server_context(again, clients=own.roots)
    until(lambda: status(it) == 200)


def test_a_client_of_another_authority_is_no_client_of_this_one(
    edge: Edges, raw: Raws, own: OwnCa, tmp_path: Path
) -> None:
    """And the other way round: a backend of another authority of the same names is not believed."""
    (tmp_path / "other").mkdir()
    other = OwnCa(tmp_path / "other", *TOLD)
    stranger = raw(answering(OK), other.leaf(tmp_path / "backend", BACKEND), clients=own.roots)
    it = between(edge, own, stranger)
    assert status(it) == 502
    settle(it, stranger)
    assert stranger.received == b""
    stranger.context = server_context(own.leaf(tmp_path / "mine", BACKEND), clients=other.roots)
    assert status(it) == 502
    settle(it, stranger)
    assert stranger.received == b""


class Traffic:
    """Requests one after the other, each on connections of its own, until it is over."""

    def __init__(self, it: EdgeKit) -> None:
        self.edge, self.over = it, threading.Event()
        self.answers: list[int] = []
        self.errors: list[Exception] = []
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()

    def go(self) -> None:
        try:
            while not self.over.is_set():
                self.answers.append(status(self.edge))
        except Exception as e:
            self.errors.append(e)

    def more(self, count: int) -> None:
        """Until so many more went through."""
        wanted = len(self.answers) + count
        until(lambda: self.errors or len(self.answers) >= wanted)

    def end(self) -> list[int]:
        self.over.set()
        self.thread.join(60)
        assert self.errors == []
        return self.answers


def test_a_new_root_comes_into_use_and_the_old_one_goes_without_one_failed_request(
    edge: Edges, raw: Raws, own: OwnCa
) -> None:
    folder = own.at.parent
    leaf = own.leaf(folder / "backend", BACKEND)
    issuers: list[str] = []

    def serve(sock: object, record: object) -> None:
        if isinstance(sock, ssl.SSLSocket):
            told = sock.getpeercert() or {}
            issuers.append(str(dict(x[0] for x in told["issuer"])["commonName"]))  # type: ignore[misc]
        answering(ONCE)(sock, record)  # type: ignore[arg-type]

    served = raw(serve, leaf, clients=own.roots)

    def backend_takes(now: Leaf) -> None:
        served.context = server_context(now, clients=own.roots)

    it = between(edge, own, served)
    traffic = Traffic(it)
    traffic.more(5)
    before = material(it)
    own.does("rotate", "--passphrase-file", str(own.passphrase))
    backend_takes(leaf)
    until(lambda: material(it) != before)
    # The roots and the lists are two files, and the lists may be noticed a moment later: now it has both.
    assert it.admin("reload")["reloaded"]
    assert own.roots.read_text().count("BEGIN CERTIFICATE") == 2
    checked = own.asked("rotate", "--passphrase-file", str(own.passphrase))
    assert checked.returncode == 2 and "under way" in checked.stderr, checked.stderr
    traffic.more(5)
    own.does("rotate", "--activate")
    refused = own.asked("rotate", "--retire")
    assert refused.returncode == 1 and "2 certificate(s) of the old authority are in force" in refused.stderr, (
        refused.stderr
    )
    backend_takes(leaf := own.leaf(folder / "backend", BACKEND))
    own.leaf(folder / "edge", EDGE, use="client")
    until(lambda: issuers[-1] == "corp.example issuing 2")
    it.line(lambda x: print_of(leaf) in json.dumps(x["backend_hop"]))
    refused = own.asked("rotate", "--retire")
    assert refused.returncode == 1 and refused.stderr.count("issued anew since") == 2, refused.stderr
    for one in own.list()["certificates"]:
        if one["generation"] == 1:
            own.does("revoke", one["serial"], "--reason", "superseded")
    traffic.more(5)
    before = material(it)
    assert "retired: generation 1; 0 certificate(s)" in own.does("rotate", "--retire")
    until(lambda: material(it) != before)
    assert own.roots.read_text().count("BEGIN CERTIFICATE") == 1
    backend_takes(leaf)
    traffic.more(5)
    answers = traffic.end()
    assert set(answers) == {200} and len(answers) >= 20
    assert issuers[0] == "corp.example issuing 1" and issuers[-1] == "corp.example issuing 2"
    assert it.status()["panics"] == 0


def material(it: EdgeKit) -> str:
    """Its digest, of the last request."""
    return str(it.lines()[-1]["material"])


def print_of(leaf: Leaf) -> str:
    return x509.load_pem_x509_certificate(leaf.chain.read_bytes()).fingerprint(hashes.SHA256()).hex()
