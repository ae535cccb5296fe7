"""Sites and routes that carry what is not read: which they are, what is said of them, and what changes when they become so."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import Compiled, compile_file
from everyhop.diff import compare
from everyhop.explain import about_route
from everyhop.model import Route
from everyhop.plan import AtEdge, Question, decide
from everyhop.trust import CAPABILITIES, trust_map, unmet
from everyhop.trust.capabilities import UNREAD

HEAD = """
version = 1
[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
no_sni = "streams"
[[site]]
name = "web"
hosts = ["*.test"]
certs = [{ chain = "a.pem", key = "file:a.key" }]
[[site]]
name = "streams"
hosts = ["mq.test", "*.s.test"]
certs = [{ chain = "a.pem", key = "file:a.key" }]
clients = { ca = "b.pem" }
[[route]]
name = "web"
host = "*.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""
MQ = """
[[route]]
name = "mq"
host = "mq.test"
{protocol}
tls = "{tls}"
to = ["10.0.0.1:1883"]
verify = {{ ca = "b.pem", name = "mq.internal" }}
{more}
"""


def compiled(folder: Path, routes: str) -> Compiled:
    path = folder / "everyhop.toml"
    path.write_text(HEAD + routes)
    return compile_file(path, files="skip")


def mq(protocol: str = 'protocol = "tcp"', tls: str = "reencrypt", more: str = "") -> str:
    return MQ.format(protocol=protocol, tls=tls, more=more)


def test_a_site_carries_what_its_routes_carry_and_offers_no_protocol_of_http_then(tmp_path: Path) -> None:
    plan = compiled(tmp_path, mq()).plan
    web, streams = plan.sites
    assert (web.protocol, web.alpn) == ("http", ["h2", "http/1.1"])
    assert (streams.protocol, streams.alpn) == ("tcp", [])
    way = plan.routes[1].way
    assert isinstance(way, AtEdge) and way.is_stream and way.upgrades == []


def test_a_hello_leads_to_the_stream_and_no_request_does(tmp_path: Path) -> None:
    """Neither the route of a wildcard beside it takes its name, nor a connection of that site its requests."""
    plan = compiled(tmp_path, mq()).plan
    hello, other, nobody, inside, absent = decide(
        plan,
        [
            Question("mq.test", sni="mq.test", path="/any/thing"),
            Question("x.s.test", sni="x.s.test"),
            Question("mq.test", sni=None),
            Question("mq.test", sni="a.test"),
            Question("mq.test", sni="mq.test", client=("somebody",)),
        ],
    )
    assert (hello.verdict, hello.site, hello.route) == ("terminate", 1, 1)
    assert other.slug == "hello/unknown-sni", "no route: no certificate is shown"
    assert (nobody.site, nobody.route) == (1, 1), "the site has one route, which no name must choose"
    assert inside.slug == "request/misdirected"
    assert absent.served, "its site lets in whoever its CA vouches for"


def test_an_allow_list_knows_three_kinds_of_names_and_the_certificate_itself(tmp_path: Path) -> None:
    print_ = "sha256:" + "AB" * 32
    allow = f'allow = {{ clients = ["Dev.Test", "spiffe://td/X", "Ann.B@Corp.Test", "{print_}"] }}'
    plan = compiled(tmp_path, mq(more=allow)).plan
    way = plan.routes[1].way
    assert isinstance(way, AtEdge)
    assert way.allow_clients == ["Ann.B@corp.test", "dev.test", "sha256:" + "ab" * 32, "spiffe://td/X"]

    def passes(*names: str) -> bool:
        return decide(plan, [Question("mq.test", sni="mq.test", client=names)])[0].served

    for name in ("DEV.test", "spiffe://td/X", "Ann.B@CORP.test", print_.lower(), "sha256:" + ":".join(["aB"] * 32)):
        assert passes("other.test", name), name
    for name in ("spiffe://td/x", "ann.b@corp.test", "sha256:" + "ab" * 31, "", "Ann.B"):
        assert not passes(name), name
    told = "\n".join(about_route(trust_map(plan)[1], dt.datetime.now(dt.UTC)))
    assert "Ann.B@corp.test, dev.test, sha256:abab" in told
    narrowed = compiled(tmp_path, mq(more='allow = { clients = ["dev.test"] }')).plan
    assert {c.kind for c in compare(plan, narrowed)} == {"clients-narrowed"}
    widened = [c for c in compare(narrowed, plan) if c.kind == "clients-widened"]
    assert widened and "sha256:abab" in widened[0].what and "Ann.B@corp.test" in widened[0].what


def test_to_stop_reading_requests_is_weaker_and_to_begin_is_stronger(tmp_path: Path) -> None:
    reads, carries = compiled(tmp_path, mq(protocol="")).plan, compiled(tmp_path, mq()).plan
    (stopped,) = [c for c in compare(reads, carries) if c.kind == "reading-stopped"]
    assert (stopped.direction, stopped.about) == ("weaker", "mq")
    (begun,) = [c for c in compare(carries, reads) if c.kind == "reading-begun"]
    assert begun.direction == "stronger"
    told = compiled(tmp_path, mq(more='send_proxy = "v2"')).plan
    assert {c.kind for c in compare(carries, told)} == {"address-told"}


@pytest.mark.parametrize("proxy", ["off", "v2"])
@pytest.mark.parametrize("tls", ["reencrypt", "plaintext"])
def test_what_is_said_of_a_stream_speaks_of_no_request(tmp_path: Path, tls: str, proxy: str) -> None:
    more = f'send_proxy = "{proxy}"'
    routes = mq(tls=tls, more=more).replace("10.0.0.1", "127.0.0.1") if tls == "plaintext" else mq(more=more)
    it = trust_map(compiled(tmp_path, routes).plan)[1]
    told = "\n".join(about_route(it, dt.datetime.now(dt.UTC)))
    assert "blind to the protocol of the application" in told and "every byte in the clear" in told
    assert "It can be read and changed by client, edge" in told
    for word in ("request", "X-Forwarded", "cookies"):
        assert word not in told, told
    assert ("PROXY header" in told) == (proxy == "v2")


def test_what_needs_requests_to_be_read_is_not_given_by_a_stream() -> None:
    reading = {name for name, row in CAPABILITIES.items() if row.reads_http}
    assert {"path-routing", "request-log", "waf", "retries", "header-rewriting"} <= reading
    for name, row in CAPABILITIES.items():
        for pattern in ("mutual", "reencrypt", "plaintext"):
            why = unmet(name, pattern, stream=True)
            given = why is None
            assert given or why == (row.reason if name not in reading else UNREAD)
            assert given == (name == "proxy-protocol" or (pattern in row.patterns and name not in reading)), name


def test_many_routes_are_each_looked_at_a_few_times_and_not_once_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    is_stream: property = vars(Route)["is_stream"]

    def counted(route: Route) -> bool:
        asked.append(route.name)
        return bool(is_stream.__get__(route))

    monkeypatch.setattr(Route, "is_stream", property(counted))
    times = []
    for count in (20, 80):
        asked.clear()
        more = '[[route]]\nname = "r{i}"\nhost = "r{i}.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
        compiled(tmp_path, "".join(more.format(i=i) for i in range(count)))
        times.append(len(asked) / (count + 1))
    assert times[0] == times[1] > 0
