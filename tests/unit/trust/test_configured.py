"""What must be configured for a promise to be true: that it is there at all, that it holds for mirrors as for backends, and where the
word stands that is against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from everyhop.trust import kept
from everyhop.trust.kept import Check
from tests.unit.trust.test_kept import CA, lacks, site, standing

MIRROR = {"to": ["10.0.9.9:1"], "share": 0.1}
ISSUER = {
    "name": "corp",
    "issuer": "https://login.test",
    "audience": "api",
    "algorithms": ["ES256"],
    "keys": {"file": "k"},
}


@pytest.mark.parametrize(
    ("check", "what", "more", "top"),
    [
        (kept.mirrored, "no request is copied", {"mirror": MIRROR}, {}),
        (kept.path_moved, "paths go on as they came", {"path": "/v1", "strip": "/v1"}, {}),
        (kept.path_moved, "paths go on as they came", {"rewrite": "/x{path}"}, {}),
        (kept.tokens_asked, "the route asks for no token", {"jwt": {"issuer": "corp"}}, {"issuer": [ISSUER]}),
        (kept.passwords_asked, "the route asks for no password", {"basic": {"file": "users"}}, {}),
        (kept.origins_said, "what is said of other origins is the backend's", {"cors": {"origins": ["https://a.test"]}}, {}),
        (kept.compresses, "answers go out as they came", {"compress": ["gzip"]}, {}),
        (kept.bounded, "the route takes as many requests as come", {"most": {"requests": 1}}, {}),
        (kept.comes_back, "nothing leads a client back to the backend that it had", {"sticky": {"cookie": "edge"}}, {}),
        (kept.comes_back, "nothing leads a client back to the backend that it had", {"balance": "hash:cookie:edge"}, {}),
        (kept.comes_back, "nothing leads a client back to the backend that it had", {"balance": "hash:client-address"}, {}),
        (kept.networks_named, "the route takes clients wherever they are", {"allow": {"networks": ["10.0.0.0/8"]}}, {}),
        (kept.fields_edited, "no field is changed", {"host_header": "own.test"}, {}),
        (kept.fields_edited, "no field is changed", {"cookies": {"secure": True}}, {}),
    ],
)  # fmt: skip
def test_what_is_not_configured_is_not_promised(
    check: Check, what: str, more: dict[str, Any], top: dict[str, Any]
) -> None:
    assert lacks(check, standing()) == (what, ())
    assert check(standing(top=top, **more)) is None


@pytest.mark.parametrize(
    ("check", "more"),
    [
        (kept.comes_back, {"balance": "hash:header:x-a"}),
        (kept.comes_back, {"balance": "least-requests"}),
        (kept.networks_named, {"allow": {"clients": ["a"]}}),
    ],
)
def test_another_word_of_the_same_kind_is_none(check: Check, more: dict[str, Any]) -> None:
    assert check(standing(**more)) is not None


def test_a_rate_holds_back_where_a_limit_of_the_route_has_one_and_refuses() -> None:
    limits = [
        {"name": "rate", "rate": "1/s"},
        {"name": "seen", "rate": "1/s", "mode": "observe"},
        {"name": "busy", "at_once": 3},
    ]

    def by(*names: str) -> kept.Standing:
        return standing(top={"limit": limits}, limited_by=[*names])

    what = "no limit with a rate holds the route's clients back"
    assert lacks(kept.rate_limited, standing(top={"limit": limits})) == (what, ())
    for names in (("seen",), ("busy",), ("seen", "busy")):
        assert lacks(kept.rate_limited, by(*names)) == (what, (("route", 3, "limited_by"),))
    for names in (("rate",), ("seen", "rate"), ("rate", "busy")):
        assert kept.rate_limited(by(*names)) is None


def test_spans_are_told_where_there_is_a_collector_and_the_route_is_not_left_out() -> None:
    collector = {"name": "otel", "to": ["127.0.0.1:4318"], "tls": "plaintext"}
    top: dict[str, Any] = {"collector": [collector], "traces": {"collector": "otel"}}
    assert lacks(kept.told_to_collector, standing())[0].startswith("there is no [traces]")
    assert lacks(kept.told_to_collector, standing(top=top, traces=False)) == (
        "the route says traces = false",
        (("route", 3, "traces"),),
    )
    for more in ({}, {"traces": True}, {"traces": 0.5}):
        assert kept.told_to_collector(standing(top=top, **more)) is None


def test_a_route_that_is_reached_in_the_clear_proves_no_client_whatever_its_sites_ask() -> None:
    listeners = [
        {"name": "l", "bind": ["127.0.0.1:8443"]},
        {"name": "m", "bind": ["127.0.0.1:8444"]},
        {"name": "inner", "bind": ["127.0.0.1:80"], "speaks": "http", "serve": True},
    ]
    strict = standing(site(clients={"ca": CA}), top={"listener": listeners})
    for check in (kept.from_clients, kept.clients_proved):
        assert check(strict) is None
        found = check(replace(strict, open_at=(2,)))
        assert found is not None and found.at == (("listener", 2, "serve"),)
        assert found.what == "requests come to the route in the clear by listener 'inner'"
        assert found.mend == ('listeners = ["l", "m"]',)


def test_the_hops_to_a_mirror_are_weighed_as_those_to_backends() -> None:
    check = kept.every_hop("mutual")

    def copying(to: Any, **more: Any) -> kept.Standing:
        return standing(tls="mutual", present="i", mirror={"to": [to], "share": 0.1, **more})

    at = "10.0.9.9:1"
    assert check(copying(at)) is None, "as the route says, where it says nothing"
    assert lacks(check, copying(at, tls="reencrypt")) == (
        f"the hop to {at} is reencrypt",
        (("route", 3, "mirror", "tls"),),
    )
    own = {"at": at, "tls": "reencrypt"}
    assert lacks(check, copying(own)) == (
        f"the hop to {at} is reencrypt",
        (("route", 3, "mirror", "to", 0, "tls"),),
    )
    strict = copying({"at": at, "demand_asks": True})
    assert lacks(kept.asking_demanded, strict)[0].startswith("127.0.0.1:1 may ask nobody")
    both = standing(tls="mutual", demand_asks=True, mirror={"to": [{"at": at, "demand_asks": False}], "share": 0.1})
    assert lacks(kept.asking_demanded, both)[1] == (("route", 3, "mirror", "to", 0, "demand_asks"),)


def test_post_quantum_key_exchange_is_promised_where_every_hop_demands_it() -> None:
    at, word = "10.0.0.1:1", "require_post_quantum"
    quiet, loud = {"at": at, word: False}, {"at": at, word: True}

    def hops(entry: Any, **more: Any) -> kept.Standing:
        return standing(tls="mutual", to=[{"at": "10.0.0.9:1", word: True}, entry], **more)

    of_route, of_entry = ("route", 3, word), ("route", 3, "to", 1, word)
    for it, places in (
        (hops(at), ()),
        (hops({"at": at}), ()),
        (hops(at, **{word: False}), (of_route,)),
        (hops(quiet), (of_entry,)),
        (hops(quiet, **{word: True}), (of_entry,)),
        (hops(quiet, **{word: False}), (of_entry,)),
    ):
        what = f"the hop to {at} may be by key exchange that a quantum computer opens"
        assert lacks(kept.post_quantum, it) == (what, places)
    for it in (hops(at, **{word: True}), hops(loud), hops(loud, **{word: False})):
        assert kept.post_quantum(it) is None
    mirror = {"to": [{"at": at, word: False}], "share": 0.1}
    assert lacks(kept.post_quantum, hops(loud, **{word: True}, mirror=mirror))[1] == (
        ("route", 3, "mirror", "to", 0, word),
    )


def test_an_identity_that_is_shown_to_a_mirror_alone_is_apart_from_the_sites_too() -> None:
    top = {"identity": [{"name": name, "chain": "x", "key": "file:z"} for name in ("i", "m")]}
    for mirror in (
        {**MIRROR, "present": "m"},
        {"to": [{"at": "10.0.9.9:1", "present": "m"}], "share": 0.1},
    ):
        it = standing(site(), top=top, tls="mutual", present="i", mirror=mirror)
        assert kept.keys_apart(it) is None
        assert lacks(kept.keys_apart, replace(it, shared=frozenset({(1, 0)})))[1] == (("identity", 1, "key"),)


def test_where_several_sites_reach_a_route_each_must_offer_http2() -> None:
    for order in ((0, 1), (1, 0)):
        sites = [site("new"), site("old", alpn=["http/1.1"])]
        it = standing(*(sites[n] for n in order), upstream_protocol="h2")
        assert lacks(kept.http2_both_ways, it)[1] == (("site", order.index(1), "alpn"),)
