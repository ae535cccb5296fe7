"""Requests stay in the edge's own zone while enough of it is up, and go elsewhere as far as it is not: judged at the backends."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tests.wire.test_spread import ask, taken
from tools.metrics import ONLY_THERE, families

Edges = Callable[..., EdgeKit]
GET = ["GET / HTTP/1.1"]
LIMITS = "[limits]\neject_after = 1\neject_s = 3600\nupstream_idle_s = 1\n"
ZONE = 'zone = "a"'


@pytest.fixture
def backends() -> Iterator[list[Backend]]:
    all_of_them = [Backend(f"b{i}") for i in range(4)]
    yield all_of_them
    for it in all_of_them:
        it.close()


def route(*entries: tuple[int, str], more: str = "") -> str:
    to = ", ".join(f'{{ at = "127.0.0.1:{port}"{", " + said if said else ""} }}' for port, said in entries)
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = [{to}]\n{more}\n'


def in_zones(backends: list[Backend], *said: str) -> list[tuple[int, str]]:
    return [(b.port, words) for b, words in zip(backends, said, strict=True)]


def stays(it: EdgeKit) -> int | None:
    found: int | None = it.status()["routes"][0]["stays_ppm"]
    return found


def test_all_requests_go_to_the_own_zone_by_weight_while_it_is_up(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    entries = in_zones(backends, 'zone = "a", weight = 3', 'zone = "a"', 'zone = "b", weight = 100', "")
    it = edge(route(*entries), engine=ZONE)
    assert set(ask(it, pki, GET * 40)) == {200}
    assert taken(backends) == [30, 10, 0, 0]
    assert stays(it) == 1_000_000
    elsewhere = edge(route(*entries), engine='zone = "c"')
    nowhere = edge(route(*entries))
    for other in (elsewhere, nowhere):
        assert set(ask(other, pki, GET * 105)) == {200} and stays(other) is None
        assert taken(backends) == [3, 1, 100, 1], "as if no zone were written"
    until(
        lambda: (
            any("this edge is in zone c, and no backend is (they are in a, b)" in x for x in elsewhere.edge.said)
            or None
        )
    )


def test_with_less_than_seven_tenths_up_as_much_goes_elsewhere_as_is_missing(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    """One of two in the zone is up: 50 of 70."""
    dead = free_port()
    entries = [(dead, 'zone = "a"'), *in_zones(backends[:3], 'zone = "a"', 'zone = "b"', 'zone = "b", weight = 3')]
    it = edge(route(*entries), engine=ZONE, more=LIMITS)
    assert set(ask(it, pki, GET * 4)) == {200}, "who meets the dead one goes on to its neighbour"
    assert stays(it) == 714_285
    taken(backends)
    assert set(ask(it, pki, GET * 700)) == {200}
    own, *others, _ = taken(backends)
    assert own == pytest.approx(500, abs=2) and others == [pytest.approx(50, abs=2), pytest.approx(150, abs=2)]
    shown = it.cli("status", "--config", str(it.config)).stdout
    assert "71.4 % goes to a, where this edge is, and the rest elsewhere" in shown, shown
    where = it.cli("where", "a.test/", "--config", str(it.config)).stdout
    assert "zone     71.4 % goes to a" in where, where


def test_a_zone_of_which_nobody_is_up_loses_no_request(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    dead = free_port()
    entries = [(dead, 'zone = "a"'), *in_zones(backends[:2], 'zone = "b"', 'zone = "b"')]
    # It is asked each second whether it is back, and rests meanwhile.
    it = edge(route(*entries), engine=ZONE, more=LIMITS.replace("3600", "1"))
    assert set(ask(it, pki, GET * 21)) == {200}
    assert stays(it) == 0
    assert sorted(taken(backends)) == [0, 0, 10, 11]
    again = Backend("back", port=dead)
    try:
        until(lambda: stays(it) == 1_000_000 or None, 30)
        taken(backends)
        assert set(ask(it, pki, GET * 5)) == {200} and len(again.seen) == 5
    finally:
        again.close()


def test_backups_of_the_own_zone_come_first_and_panic_knows_no_zone(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    dead = free_port()
    backups = [(b.port, f'backup = true, zone = "{zone}"') for b, zone in zip(backends[:2], "ba", strict=True)]
    it = edge(route((dead, 'zone = "a"'), *backups), engine=ZONE, more=LIMITS)
    assert set(ask(it, pki, GET * 10)) == {200}
    assert taken(backends) == [0, 10, 0, 0] and stays(it) == 1_000_000
    # Of five one is up, in the own zone: that one alone would be the next to fall.
    others = [(free_port(), f'zone = "{zone}"') for zone in "abbb"]
    more = "health = { connect = true, every_s = 1, down_after = 1 }"
    panics = edge(route((backends[3].port, 'zone = "a"'), *others, more=more), engine=ZONE)
    until(lambda: panics.status()["routes"][0]["panics"] or None, 20)
    assert stays(panics) is None
    assert set(ask(panics, pki, GET * 10)) == {200}
    assert taken(backends)[3] == 10


def test_who_sticks_to_a_backend_comes_back_to_it_whichever_zone_it_is_in(
    edge: Edges, pki: Pki, backends: list[Backend]
) -> None:
    entries = in_zones(backends[:2], 'zone = "b"', 'zone = "a"')
    it = edge(route(*entries, more='sticky = { cookie = "edge" }'), engine='zone = "b"')
    with tls(it.port, "a.test", pki.public.file) as sock:
        cookie = exchange(sock, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").headers["set-cookie"].partition(";")[0]
    it.parts["engine"] = ZONE
    assert it.reload(route(*entries, more='sticky = { cookie = "edge" }'))["reloaded"]
    assert it.status()["zone"] == "a"
    taken(backends)
    assert set(ask(it, pki, [f"GET / HTTP/1.1\r\nCookie: {cookie}"] * 5 + GET * 3)) == {200}
    assert taken(backends)[:2] == [5, 3]


def test_a_key_finds_the_same_backend_within_the_zone(edge: Edges, pki: Pki, backends: list[Backend]) -> None:
    it = edge(
        route(*in_zones(backends, *['zone = "a"'] * 2, *['zone = "b"'] * 2), more='balance = "hash:path"'), engine=ZONE
    )
    assert set(ask(it, pki, [f"GET /{n % 20} HTTP/1.1" for n in range(60)])) == {200}
    first = [{x["path"] for x in b.seen} if b.seen and "path" in b.seen[0] else set() for b in backends]
    counts = taken(backends)
    assert counts[2:] == [0, 0] and sum(counts) == 60 and all(n % 3 == 0 for n in counts), (counts, first)


def test_one_plan_serves_edges_of_several_zones_and_the_command_goes_before_the_file(
    edge: Edges, pki: Pki, backends: list[Backend], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entries = in_zones(backends[:2], 'zone = "a"', 'zone = "b"')
    status = free_port()
    metrics = f'[status]\nbind = "127.0.0.1:{status}"\n'
    plans = []
    monkeypatch.setenv("EVERYHOP_ZONE", "b")
    it = edge(route(*entries), engine=ZONE, more=metrics)
    plans.append(it.status()["plan_digest"])
    assert set(ask(it, pki, GET * 6)) == {200} and taken(backends)[:2] == [0, 6], "the environment's"
    assert it.reload(route(*entries))["reloaded"] and it.status()["zone"] == "b"
    with socket.create_connection(("127.0.0.1", status), 10) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: edge\r\n\r\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    assert 'everyhop_route_own_zone_ratio{route="r"} 1.000000' in text
    assert 'everyhop_zone_requests_total{route="r",zone="b"} 6' in text
    told = {name: found.labels for name, found in families(text).items() if name in ONLY_THERE and found.labels}
    assert told == {name: labels for name, labels in ONLY_THERE.items() if "zone" in name}, "as the reference has it"
    shown = " ".join(it.cli("explain", "r", "--config", str(it.config)).stdout.split())
    assert "Zones: a, b." in shown and "Who is verified, and how, is the same in each zone." in shown
    monkeypatch.setenv("EVERYHOP_ZONE", "")
    other = edge(route(*entries), engine=ZONE, more=metrics.replace(str(status), str(free_port())))
    assert other.status()["zone"] == "a"
    said = json.loads(other.cli("where", "a.test/", "--config", str(other.config), "--json").stdout)
    assert (said["zone"], said["stays_ppm"]) == ("a", 1_000_000)
    wrong = it.cli("run", "--zone", "no such zone", "--config", str(it.config))
    assert wrong.returncode == 2 and "eu-west-1a" in wrong.stderr
