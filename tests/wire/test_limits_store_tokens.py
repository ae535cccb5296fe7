"""Limits by address that edges count together, at routes that ask for a token: whoever tries tokens has only so many tries at all
edges together, and who has a good one is refused for none of it. Rates are by the hour, so that nothing is earned back while a test
runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import Answer, EdgeKit, Pki, Raw
from tests.kit.authorizer import Asked, block
from tests.kit.key_server import KeyServer, fetched
from tests.kit.raw import OK, answering
from tests.kit.redis import Redis
from tests.kit.tokens import Issuer, write_keys
from tests.kit.tokens import block as issuer_of
from tests.wire.test_limits import ask, came, limit
from tests.wire.test_limits_store import comes_up, decided, shared, store
from tests.wire.test_tokens import route

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
BY_ADDRESS = 'by = ["client-address"]'


@pytest.fixture
def backend(raw: Raws) -> Raw:
    return raw(answering(OK))


def shows(it: EdgeKit, pki: Pki, token: str, more: str = "") -> Answer:
    return decided(it, pki, f"Authorization: Bearer {token}\r\n{more}")


def test_whoever_tries_tokens_has_only_so_many_tries_at_all_edges_together(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis, tmp_path: Path
) -> None:
    corp, stranger = Issuer(), Issuer()
    text = shared("4/h", more=BY_ADDRESS) + store(pki, redis.port("plaintext"))
    text += issuer_of(write_keys(tmp_path / "corp.jwks.json", corp)) + route(backend.port, more='limited_by = ["few"]')
    one, two = (comes_up(edge(text)) for _ in range(2))
    tried: list[int] = []
    while not tried or tried[-1] != 429:
        tried.append(shows(one, pki, stranger.token()).status)
    assert tried == [401] * (len(tried) - 1) + [429] and 1 <= len(tried) - 1 <= 4
    # What the other edge never counted it looks at no token of.
    for token in (stranger.token(), corp.token(), stranger.token()):
        assert shows(two, pki, token).status == 429
    ends = [line["end"] for line in two.all_lines() if line["status"] not in (0, 503)]
    assert ends == ["request/rate-limited"] * 3 and came(backend) == 0


def test_who_has_a_good_token_passes_the_limits_before_and_behind_it_and_is_asked_about_once(
    edge: Edges, pki: Pki, raw: Raws, backend: Raw, redis: Redis, tmp_path: Path
) -> None:
    corp, who = Issuer(), Asked()
    limits = shared("100/h", more=f'tells = "answers"\n{BY_ADDRESS}')
    limits += limit(
        "2/h", 'store = "counters"\nwhen_store_down = "refuse"\ntells = "answers"\nby = ["claim:sub"]', "own"
    )
    text = limits + store(pki, redis.port("mutual"), "mutual") + block(raw(who).port)
    text += issuer_of(write_keys(tmp_path / "corp.jwks.json", corp))
    it = comes_up(edge(text + route(backend.port, more='limited_by = ["own", "few"]\nask = "sso"')))
    passed = shows(it, pki, corp.token(sub="a"))
    assert passed.status == 200 and len(who.questions) == came(backend) == 1
    assert passed.headers["ratelimit-policy"] == '"few";q=100;w=3600, "own";q=2;w=3600'
    statuses = [shows(it, pki, corp.token(sub="a")).status for _ in range(3)]
    assert statuses[-1] == 429 and len(who.questions) == came(backend) == 1 + statuses.count(200)
    assert shows(it, pki, corp.token(sub="b")).status == 200, "another's count is its own"


def test_a_token_by_a_key_that_nobody_has_seen_waits_for_the_store_and_then_for_the_keys(
    edge: Edges, pki: Pki, backend: Raw, redis: Redis
) -> None:
    old, new = Issuer(kid="old"), Issuer(kid="new")
    server = KeyServer(old, leaf=pki.backend)
    try:
        text = shared("100/h", "local", BY_ADDRESS) + store(pki, redis.port("plaintext")) + fetched(server.url, "")
        it = comes_up(edge(text + route(backend.port, more='limited_by = ["few"]')))
        server.publish(old, new)
        # The first of its address: nothing is leased for it yet.
        assert ask(it, pki, f"Authorization: Bearer {new.token()}\r\n").status == 200
        assert server.asked == 2 and came(backend) == 1
    finally:
        server.close()
