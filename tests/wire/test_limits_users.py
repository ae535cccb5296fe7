"""Limits and fields by the name that signs in with a password: whoever does not sign in uses up nobody's requests and is told of as
nobody. Rates are by the hour, so that nothing is earned back while a test runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.kit.redis import Redis
from tests.kit.users import basic, by_htpasswd, write
from tests.wire.test_edits import fields
from tests.wire.test_http2 import Speaker
from tests.wire.test_limits import TRUSTED, limit, told
from tests.wire.test_limits_store import comes_up, shared, store
from tests.wire.test_passwords import ALICE, BOB, Stage

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
BY_USER = 'by = ["user"]'


def limited(edge: Edges, pki: Pki, raw: Raws, folder: Path, *limits: str, asks: str = "", more: str = "") -> Stage:
    by = ", ".join(f'"{it.split(chr(34))[1]}"' for it in limits)
    return Stage(edge, pki, raw, folder, asks, f"limited_by = [{by}]\n{more}", "".join(limits), TRUSTED)


def test_a_name_is_one_key_wherever_it_comes_from_and_who_shows_a_wrong_password_uses_up_nobodys(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    it = limited(edge, pki, raw, tmp_path, limit("2/h", BY_USER))
    assert [it.signs_in("alice", "wrong", told("192.0.2.9")) for _ in range(4)] == [401] * 4
    assert [it.signs_in("alice", ALICE, told(f"192.0.2.{n}")) for n in (1, 2, 3)] == [200, 200, 429]
    with Speaker(it.edge, it.pki) as speaker:
        for name, password, status in (("alice", ALICE, "429"), ("böb", BOB, "200"), ("böb", BOB, "200")):
            assert speaker.outcome(speaker.headers(("authorization", basic(name, password)))) == status, name
    assert it.signs_in("böb", BOB, told("192.0.2.1")) == 429
    assert it.signs_in("alice", "wrong") == 401, "who guesses is not told that the name has used up its requests"
    assert it.raw.received.count(b"HTTP/1.1\r\n") == 4
    (shown,) = it.edge.status()["limits"]
    assert [busy["used"] for busy in shown["busiest"]] == [2, 2]
    lines = [line for line in it.edge.all_lines() if line["end"] == "request/rate-limited"]
    # A sign beyond ASCII stands in the log byte by byte.
    assert [line["user"].encode("latin-1").decode() for line in lines] == ["alice", "alice", "böb"]
    assert not any(name in line["detail"] for line in lines for name in ("alice", "böb")), "its key is shown by a sign"


def test_beside_an_address_in_one_key_it_is_asked_once_the_name_is_known(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    it = limited(edge, pki, raw, tmp_path, limit("1/h", 'by = ["client-address", "user"]'))
    here, there = told("192.0.2.1"), told("192.0.2.2")
    assert [it.signs_in("alice", "wrong", here) for _ in range(3)] == [401] * 3
    assert [it.signs_in("alice", ALICE, here) for _ in range(2)] == [200, 429]
    assert [it.signs_in("alice", ALICE, there), it.signs_in("böb", BOB, here)] == [200, 200]
    drawn = " ".join(it.edge.cli("explain", "checks", "r", "--config", str(it.edge.config)).stdout.split())
    assert "by client address (IPv6 /64) and user" in drawn
    assert drawn.index("of " + str(it.users)) < drawn.index("by client address (IPv6 /64) and user"), drawn


def test_what_a_limit_by_name_refuses_counts_for_none_by_address(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    both = limit("1/h", BY_USER, "person"), limit("9/h", name="address")
    it = limited(edge, pki, raw, tmp_path, *both)
    assert [it.signs_in("alice", ALICE) for _ in range(3)] == [200, 429, 429]
    used = {one["name"]: [busy["used"] for busy in one["busiest"]] for one in it.edge.status()["limits"]}
    assert used == {"address": [1], "person": [1]}


def test_edges_that_count_together_know_a_name_as_one(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path, redis: Redis
) -> None:
    backend, users = raw(answering(OK)), write(tmp_path / "users", by_htpasswd("alice", ALICE), by_htpasswd("bob", BOB))
    limits = shared("4/h", "refuse", BY_USER) + store(pki, redis.port("mutual"), "mutual")
    asks = f'basic = {{ file = "{users}" }}\nlimited_by = ["few"]'
    route = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\n{asks}\n'
    both = [comes_up(edge(limits + route)) for _ in range(2)]

    def signs_in(it: EdgeKit, name: str, password: str) -> int:
        """As soon as the store has said so."""

        def once() -> int | None:
            with tls(it.port, "a.test", pki.public.file) as sock:
                head = f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: {basic(name, password)}\r\n\r\n"
                status = exchange(sock, head).status
            return None if status == 503 else status

        return until(once, 60)

    passed = [signs_in(both[n % 2], "alice", ALICE) for n in range(16)].count(200)
    assert 4 <= passed <= 4 + 2, "no more than the limit and what each had leased; alone they would let pass 8"
    assert [signs_in(it, "bob", BOB) for it in both] == [200, 200]


def test_a_field_says_who_signed_in_in_the_words_of_its_route_and_no_client_says_it(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    more = 'request = { set = { x-who = "user {user} at {host}" }, add = { x-trail = "{user}" } }'
    it = Stage(edge, pki, raw, tmp_path, more=more)
    forged = "X-Who: root\r\nx-who: root\r\nX_WHO: root\r\nX.Who: root\r\nX-Trail: before\r\n"
    assert it.signs_in("böb", BOB, forged) == 200
    got = fields(it.raw.received)
    assert got["x-who"] == ["user böb at a.test"] and got["x-trail"] == ["before", "böb"]
    assert b"root" not in it.raw.received
    mark = it.raw.mark()
    with Speaker(it.edge, pki) as speaker:
        shown = ("authorization", basic("alice", ALICE)), ("x-who", "root"), ("x_who", "root")
        assert speaker.outcome(speaker.headers(*shown)) == "200"
    (second,) = it.raw.since(mark)
    assert fields(second)["x-who"] == ["user alice at a.test"] and b"root" not in second
    chunked = f"Authorization: {basic('alice', ALICE)}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Who: root\r\nX_Who: root\r\n"
    mark = it.raw.mark()
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        assert exchange(sock, f"POST / HTTP/1.1\r\nHost: a.test\r\n{chunked}\r\n").status == 200
    assert b"root" not in b"".join(it.raw.since(mark))
