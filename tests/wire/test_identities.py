"""`[[identity]] from = "ca"`: an edge comes to its certificate by a token, renews it, follows its authority, and refuses what takes it
until it is there. It never goes on without."""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from everyhop.admin.renewing import Renewer
from everyhop.authority import opened
from everyhop.authority.enrolment import invite
from everyhop.authority.names import named
from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from everyhop.model import CaIdentity
from tests.kit import EdgeKit, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.own_ca import OwnCa, Served
from tests.kit.process import as_user, children
from tests.kit.raw import OK, answering, server_context

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
NAME = "spiffe://corp.example/edge"
TOLD = ("--domain", "corp.example", "--trust-domain", "corp.example", "--network", "127.0.0.0/8")
GET = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def own(tmp_path: Path) -> OwnCa:
    return OwnCa(tmp_path, *TOLD)


class Ground:
    """A backend that asks for a certificate of the authority, and an edge whose identity comes from it."""

    def __init__(self, edge: Edges, raw: Raws, own: OwnCa, folder: Path) -> None:
        self.edge, self.own, self.folder = edge, own, folder
        self.shown: list[int] = []

        def serve(sock: socket.socket, record: object) -> None:
            assert isinstance(sock, ssl.SSLSocket)
            self.shown.append(int(str((sock.getpeercert() or {})["serialNumber"]), 16))
            answering(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))(sock, record)  # type: ignore[arg-type]

        leaf = own.leaf(folder / "backend", "backend.corp.example", use="server")
        self.backend = raw(serve, leaf, clients=own.roots)
        self.token, self.state = folder / "token", folder / "state"
        self.port = free_port()

    def given(self, text: str) -> None:
        self.token.touch(0o600)
        self.token.write_text(f"{text}\n")

    def route(self, port: int | None = None, more: str = "") -> str:
        return (
            f'[[identity]]\nname = "own"\nfrom = "ca"\nauthority = "127.0.0.1:{port or self.port}"\n'
            f'token = "file:{self.token}"\nstate = "{self.state}"\n'
            '[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "own"\n'
            f'to = ["127.0.0.1:{self.backend.port}"]\n'
            'verify = { ca = "identity:own", crl = "identity:own", name = "backend.corp.example" }\n'
            f'[[route]]\nname = "other"\nhost = "b.test"\nanswer = {{ status = 200 }}\n{more}'
        )

    def run(self, port: int | None = None, more: str = "", keys: str = "engine") -> EdgeKit:
        return self.edge(self.route(port, more), engine=f'keys = "{keys}"')

    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates((self.state / "current" / "pair.pem").read_bytes())[0]


@pytest.fixture
def ground(edge: Edges, raw: Raws, own: OwnCa, tmp_path: Path) -> Ground:
    return Ground(edge, raw, own, tmp_path)


@pytest.fixture
def served(own: OwnCa) -> Iterator[Served]:
    it = own.served()
    yield it
    assert it.stop() == 0


def status(it: EdgeKit, host: str = "a.test") -> int:
    with tls(it.port, host, it.pki.public.file, kept=False) as sock:
        return exchange(sock, GET.replace("a.test", host)).status


def told(it: EdgeKit, kind: str) -> list[str]:
    troubles: list[dict[str, Any]] = it.admin("status")["supervisor"]["troubles"]
    return [str(one["why"]) for one in troubles if one["kind"] == kind and one["about"] == "identity own"]


@pytest.mark.parametrize("keys", ["engine", "apart"])
def test_an_edge_is_enrolled_by_its_token_and_what_came_serves_hops_by_its_roots_and_lists(
    keys: str, ground: Ground, served: Served
) -> None:
    ground.given(ground.own.does("token", NAME).strip())
    it = ground.run(served.port, keys=keys)
    until(lambda: status(it) == 200)
    assert ground.shown[-1] == ground.leaf().serial_number
    assert (ground.state / "current" / "pair.pem").stat().st_mode & 0o777 == 0o600
    assert ground.state.stat().st_mode & 0o777 == 0o700
    assert told(it, "identity-missing") == told(it, "identity-not-renewed") == []
    (said,) = it.admin("status")["supervisor"]["identities"]
    assert said["identity"] == "own" and said["from"] == f"ca 127.0.0.1:{served.port}" and said["problem"] is None
    assert said["until"] == ground.leaf().not_valid_after_utc.isoformat()
    (key,) = (key for route in it.explained() for key in route["keys"] if key["whose"] == "identity 'own'")
    assert (key["at"], key["comes"]) == ("engine" if keys == "engine" else "keyholder", "ca")
    assert (
        f"made here, anew for each certificate, and lies in {ground.state}. The authority at 127.0.0.1:{served.port} issues"
        in key["sentence"]
    )
    pair = (ground.state / "current" / "pair.pem").read_bytes()
    assert load_pem_private_key(pair, None).public_key() == ground.leaf().public_key()


def test_without_its_certificate_a_hop_is_refused_by_a_word_of_its_own_and_everything_else_is_served(
    ground: Ground,
) -> None:
    """Its authority is away: nothing goes to the backend, with a certificate or without."""
    ground.given(ground.own.does("token", NAME).strip())
    it = ground.run()
    with tls(it.port, "a.test", it.pki.public.file) as sock:
        answer = exchange(sock, GET)
    assert (answer.status, "hop/no-identity-yet" in answer.text) == (503, True), answer
    assert it.line(lambda line: line["route"] == "r")["end"] == "hop/no-identity-yet"
    assert status(it, "b.test") == 200
    assert ground.shown == [] and ground.backend.records == []
    until(lambda: any("did not answer" in why and "tried again at" in why for why in told(it, "identity-missing")))
    assert it.status()["routes"][0]["closed"] == "hop/no-identity-yet"


def over(own: OwnCa) -> str:
    return str(invite(opened(own.at), [named(NAME)], "both", dt.timedelta(days=1), dt.timedelta(0)))


def guessed(own: OwnCa) -> str:
    mark, secret, root = own.does("token", NAME).strip().split(".")
    return ".".join([mark, ("B" if secret[0] == "A" else "A") + secret[1:], root])


def withdrawn(own: OwnCa) -> str:
    text = own.does("token", NAME).strip()
    own.does("token", "--withdraw", NAME)
    return text


@pytest.mark.parametrize("bad", [over, guessed, withdrawn])
def test_a_token_that_is_not_good_is_told_by_the_edge_in_the_authoritys_words_and_one_that_is_mends_it(
    bad: Callable[[OwnCa], str], ground: Ground, served: Served
) -> None:
    """K01. Meanwhile the hop is refused and everything else is served."""
    ground.given(bad(ground.own))
    it = ground.run(served.port)
    until(lambda: any("403: that token or certificate is not good here" in why for why in told(it, "identity-missing")))
    (why,) = told(it, "identity-missing")
    assert "tried again at" in why and ground.token.read_text().strip().split(".")[1] not in why
    assert (status(it), status(it, "b.test")) == (503, 200) and ground.backend.records == []
    assert not any(NAME in one["names"] for one in ground.own.list()["certificates"])
    ground.given(ground.own.does("token", NAME).strip())
    it.admin("reload")
    until(lambda: status(it) == 200)
    assert told(it, "identity-missing") == []


def test_a_rotation_of_the_authority_under_traffic_loses_no_request(
    ground: Ground, served: Served, tmp_path: Path
) -> None:
    """K04. Three steps; at each the edge follows, and the backend too."""
    own = ground.own
    ground.given(own.does("token", NAME).strip())
    it = ground.run(served.port)
    until(lambda: status(it) == 200)
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(status(it))

    asking = threading.Thread(target=ask)
    asking.start()
    identity = CaIdentity.model_validate(
        {"name": "own", "from": "ca", "authority": f"127.0.0.1:{served.port}", "state": str(ground.state)}
    )

    def followed() -> None:
        """The edge has the roots of now, and requests have passed since."""
        assert ground.backend.context is not None
        ground.backend.context.load_verify_locations(own.roots)
        it.admin("reload")
        until(lambda: (ground.state / "current" / "roots.pem").read_bytes() == own.roots.read_bytes())
        # What is on the disk is in force once a reload has answered, and not before.
        it.admin("reload")
        passed = len(answers)
        until(lambda: len(answers) > passed + 5)

    try:
        own.does("rotate", "--passphrase-file", str(own.passphrase))
        followed()
        own.does("rotate", "--activate")
        followed()
        leaf = own.leaf(tmp_path / "anew", "backend.corp.example", use="server")
        # In one step: a context of which the certificate is another's already, and the key is not, fails whoever comes meanwhile.
        ground.backend.context = server_context(leaf, clients=own.roots)
        Renewer(identity, tmp_path, clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=20)).step()
        until(lambda: ground.shown[-1] == ground.leaf().serial_number)
        own.does("rotate", "--retire", "--force")
        followed()
    finally:
        over.set()
        asking.join()
    assert set(answers) == {200}, answers


@pytest.mark.parametrize("keys", ["engine", "apart"])
def test_a_site_shows_an_identity_and_knows_its_clients_by_what_came_with_it(
    keys: str, ground: Ground, served: Served, raw: Raws, tmp_path: Path
) -> None:
    """Refused, as one by ACME is, until it is there."""
    ground.given(ground.own.does("token", "guard.corp.example").strip())
    plain = raw(answering(OK))
    site = (
        '[[site]]\nname = "guard"\nhosts = ["guard.corp.example"]\ncerts = [{ identity = "own" }]\n'
        'clients = { ca = "identity:own", crl = "identity:own" }\n'
        '[[route]]\nname = "guarded"\nhost = "guard.corp.example"\ntls = "plaintext"\n'
        f'to = ["127.0.0.1:{plain.port}"]\nallow = {{ clients = ["spiffe://corp.example/*"] }}\n'
    )
    it = ground.run(more=site, keys=keys)
    client = ground.own.leaf(tmp_path / "client", NAME, use="client")
    other = ground.own.leaf(tmp_path / "other", "other.corp.example", use="client")

    def asked(leaf: Leaf | None) -> int:
        context = ssl.create_default_context(cafile=str(ground.own.roots))
        if leaf is not None:
            context.load_cert_chain(leaf.chain, leaf.key)
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as sock:
            with context.wrap_socket(sock, server_hostname="guard.corp.example") as spoken:
                return exchange(spoken, GET.replace("a.test", "guard.corp.example")).status

    with pytest.raises(OSError):
        asked(client)
    assert it.line(lambda line: line["sni"] == "guard.corp.example")["end"] == "hello/no-certificate-yet"
    it.reload(ground.route(served.port, site))

    def let_in() -> bool:
        try:
            return asked(client) == 200
        except OSError:
            return False

    until(let_in)
    assert asked(other) == 403
    with pytest.raises(OSError):
        asked(None)
    ground.own.does("revoke", f"{x509.load_pem_x509_certificates(client.chain.read_bytes())[0].serial_number:X}")
    it.admin("reload")
    until(lambda: not let_in())


@pytest.mark.skipif(os.geteuid() != 0, reason="an engine has another uid than its supervisor where root starts it")
def test_a_taken_engine_can_read_neither_its_identitys_key_nor_the_authoritys(ground: Ground, served: Served) -> None:
    """K03. Tried as its user, and in its folder of open files."""
    ground.given(ground.own.does("token", NAME).strip())
    it = ground.run(served.port)
    until(lambda: status(it) == 200)
    (engine,) = children(it.edge.process.pid)
    uid = int(re.findall(r"^Uid:\t(\d+)", Path(f"/proc/{engine}/status").read_text(), re.M)[0])
    assert uid != 0
    keys = [ground.state / "current" / "pair.pem", ground.token, ground.own.at / "1" / "issuing.key"]
    assert all(key.stat().st_size for key in keys)
    for key in keys:
        done = subprocess.run([*as_user(uid), "cat", str(key)], capture_output=True, timeout=30, check=False)
        assert done.returncode != 0 and done.stdout == b"", key
    held = [os.readlink(one) for one in Path(f"/proc/{engine}/fd").iterdir()]
    assert not any(str(ground.folder) in one for one in held), held
