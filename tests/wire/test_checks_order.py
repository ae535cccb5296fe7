"""The order of a route's checks: a request that fails several is refused by the first of the list that `explain checks` prints."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop import _door
from everyhop.compile import compile_file
from everyhop.explain import checks
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.authorizer import NO, YES, Asked, block
from tests.kit.edge import until
from tests.kit.inspector import built
from tests.kit.raw import OK, answering
from tests.kit.tokens import Issuer, write_keys
from tests.kit.tokens import block as issuer
from tests.kit.users import basic, by_htpasswd
from tests.wire.test_limits import limit
from tests.wire.test_turns import Holding

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
REFUSES = {
    "head": "http1/two-hosts",
    "route": "request/not-found",
    "networks": "request/address-not-allowed",
    "clients": "request/client-not-allowed",
    "path": "request/bad-target",
    "upgrade": "request/upgrade-refused",
    "address-limits": "request/rate-limited",
    "password": "password/wrong",
    "token": "token/missing",
    "body": "request/body-too-long",
    "limits": "request/rate-limited",
    "ask": "ask/denied",
    "waf": "waf/denied",
    "turn": "request/too-many-at-once",
}
"""What the request of these tests fails each check by."""
ELSEWHERE = {
    "log": "a device that is full",
    "own-log": "a device that is full",
    "session": "a certificate that ends",
    "acceptance": "a word that ends",
    "preflight": "another request, below",
}
"""What these requests cannot fail, and what it takes."""
MORE = """
path = "/api"
paths = "strict"
allow = { clients = ["client.test"], networks = ["192.0.2.0/24", "198.51.100.0/24"] }
limited_by = ["by-address", "by-field"]
ask = "sso"
waf = "crs"
most = { requests = 1, waiting = 0 }
limits = { body_bytes = 100 }
cors = { origins = ["https://app.test"], methods = ["PUT"] }
"""


SHOWN = ("token", "password")
"""A route asks for one of them."""


class Stage:
    """An edge with one route that has every check, one request under way, and both limits used up for one key. `shows`: what it asks
    clients for."""

    def __init__(self, edge: Edges, raw: Raws, pki: Pki, folder: Path, shows: str) -> None:
        self.shows, users = shows, folder / "users"
        users.write_text(by_htpasswd("alice", "secret"))
        asks = {"token": 'jwt = { issuer = "corp" }', "password": f'basic = {{ file = "{users}" }}'}[shows]
        self.pki, self.corp, self.backend = pki, Issuer(), Holding()
        self.raw, self.asked = raw(self.backend), Asked(lambda it: NO if it.one("x-fails") else YES)
        self.keys = 0
        limits = limit("1/h", 'by = ["client-address"]', "by-address") + limit(
            "1/h", 'by = ["header:x-key"]', "by-field"
        )
        who = block(raw(self.asked).port, 'sends = ["x-fails"]')
        built()
        route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n{MORE}{asks}\n'
        keys = issuer(write_keys(folder / "corp.jwks.json", self.corp)) if shows == "token" else ""
        site = 'clients = { ca = "{pki}/public-ca.pem", mode = "ask" }'
        self.edge = edge(
            limits + who + '[[waf]]\nname = "crs"\n' + route + keys,
            site=site,
            listener='trusted_proxies = ["127.0.0.1"]',
        )
        self.held = self.connected(proves=True)
        self.held.sendall(self.request(set(), key="used", address="192.0.2.1").encode())
        until(lambda: self.backend.asked == 1)

    def connected(self, *, proves: bool) -> socket.socket:
        return tls(self.edge.port, "a.test", self.pki.public.file, leaf=self.pki.client if proves else None)

    def request(self, fails: set[str], key: str = "", address: str = "", how: str = "POST") -> str:
        """Each with a key and an address of its own, unless it is to fail by what they have used up."""
        self.keys += 1
        lines = [
            f"{how} {'/elsewhere' if 'route' in fails else '/api'}{'/a%2f..%2fb' if 'path' in fails else ''}"
            f"{'?q=%3Cscript%3Ealert(1)%3C/script%3E' if 'waf' in fails else ''} HTTP/1.1",
            "Host: a.test",
            "User-Agent: tests",
            f"X-Forwarded-For: {'203.0.113.1' if 'networks' in fails else '192.0.2.1' if 'address-limits' in fails else address or f'198.51.100.{self.keys}'}",
            f"X-Key: {'used' if 'limits' in fails else key or self.keys}",
            f"Content-Length: {101 if 'body' in fails else 0}",
        ]
        lines += ["Host: a.test"] if "head" in fails else []
        # Only what has no body can switch.
        if "upgrade" in fails and "body" not in fails:
            lines = [it for it in lines if not it.startswith("Content-Length")]
        lines += ["Connection: upgrade", "Upgrade: other"] if "upgrade" in fails else []
        fine = {"token": f"Bearer {self.corp.token()}", "password": basic("alice", "secret")}[self.shows]
        # Of a password it is not said that it is missing, but that it is wrong: that is found out elsewhere.
        bad = {"token": [], "password": [f"Authorization: {basic('alice', 'wrong')}"]}[self.shows]
        lines += bad if self.shows in fails else [f"Authorization: {fine}"]
        lines += ["X-Fails: yes"] if "ask" in fails else []
        return "\r\n".join(lines) + "\r\n\r\n"

    def ask(self, fails: set[str]) -> Answer:
        with self.connected(proves="clients" not in fails) as sock:
            return exchange(sock, self.request(fails))

    def end(self, answer: Answer) -> object:
        """Why it was refused, as its line has it."""
        return self.edge.line(lambda it: it["id"] == answer.headers["x-request-id"])["end"]


@pytest.fixture(params=SHOWN)
def stage(edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    it = Stage(edge, raw, pki, tmp_path, request.param)
    yield it
    it.backend.go.release(1000)
    it.held.close()


def test_each_check_is_met_before_those_behind_it_in_the_list(stage: Stage) -> None:
    order = [name for name, _, _ in _door.checks()]
    assert set(order) == REFUSES.keys() | ELSEWHERE.keys()
    reasons = {name: slugs for name, _, slugs in _door.checks()}
    failing = [name for name in order if name in REFUSES and (name not in SHOWN or name == stage.shows)]
    for n, name in enumerate(failing):
        assert stage.end(stage.ask(set(failing[n:]))) == REFUSES[name], name
        assert REFUSES[name] in reasons[name]
    assert stage.backend.asked == 1 and len(stage.asked.questions) == 4, (
        "the backend and whoever is asked hear of no other"
    )


NOT_ALLOWED = "request/origin-not-allowed"
PREFLIGHTS = {
    "a path that reads in two ways": ({"path", "limits", "ask", "turn"}, "request/bad-target"),
    "a body that is too long": ({"body", "limits", "ask", "turn"}, "request/body-too-long"),
    "an address that is not allowed": ({"networks", "clients", "limits", "ask", "turn"}, "request/address-not-allowed"),
    "no client that is allowed": ({"clients", "path", *SHOWN, "body", "limits", "ask", "turn"}, NOT_ALLOWED),
    "no token or password": ({"address-limits", *SHOWN, "limits", "ask", "turn"}, NOT_ALLOWED),
    "nothing but what comes behind it": ({"limits", "ask", "turn"}, NOT_ALLOWED),
}


@pytest.mark.parametrize(("fails", "end"), PREFLIGHTS.values(), ids=PREFLIGHTS)
def test_a_preflight_is_answered_instead_of_being_refused_for_what_it_cannot_prove(
    stage: Stage, fails: set[str], end: str
) -> None:
    origin = "\r\nOrigin: https://evil.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
    with stage.connected(proves="clients" not in fails) as sock:
        answer = exchange(sock, stage.request(fails, how="OPTIONS").replace("\r\n\r\n", origin))
    assert stage.end(answer) == end


def test_a_request_that_fails_nothing_passes_all_of_them(stage: Stage) -> None:
    stage.backend.go.release(1000)
    assert b"200" in stage.held.recv(100)
    assert stage.ask(set()).status == 200


def test_what_is_said_of_a_route_is_what_it_has(stage: Stage) -> None:
    plan = compile_file(stage.edge.config).plan
    (route,) = plan.routes
    found = {it.name: it for it in checks(plan, route)}
    assert [*found] == [
        name
        for name, _, _ in _door.checks()
        if name not in ("log", "own-log", "acceptance", *({*SHOWN} - {stage.shows}))
    ]
    assert found["networks"].here == "192.0.2.0/24, 198.51.100.0/24"
    assert found["clients"].here == "client.test" and found["ask"].here == "sso" and found["body"].here == "100 bytes"
    assert "by-address" in found["address-limits"].here and "by-field" in found["limits"].here
    assert {"token": "corp", "password": "users, 1 user"}[stage.shows] in found[stage.shows].here
    assert "paths = strict" in found["path"].here


@pytest.mark.parametrize(
    "by",
    [
        [],
        ["client-address"],
        ["client-address", "route"],
        ["client-address", "header:x-key"],
        ["client-address", "claim:sub"],
        ["claim:sub"],
        ["host"],
        ["cookie:a"],
    ],
)
def test_a_limit_is_asked_before_the_token_where_it_is_said_to_be(
    edge: Edges, raw: Raws, pki: Pki, tmp_path: Path, by: list[str]
) -> None:
    corp, port = Issuer(), raw(answering(OK)).port
    few = limit("1/h", f"by = {json.dumps(by)}", "few") + issuer(write_keys(tmp_path / "corp.jwks.json", corp))
    more = 'jwt = { issuer = "corp" }\nlimited_by = ["few"]\n'
    it = edge(f'{few}[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}')

    def asked(shown: str) -> Answer:
        with tls(it.port, "a.test", pki.public.file) as sock:
            return exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\n{shown}\r\n")

    assert asked(f"Authorization: Bearer {corp.token()}\r\n").status == 200
    plan = compile_file(it.config).plan
    has = {check.name for check in checks(plan, plan.routes[0])}
    assert len(has & {"address-limits", "limits"}) == 1
    assert asked("").status == (429 if "address-limits" in has else 401)
