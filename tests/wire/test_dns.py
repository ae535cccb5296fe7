"""Backends' names are followed by what DNS says, for as long as it says; where it says nothing, or nonsense, the last good
addresses stay, and it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.dns import Dns
from tests.kit.edge import until
from tests.kit.raw import OK, answering

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]

GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
NAME = "backend.internal"


def route(port: int) -> str:
    verify = 'verify = { ca = "{pki}/internal-ca.pem" }'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["{NAME}:{port}"]\n{verify}\n'


@pytest.fixture
def dns() -> Iterator[Callable[..., Dns]]:
    opened: list[Dns] = []

    def start(says: dict[str, list[str] | str], ttl: int = 300) -> Dns:
        opened.append(Dns(says, ttl))
        return opened[-1]

    yield start
    for it in opened:
        it.close()


def followed(server: Dns, resolve_s: int = 3600) -> str:
    return f'[dns]\nservers = ["{server.at}"]\nresolve_s = {resolve_s}\n'


def ask(it: EdgeKit, pki: Pki) -> int:
    with tls(it.port, "a.test", pki.public.file) as sock:
        return exchange(sock, GET).status


def troubles(it: EdgeKit) -> dict[str, dict[str, Any]]:
    return {t["kind"]: t for t in it.admin("status")["supervisor"]["troubles"]}


def test_a_name_is_asked_for_again_when_its_answer_holds_no_more(
    edge: Edges, raw: Raws, pki: Pki, dns: Callable[..., Dns]
) -> None:
    """A01. By the time that came with it, and not by `resolve_s`, if that is longer."""
    one = raw(answering(OK), pki.backend)
    server = dns({NAME: ["127.0.0.1"]}, ttl=1)
    it = edge(route(one.port), more=followed(server))
    assert ask(it, pki) == 200
    server.says[NAME] = ["127.0.0.9"]
    until(lambda: ask(it, pki) == 502 or None, 30)
    assert it.line(lambda x: x["status"] == 502)["failed_hops"][-1]["address"] == f"127.0.0.9:{one.port}"
    server.says[NAME] = ["127.0.0.9", "127.0.0.1"]
    until(lambda: ask(it, pki) == 200 or None, 30)


def test_an_answer_that_holds_for_long_is_believed_for_resolve_s_at_most(
    edge: Edges, raw: Raws, pki: Pki, dns: Callable[..., Dns]
) -> None:
    one = raw(answering(OK), pki.backend)
    server = dns({NAME: ["127.0.0.1"]}, ttl=86400)
    it = edge(route(one.port), more=followed(server, 1))
    before = len(server.asked)
    until(lambda: len(server.asked) >= before + 6 or None, 30)
    assert it.reload(route(one.port) + "# another comment\n")["reloaded"]
    it.more = followed(server, 3600)
    assert it.reload(route(one.port))["reloaded"], "and it takes a reload to change it"
    assert ask(it, pki) == 200


def test_a_backend_that_cannot_be_reached_is_looked_for_at_once_but_not_all_the_time(
    edge: Edges, raw: Raws, pki: Pki, dns: Callable[..., Dns]
) -> None:
    """A01. It moved, and the answer of before would hold for an hour."""
    one = raw(answering(OK), pki.backend)
    server = dns({NAME: ["127.0.0.9"]}, ttl=3600)
    it = edge(route(one.port), more=followed(server))
    asked = len(server.asked)
    assert ask(it, pki) == 502
    server.says[NAME] = ["127.0.0.1"]
    until(lambda: ask(it, pki) == 200 or None, 30)
    assert len(server.asked) - asked <= 8, "two a time, and each time later"


@pytest.mark.parametrize("wrong", ["nxdomain", "servfail", "refused", "empty", "garbage", "silent"])
def test_a_name_that_fails_keeps_its_last_good_addresses_and_is_told(
    edge: Edges, raw: Raws, pki: Pki, dns: Callable[..., Dns], wrong: str
) -> None:
    one = raw(answering(OK), pki.backend)
    server = dns({NAME: ["127.0.0.1"]}, ttl=1)
    it = edge(route(one.port), more=followed(server))
    assert ask(it, pki) == 200 and troubles(it) == {}
    server.says[NAME] = wrong
    told = until(lambda: troubles(it).get("name-unresolved"), 40)
    says = {
        "nxdomain": "NXDOMAIN",
        "servfail": "SERVFAIL",
        "refused": "REFUSED",
        "empty": "an empty answer",
        "garbage": "no answer within",
        "silent": "no answer within",
    }[wrong]
    assert told["about"] == NAME and says in told["why"], told
    assert ask(it, pki) == 200, "where it was, it is"
    server.says[NAME] = ["127.0.0.1"]
    until(lambda: "name-unresolved" not in troubles(it) or None, 40)
    assert ask(it, pki) == 200


def test_a_server_that_is_silent_is_made_up_for_by_the_next(
    edge: Edges, raw: Raws, pki: Pki, dns: Callable[..., Dns]
) -> None:
    one = raw(answering(OK), pki.backend)
    silent, good = dns({NAME: "silent"}), dns({NAME: ["127.0.0.1"]})
    it = edge(route(one.port), more=f'[dns]\nservers = ["{silent.at}", "{good.at}"]\n')
    until(lambda: ask(it, pki) == 200 or None, 30)
    assert silent.asked and good.asked and "name-unresolved" not in troubles(it)


def test_what_is_no_address_of_a_server_is_refused(edge: Edges, raw: Raws) -> None:
    port = raw(answering(OK)).port
    it = edge(route(port))
    it.more = '[dns]\nservers = ["10.0.0.53", "dns.internal"]\n'
    found = it.reload(route(port))["findings"]
    assert [(f["slug"], f["what"]) for f in found] == [
        ("config/wrong-value", "[dns] asks 'dns.internal', which is no IP address")
    ]
