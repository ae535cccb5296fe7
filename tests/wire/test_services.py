"""A backend that is a service (SRV): DNS says where it is, on which ports and in which order, for as long as it says; whom to
expect there only the configuration says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.dns import Dns
from tests.kit.edge import until
from tests.kit.raw import OK, answering
from tests.wire.test_dns import followed, troubles

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]
Answers = dict[str, list[str] | str]
Servers = Callable[..., Dns]

SERVICE = "_https._tcp.backend.internal"
CLOSING = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
GET = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def route(name: str = "backend.internal", more: str = "") -> str:
    verify = f'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "{name}" }}'
    return f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "reencrypt"\nto = ["srv:{SERVICE}"]\n{verify}\n{more}'


@pytest.fixture
def dns() -> Iterator[Servers]:
    opened: list[Dns] = []

    def start(says: Answers, ttl: int = 300) -> Dns:
        opened.append(Dns(says, ttl))
        return opened[-1]

    yield start
    for it in opened:
        it.close()


def asked(it: EdgeKit, pki: Pki, times: int = 1) -> Counter[int]:
    """Statuses."""
    found: Counter[int] = Counter()
    with tls(it.port, "a.test", pki.public.file) as sock:
        for _ in range(times):
            found[exchange(sock, GET).status] += 1
    return found


def test_those_of_the_lowest_priority_take_connections_by_weight_and_others_only_when_none_of_them_is_there(
    edge: Edges, raw: Raws, pki: Pki, dns: Servers
) -> None:
    heavy, light, spare = (raw(answering(CLOSING), pki.backend) for _ in range(3))
    says: Answers = {
        SERVICE: [f"10 30 {heavy.port} b.test", f"10 10 {light.port} b.test", f"20 0 {spare.port} b.test"],
        "b.test": ["127.0.0.1"],
    }
    it = edge(route(), more=followed(dns(says)))
    assert asked(it, pki, 40) == {200: 40}
    assert len(heavy.records) + len(light.records) == 40 and len(spare.records) == 0
    assert 27 <= len(heavy.records) <= 33
    heavy.close()
    light.close()
    assert asked(it, pki, 20) == {200: 20} and len(spare.records) == 20


def test_an_answer_moves_the_service_to_another_port_when_it_holds_no_more(
    edge: Edges, raw: Raws, pki: Pki, dns: Servers
) -> None:
    """Also connections that are kept: they serve no longer than their address does."""
    one, two = (raw(answering(OK), pki.backend) for _ in range(2))
    server = dns({SERVICE: [f"10 0 {one.port} b.test"], "b.test": ["127.0.0.1"]}, ttl=1)
    it = edge(route(), more=followed(server))
    assert asked(it, pki) == {200: 1} and len(one.records) == 1
    server.says[SERVICE] = [f"10 0 {two.port} b.test"]
    until(lambda: (asked(it, pki) == {200: 1} and len(two.records) == 1) or None, 30)
    (shown,) = it.admin("status")["engine"]["routes"][0]["backends"]
    assert shown["at"] == f"srv:{SERVICE}"


def test_dns_says_where_a_service_is_and_never_whom_to_believe(edge: Edges, raw: Raws, pki: Pki, dns: Servers) -> None:
    """A01. The target's own name is in the certificate that is shown there; another is configured."""
    one = raw(answering(OK), pki.backend)
    says: Answers = {SERVICE: [f"10 0 {one.port} backend.internal"], "backend.internal": ["127.0.0.1"]}
    it = edge(route("api.internal"), more=followed(dns(says)))
    assert asked(it, pki) == {502: 1} and b"GET" not in one.received
    assert it.line(lambda x: x["status"] == 502)["failed_hops"][-1]["expected"] == "api.internal"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("nxdomain", "no such service (NXDOMAIN)"),
        ("empty", "no such service (an empty answer)"),
        (["0 0 443 "], "its target is ., which says that it is not offered"),
        (["0 0 443 gone.test"], "its target gone.test: no such name (NXDOMAIN)"),
    ],
)
def test_a_service_that_is_nowhere_is_told_with_the_reason_and_keeps_where_it_was(
    edge: Edges, raw: Raws, pki: Pki, dns: Servers, answer: list[str] | str, why: str
) -> None:
    one = raw(answering(OK), pki.backend)
    server = dns({SERVICE: [f"10 0 {one.port} b.test"], "b.test": ["127.0.0.1"]}, ttl=1)
    it = edge(route(), more=followed(server))
    server.says[SERVICE] = answer
    trouble = until(lambda: troubles(it).get("name-unresolved"), 30)
    assert trouble["about"].endswith(f"srv:{SERVICE}") and trouble["why"] == why
    assert asked(it, pki) == {200: 1}
