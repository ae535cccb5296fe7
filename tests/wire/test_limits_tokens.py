"""Limits of routes that ask for a token: those by address hold whoever tries tokens, those by a claim know whose token it is.
Rates are by the hour, so that nothing is earned back while a test runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.kit import Answer, EdgeKit, Pki, Raw, exchange, tls
from tests.kit.raw import OK, answering
from tests.kit.tokens import Issuer, block, write_keys
from tests.wire.test_http2 import Speaker
from tests.wire.test_limits import TRUSTED, ask, came, limit, told
from tests.wire.test_plain_serves import plain, serving

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


class Stage:
    """A route that wants a token of one of two issuers, and is limited."""

    def __init__(self, edge: Edges, pki: Pki, raw: Raws, folder: Path) -> None:
        self.corp, self.partner = Issuer(), Issuer(name="https://partner.test")
        self.pki, self.raw, self.serve = pki, raw(answering(OK)), edge
        self.keys = block(write_keys(folder / "corp.jwks.json", self.corp))
        partner = write_keys(folder / "partner.jwks.json", self.partner)
        self.keys += block(partner, name="partner", issuer="https://partner.test")

    def begin(self, limits: str, by: str, more: str = "", listeners: str = "") -> EdgeKit:
        asks = f'jwt = {{ issuer = ["corp", "partner"] }}\nlimited_by = [{by}]\n{more}\n'
        route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{self.raw.port}"]\n{asks}'
        self.edge = self.serve(limits + route + self.keys, listener=TRUSTED, more=listeners)
        return self.edge

    def ask(self, token: str | None, address: str = "192.0.2.1", more: str = "") -> Answer:
        shown = f"Authorization: Bearer {token}\r\n" if token is not None else ""
        return ask(self.edge, self.pki, told(address) + shown + more)

    def used(self) -> dict[str, list[int]]:
        return {it["name"]: [busy["used"] for busy in it["busiest"]] for it in self.edge.status()["limits"]}


@pytest.fixture
def stage(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> Stage:
    return Stage(edge, pki, raw, tmp_path)


def test_whoever_tries_tokens_has_as_many_tries_as_its_address_has_requests(stage: Stage) -> None:
    stage.begin(limit("3/h"), '"few"')
    stranger, fine = Issuer(), stage.corp.token()
    tried = [stage.ask(it).status for it in (stranger.token(), None, "x", stranger.token(), fine)]
    assert tried == [401, 401, 401, 429, 429], "also with the right one: which it was is not told to who guessed on"
    assert stage.ask(fine, "192.0.2.2").status == 200
    with Speaker(stage.edge, stage.pki) as speaker:
        shown = ("authorization", f"Bearer {fine}"), ("x-forwarded-for", "192.0.2.1")
        assert speaker.outcome(speaker.headers(*shown)) == "429"
    assert came(stage.raw) == 1
    ends = [line["end"] for line in stage.edge.all_lines()]
    assert ends.count("request/rate-limited") == 3


def test_who_came_in_the_clear_to_a_listener_that_serves_has_no_more_tries(stage: Stage) -> None:
    port = free_port()
    stage.begin(limit("2/h"), '"few"', listeners=serving(port))
    seen = []
    for token in ("x", "y", stage.corp.token()):
        with plain(port) as sock:
            head = f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n"
            seen.append(exchange(sock, head).status)
    assert seen == [401, 401, 429]
    assert came(stage.raw) == 0


def test_a_claim_tells_one_from_another_by_its_issuer_and_who_has_no_token_uses_up_nobodys(stage: Stage) -> None:
    stage.begin(limit("1/h", 'by = ["claim:sub"]'), '"few"')
    assert [stage.ask(None).status for _ in range(3)] == [401] * 3
    alice, bob = stage.corp.token(sub="alice"), stage.corp.token(sub="bob")
    other = stage.partner.token(sub="alice")
    assert [stage.ask(it).status for it in (alice, bob, other)] == [200] * 3
    again = stage.corp.token(sub="alice", jti="another")
    assert [stage.ask(it, "192.0.2.9").status for it in (again, bob, other)] == [429] * 3
    without = stage.corp.token(sub=None)
    assert [stage.ask(it).status for it in (without, stage.corp.token(sub=None, jti="2"))] == [200, 429]


def test_what_a_limit_by_a_claim_refuses_counts_for_none_by_address(stage: Stage) -> None:
    both = limit("9/h", 'tells = "answers"', name="address") + limit("1/h", 'by = ["claim:sub"]', "subject")
    stage.begin(both, '"subject", "address"')
    token = stage.corp.token()
    seen = [stage.ask(token) for _ in range(4)]
    assert [it.status for it in seen] == [200, 429, 429, 429]
    assert seen[0].headers["ratelimit-policy"] == '"address";q=9;w=3600'
    assert stage.used() == {"address": [1], "subject": [1]}
    assert stage.ask("x").status == 401
    assert stage.used() == {"address": [2], "subject": [1]}


def test_a_preflight_of_a_browser_is_no_try(stage: Stage) -> None:
    stage.begin(limit("1/h"), '"few"', 'cors = { origins = ["https://app.test"] }')
    preflight = (
        "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nOrigin: https://app.test\r\nAccess-Control-Request-Method: GET\r\n"
    )
    for _ in range(3):
        with tls(stage.edge.port, "a.test", stage.pki.public.file) as sock:
            it = exchange(sock, preflight + told("192.0.2.1") + "\r\n")
        assert (it.status, it.headers["access-control-allow-origin"]) == (204, "https://app.test")
    assert stage.ask(stage.corp.token()).status == 200
    assert stage.ask(stage.corp.token()).status == 429


def test_so_many_at_once_by_address_are_no_longer_under_way_where_their_token_is_refused(stage: Stage) -> None:
    stage.begin(limit("", "at_once = 1"), '"few"')
    assert [stage.ask("x").status for _ in range(3)] == [401] * 3
    assert stage.ask(stage.corp.token()).status == 200
