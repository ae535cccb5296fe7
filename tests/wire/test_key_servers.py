"""Keys of issuers that are fetched: rotation while requests go on, a token with a key that nobody has seen, and servers that are
slow, gone or hostile, which cost the requests of nobody else anything."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.edge import until
from tests.kit.key_server import MISBEHAVIOURS, KeyServer, fetched
from tests.kit.nursery import Quick
from tests.kit.process import children
from tests.kit.raw import OK, answering
from tests.kit.tokens import Issuer
from tests.wire.test_http2 import Speaker
from tests.wire.test_post_quantum import needs_classical
from tests.wire.test_tokens import route

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Servers = Callable[..., KeyServer]
FREE = '[[route]]\nname = "free"\nhost = "b.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n'


@pytest.fixture
def key_server() -> Iterator[Servers]:
    opened: list[KeyServer] = []

    def start(*issuers: Issuer, **more: object) -> KeyServer:
        opened.append(KeyServer(*issuers, **more))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for it in opened:
        it.close()


class Stage:
    """An edge with a route that asks for a token and one that does not, their backend, and the server of keys."""

    def __init__(
        self, edge: Edges, pki: Pki, raw: Raws, server: KeyServer, more: str = "", more_text: str = "", **kit: object
    ) -> None:
        self.pki, self.server, self.raw = pki, server, raw(answering(OK))
        self.text = route(self.raw.port) + FREE.format(port=self.raw.port) + fetched(server.url, more) + more_text
        self.edge = edge(self.text, **kit)

    def ask(self, token: str | None, host: str = "a.test") -> Answer:
        sent = "" if token is None else f"Authorization: Bearer {token}\r\n"
        with tls(self.edge.port, host, self.pki.public.file) as sock:
            return exchange(sock, f"GET / HTTP/1.1\r\nHost: {host}\r\n{sent}\r\n")


def test_keys_are_fetched_before_the_edge_is_ready_by_a_hop_that_proves_who_it_is(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    it = Stage(edge, pki, raw, server)
    assert it.ask(issuer.token()).status == 200
    assert it.ask(Issuer().token()).status == 401
    asked = server.raw.received
    assert asked.startswith(b"GET /realms/corp/keys?all=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{server.raw.port}".encode() in asked.lower()
    said = it.edge.cli("where", "a.test/", "--config", str(it.edge.config)).stdout
    assert f"corp =TLS= 127.0.0.1:{server.raw.port}" in said
    drawn = it.edge.cli("explain", "--config", str(it.edge.config), "r").stdout
    assert "says who gets in" in drawn and server.url in drawn


def test_a_server_that_shows_another_certificate_is_believed_in_nothing_and_its_issuers_tokens_are_503(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.other)
    it = Stage(edge, pki, raw, server)
    answer = it.ask(issuer.token())
    assert (answer.status, "token/keys-unavailable" in answer.text) == (503, True)
    assert "www-authenticate" not in answer.headers, "another token would do no better"
    assert server.raw.received == b"", "nothing was said to it"
    it.edge.edge.wait_for("hop/name-mismatch", 30)
    assert it.ask(None).status == 401
    assert it.ask(None, "b.test").status == 200, "routes that ask for no token go on"
    pinned = it.text.replace('verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }', pin(it, server))
    assert it.edge.reload(pinned)["reloaded"]
    until(lambda: it.ask(issuer.token()).status == 200)


def pin(it: Stage, server: KeyServer) -> str:
    probed = it.edge.cli("probe", f"127.0.0.1:{server.raw.port}", "--json")
    return f'verify = {{ pin = "{json.loads(probed.stdout)["pins"]["key"]}" }}'


@needs_classical
def test_a_server_that_must_have_post_quantum_key_exchange_is_told_nothing_without_it_and_believed_with_it(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    it = Stage(edge, pki, raw, server, "require_post_quantum = true")
    assert it.ask(issuer.token()).status == 503 and server.raw.received == b""
    it.edge.edge.wait_for("hop/no-post-quantum", 30)
    # Another edge in front of the same server has it, and shows a certificate that is verified as that was.
    front = edge(
        f'[[route]]\nname = "keys"\nhost = "backend.internal"\nprotocol = "tcp"\ntls = "reencrypt"\nto = ["127.0.0.1:{server.raw.port}"]\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\n',
        site=None,
        more=f'[[site]]\nname = "s"\nhosts = ["backend.internal"]\ncerts = [{{ chain = "{pki.backend.chain}", key = "file:{pki.backend.key}" }}]\n',
        listener='no_sni = "s"',
    )
    moved = it.text.replace(f"127.0.0.1:{server.raw.port}/", f"127.0.0.1:{front.port}/", 1)
    assert it.edge.reload(moved)["reloaded"]
    until(lambda: it.ask(issuer.token()).status == 200)
    it.edge.edge.wait_for(", by 1.3 X25519MLKEM768", 30)


def test_a_server_may_demand_to_know_who_asks(edge: Edges, pki: Pki, raw: Raws, key_server: Servers) -> None:
    issuer = Issuer("EdDSA")
    server = key_server(issuer, leaf=pki.backend, clients=pki.internal.file)
    it = Stage(edge, pki, raw, server, 'present = "edge", demand_asks = true')
    assert it.ask(issuer.token()).status == 200
    assert it.edge.reload(it.text.replace(', present = "edge", demand_asks = true', ""))["reloaded"]
    it.edge.edge.wait_for("hop/identity-refused", 30)


def test_keys_rotate_under_load_without_one_wrong_refusal(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    """J02. Tokens are signed by the new key from the moment on at which it is in the set."""
    old, new = Issuer(kid="old"), Issuer("EdDSA", kid="new")
    server = key_server(old, leaf=pki.backend)
    it = Stage(edge, pki, raw, server, threads=2)
    signer, over = [old], threading.Event()
    counted: list[tuple[str, int]] = []

    def client(by_h2: bool) -> None:
        def token() -> tuple[str, str]:
            by = signer[0]
            return by.kid, by.token(jti=str(time.monotonic_ns()))

        if by_h2:
            with Speaker(it.edge, pki) as speaker:
                while not over.is_set():
                    kid, shown = token()
                    counted.append((kid, int(speaker.outcome(speaker.headers(("authorization", f"Bearer {shown}"))))))
            return
        with tls(it.edge.port, "a.test", pki.public.file) as sock:
            while not over.is_set():
                kid, shown = token()
                sent = f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {shown}\r\n\r\n"
                counted.append((kid, exchange(sock, sent).status))

    clients = [threading.Thread(target=client, args=(n % 2 == 0,)) for n in range(4)]
    for thread in clients:
        thread.start()
    try:
        until(lambda: len(counted) > 40)
        server.publish(old, new)
        signer[0] = new
        begun = len(counted)
        until(lambda: len([kid for kid, _ in counted[begun:] if kid == "new"]) > 40)
        server.publish(new)
        assert it.edge.admin("reload")["reloaded"]
        begun = len(counted)
        until(lambda: len(counted) > begun + 40)
    finally:
        over.set()
        for thread in clients:
            thread.join(30)
    assert {status for _, status in counted} == {200}, counted
    until(lambda: it.ask(old.token()).status == 401)
    assert server.asked <= 4, "one at the start, one for the new key, one for the reload"


def test_a_key_that_an_engine_sees_first_which_another_has_followed_is_asked_for_too(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    """J02. A connection that was open before an upgrade has its next request there."""
    old, new = Issuer(kid="old"), Issuer(kid="new")
    server = key_server(old, leaf=pki.backend)
    it = Stage(edge, pki, raw, server)

    def sent(by: Issuer) -> str:
        return f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {by.token()}\r\n\r\n"

    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, sent(old)).status == 200
        assert it.edge.admin("upgrade")["upgraded"]
        server.publish(old, new)
        assert exchange(sock, sent(new)).status == 200
    assert server.asked == 2
    assert it.ask(new.token()).status == 200, "and the next engine has it by then"


def test_names_of_keys_that_are_made_up_make_the_server_be_asked_once(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    """J02."""
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    it = Stage(edge, pki, raw, server)
    assert server.asked == 1
    for n in range(40):
        answer = it.ask(issuer.token({"kid": f"made up {n}"}))
        assert (answer.status, "token/unknown-key" in answer.text) == (401, True), answer.text
    assert it.ask(issuer.token()).status == 200
    assert server.asked == 2


@pytest.mark.parametrize("wrong", [*MISBEHAVIOURS, "endless", "silent"])
def test_a_server_that_misbehaves_changes_no_key_that_was_good(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers, wrong: str
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    it = Stage(edge, pki, raw, server)
    server.wrong = wrong
    assert it.edge.reload(it.text)["reloaded"]
    until(lambda: server.asked > 1)
    began = time.monotonic()
    unknown = it.ask(issuer.token({"kid": "k2"}))
    assert (unknown.status, "token/keys-unavailable" in unknown.text) == (503, True), (
        "nobody can say whether it is good"
    )
    assert time.monotonic() - began < 30
    assert it.ask(issuer.token()).status == 200
    assert it.edge.admin("status")["supervisor"], "its loop goes on"
    it.edge.edge.wait_for("[keys-stale]", 40)
    server.wrong = ""
    until(lambda: it.edge.reload(it.text)["reloaded"])
    it.edge.edge.wait_for("well again: issuer corp", 60)
    assert it.ask(issuer.token()).status == 200


def test_an_edge_starts_without_keys_refuses_their_tokens_and_takes_them_once_they_come(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    server.wrong = "failing"
    it = Stage(edge, pki, raw, server)
    answer = it.ask(issuer.token())
    assert (answer.status, "token/keys-unavailable" in answer.text) == (503, True)
    assert it.ask(None, "b.test").status == 200
    it.edge.edge.wait_for("[keys-missing]", 30)
    server.wrong = ""
    until(lambda: it.ask(issuer.token()).status == 200, 90)


def test_the_last_good_keys_outlive_a_supervisor_and_its_engine(
    edge: Edges, pki: Pki, raw: Raws, key_server: Servers
) -> None:
    issuer = Issuer()
    server = key_server(issuer, leaf=pki.backend)
    it = Stage(edge, pki, raw, server)
    assert it.ask(issuer.token()).status == 200
    server.wrong = "failing"
    for _ in range(2):
        it.edge.edge.stop()
        it.edge.edge = Quick(it.edge.config)
        it.edge.edge.wait_for("ready:", 60)
        assert it.ask(issuer.token()).status == 200
    it.edge.edge.wait_for("[keys-stale]", 30)
    (engine,) = children(it.edge.edge.process.pid)
    os.kill(engine, signal.SIGKILL)
    it.edge.edge.wait_for("the engine is back", 30)
    assert it.ask(issuer.token()).status == 200


def test_how_old_keys_are_is_told(edge: Edges, pki: Pki, raw: Raws, key_server: Servers) -> None:
    issuer, port = Issuer(), free_port()
    server = key_server(issuer, leaf=pki.backend)
    began = int(time.time())
    it = Stage(edge, pki, raw, server, more_text=f'[status]\nbind = "127.0.0.1:{port}"\n')

    def gauge(name: str) -> float:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
        (line,) = [line for line in text.splitlines() if line.startswith(f'{name}{{issuer="corp"}} ')]
        return float(line.rpartition(" ")[2])

    until(lambda: gauge("everyhop_issuer_keys_fetched_timestamp_seconds") >= began)
    assert gauge("everyhop_issuer_keys_fetched_timestamp_seconds") <= time.time()
    assert gauge("everyhop_issuer_keys") == 1
    server.publish(issuer, Issuer(kid="k2"))
    assert it.ask(issuer.token({"kid": "k2"})).status == 401
    assert gauge("everyhop_issuer_keys") == 2


def test_keys_may_come_in_the_clear_from_this_host(edge: Edges, pki: Pki, raw: Raws, key_server: Servers) -> None:
    issuer = Issuer("RS256")
    it = Stage(edge, pki, raw, key_server(issuer))
    assert it.ask(issuer.token()).status == 200
