"""Networks of an `allow`: who is in them by the engine's own matcher is who Python's `ipaddress` says, whatever the file makes of
them; and what is not what it looks like is refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.plan import AtBackend, AtEdge, Question, decide
from tests.unit.diff.test_gate import HEAD, NOW, plan, route
from tests.unit.diff.test_networks import allow

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SLUG = "request/address-not-allowed"


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Many of them near each other."""
    if draw(st.booleans()):
        near = st.integers(0x0A0000F0, 0x0A000110)
        at = draw(near | st.integers(0, 2**32 - 1))
        return ipaddress.IPv4Network((at, draw(st.integers(24, 32) | st.integers(0, 32))), strict=False)
    base = 0x20010DB8 << 96
    at6 = draw(st.integers(base, base + 0x20) | st.integers(0, 2**128 - 1))
    found = ipaddress.IPv6Network((at6, draw(st.integers(120, 128) | st.integers(0, 128))), strict=False)
    # One that is wider than all of IPv4, written in IPv6, is of neither kind, and refused.
    mapped = ipaddress.IPv6Network("::ffff:0:0/96")
    return found if not found.overlaps(mapped) or found.subnet_of(mapped) else ipaddress.IPv6Network("2001:db8::/32")


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[Network], list[Address]]:
    nets = draw(st.lists(networks(), min_size=1, max_size=8))
    edges: list[Address] = []
    for net in nets:
        kind, most = type(net.network_address), 2**net.max_prefixlen - 1
        first, last = int(net.network_address), int(net.broadcast_address)
        edges += [kind(at) for at in (first - 1, first, (first + last) // 2, last, last + 1) if 0 <= at <= most]
    some = draw(st.lists(st.ip_addresses(), max_size=4))
    v4 = [it for it in [*edges, *some] if it.version == 4]
    return nets, [*edges, *some, *(ipaddress.IPv6Address(f"::ffff:{it}") for it in v4)]


def holds(nets: list[Network], it: Address) -> bool:
    """As `ipaddress` has it; an IPv4 address that is written in IPv6 is IPv4, and so is such a network."""

    def own(at: Address) -> Address:
        return (at.ipv4_mapped or at) if isinstance(at, ipaddress.IPv6Address) else at

    for net in nets:
        address = own(net.network_address)
        narrow = net if address.version == net.version else ipaddress.ip_network(f"{address}/{net.prefixlen - 96}")
        if own(it) in narrow:
            return True
    return False


@settings(max_examples=80, deadline=None)
@given(asked())
def test_an_address_passes_where_it_is_in_one_of_the_networks_and_nowhere_else(
    it: tuple[list[Network], list[Address]],
) -> None:
    nets, addresses = it
    said = allow([str(net) for net in nets])
    if {str(net) for net in ipaddress.collapse_addresses(n for n in nets if n.version == 4)} == {"0.0.0.0/0"}:
        addresses = [at for at in addresses if at.version == 4]
    try:
        made = plan(route("r", more=said), route("p", "passthrough", said, host="p.test"))
    except Refused as refused:
        assert any("every address there is" in found.what for found in refused.findings)
        return
    for host in ("a.test", "p.test"):
        asks = [Question(host=host, sni=host, address=str(at)) for at in addresses]
        for at, outcome in zip(addresses, decide(made, asks), strict=True):
            assert outcome.slug == (None if holds(nets, at) else SLUG), (host, at)
            assert outcome.route is not None, "whose networks they are is told"
    assert [it.slug for it in decide(made, [Question(host=h, sni=h) for h in ("a.test", "p.test")])] == [None, None]


@pytest.mark.parametrize("tls", ["mutual", "passthrough"])
def test_the_plan_has_as_few_networks_as_the_addresses_come_to(tls: str) -> None:
    written = ["10.128.0.0/9", "::ffff:10.0.0.0/105", "192.0.2.7", "2001:db8::1", "2001:db8::/32", "10.0.0.0/9"]
    way = (
        plan(
            route("b", host="b.test"),
            route("r", tls, allow(written), host="p.test" if tls == "passthrough" else "a.test"),
        )
        .routes[1]
        .way
    )
    assert isinstance(way, AtBackend | AtEdge)
    assert way.allow_networks == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("text", "mends"),
    [
        ("10.1.2.3/8", ["10.0.0.0/8", "10.1.2.3"]),
        ("10.0.0.1/31", ["10.0.0.0/31", "10.0.0.1"]),
        ("0.0.0.1/0", ["0.0.0.0/0", "0.0.0.1"]),
        ("::ffff:10.1.2.3/104", ["10.0.0.0/8", "10.1.2.3"]),
        ("2001:db8::1/32", ["2001:db8::/32", "2001:db8::1"]),
        ("::1/0", ["::/0", "::1"]),
    ],
)
def test_bits_beyond_the_prefix_are_refused_with_both_that_may_be_meant(text: str, mends: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        plan(route("r", more=allow([text])))
    (finding,) = refused.value.findings
    assert finding.slug == "config/wrong-value" and repr(text) in finding.what
    assert [mend for mend, shown in zip(finding.mend, mends, strict=True) if f'"{shown}"' in mend] == list(finding.mend)
    for mend in mends:
        plan(route("r", more=allow([mend])))


@pytest.mark.parametrize(
    "text",
    ["", "10", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "010.0.0.0/8", "10.0.0.0/8 ", "fe80::1%eth0", "fe80::%eth0/10", "fe80::/10%eth0", "2001:db8::/129", "[::1]", "::ffff:0.0.0.0/95", "a.test", "*"],
)  # fmt: skip
def test_what_is_no_network_is_refused_and_an_interface_is_part_of_none(text: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(route("r", more=allow([text])))
    assert [(f.slug, "is no network" in f.what) for f in refused.value.findings] == [("config/wrong-value", True)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["10.0.0.0/8", "192.0.2.7"], []),
        (["10.0.0.0/8", "10.0.0.0/8"], ["allows '10.0.0.0/8' twice"]),
        (["192.0.2.7/32", "192.0.2.7"], ["allows '192.0.2.7', which is '192.0.2.7/32'"]),
        (["10.1.2.3", "192.0.2.7", "10.0.0.0/8"], ["allows '10.1.2.3', which is in '10.0.0.0/8'"]),
        (["10.1.2.3", "10.1.0.0/16", "10.0.0.0/8"], ["allows '10.1.0.0/16', which is in '10.0.0.0/8'", "allows '10.1.2.3', which is in '10.0.0.0/8'"]),
        (["10.0.0.0/9", "10.128.0.0/9"], []),
        (["0.0.0.0/0", "2001:db8::/32"], []),
        (["::/0", "::ffff:10.0.0.0/104"], []),
    ],
)  # fmt: skip
def test_what_is_in_another_is_warned_of_wherever_it_stands(texts: list[str], said: list[str]) -> None:
    text = HEAD.format(listener="", site="", more="") + route("r", more=allow(texts)) + route("b", host="b.test")
    found = [
        f
        for f in compile_file("gate.toml", now=NOW, files="skip", text=text).findings
        if f.slug == "route/nothing-to-do"
    ]
    assert sorted(f.what.removeprefix("route 'r' ") for f in found) == said
    assert {f.severity for f in found} <= {"warning"}
