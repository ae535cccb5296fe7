"""What must be configured for a promise to be true: each check against a standing that lacks one thing and one that has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from everyhop.model import Config, Route, Site
from everyhop.trust import CAPABILITIES, kept
from everyhop.trust.kept import Check, Key, Standing

CERTS = [{"chain": "x", "key": "file:y"}]
CA = "/etc/client-ca.pem"


def site(name: str = "s", **more: Any) -> Site:
    return Site.model_validate({"name": name, "certs": CERTS, **more})


def standing(*sites: Site, keys: tuple[str, ...] = (), top: dict[str, Any] | None = None, **more: Any) -> Standing:
    """Route 3 of its file, plaintext unless `more` says otherwise, reached through all of `sites`."""
    route = Route.model_validate({"name": "r", "host": "a.test", "tls": "plaintext", "to": ["127.0.0.1:1"], **more})
    listener = [{"name": "l", "bind": ["127.0.0.1:8443"]}]
    config = Config.model_validate({"version": 1, "listener": listener, **(top or {})})
    return Standing(route, 3, tuple(enumerate(sites)), tuple((5, site(), name) for name in keys), config)


def lacks(check: Check, it: Standing) -> tuple[str, tuple[Key, ...]]:
    found = check(it)
    assert found is not None and found.mend and all(found.mend)
    return found.what, found.at


def test_what_the_pattern_alone_gives_needs_nothing() -> None:
    assert kept.by_pattern(standing()) is None


def test_grpc_needs_http2_to_the_backend_and_in_every_site() -> None:
    old, both = site("old", alpn=["http/1.1"]), site()
    assert "speaks HTTP/1.1" in lacks(kept.http2_both_ways, standing(both))[0]
    assert "speaks HTTP/1.1" in lacks(kept.http2_both_ways, standing(both, upstream_protocol="http/1.1"))[0]
    what, at = lacks(kept.http2_both_ways, standing(both, upstream_protocol="auto"))
    assert "choose HTTP/1.1" in what and at == (("route", 3, "upstream_protocol"),)
    what, at = lacks(kept.http2_both_ways, standing(both, old, upstream_protocol="h2"))
    assert "'old'" in what and at == (("site", 1, "alpn"),)
    assert kept.http2_both_ways(standing(both, site(alpn=["h2"]), upstream_protocol="h2")) is None


def test_a_websocket_needs_a_route_that_lets_it_pass_whatever_is_spoken() -> None:
    assert "refuses upgrades" in lacks(kept.upgrades_pass, standing(site(), websocket=False))[0]
    what, at = lacks(kept.upgrades_pass, standing(site(), upgrades=["tcp"]))
    assert "without it" in what and at == (("route", 3, "upgrades"),)
    assert kept.upgrades_pass(standing(site(), upgrades=["tcp", "WebSocket"])) is None
    for spoken in ("http/1.1", "h2", "auto"):
        for alpn in (["h2"], ["http/1.1"], ["h2", "http/1.1"]):
            assert kept.upgrades_pass(standing(site(alpn=alpn), upstream_protocol=spoken)) is None


def test_metrics_need_an_address_where_they_are_read() -> None:
    assert "no address" in lacks(kept.status_bound, standing())[0]
    assert kept.status_bound(standing(top={"status": {"bind": "127.0.0.1:9180"}})) is None


@pytest.mark.parametrize("check", [kept.access_log, kept.log_or_nothing])
def test_a_log_that_is_off_or_nowhere_keeps_no_line(check: Check) -> None:
    def logged(where: str) -> Standing:
        return standing(top={"log": {"access": where, "on_full": "refuse"}})

    assert lacks(check, logged("off")) == ("the access log is off", (("log", "access"),))
    assert lacks(check, logged("/dev/null")) == ("the access log is at /dev/null", (("log", "access"),))
    for where in ("stdout", "/var/log/everyhop.log"):
        assert check(logged(where)) is None


def test_a_route_has_its_lines_where_they_stay_and_with_what_they_are_asked_for() -> None:
    (what, at) = lacks(kept.access_log, standing(log=False))
    assert "leaves no line" in what and at == (("route", 3, "log"),)
    off = {"log": {"access": "off", "on_full": "refuse"}}
    assert kept.access_log(standing(top=off, log="/var/log/r.log")) is None
    assert lacks(kept.access_log, standing(log="/dev/null"))[1] == (("route", 3, "log"),)
    little = {"to": "r.log", "fields": ["time", "path"]}
    assert lacks(kept.access_log, standing(log=little)) == (
        "its lines do not say client and end",
        (("route", 3, "log", "fields"),),
    )
    assert kept.access_log(standing(log={"to": "r.log", "fields": ["end", "Client", "TIME"]})) is None
    whole = {"log": {"fields": ["path"]}}
    assert lacks(kept.access_log, standing(top=whole))[1] == (("log", "fields"),)
    assert lacks(kept.access_log, standing(top=whole, log="r.log"))[1] == (("log", "fields"),)
    assert kept.access_log(standing(top=whole, log={"to": "r.log", "format": "combined"})) is None


def test_a_log_that_drops_lines_when_it_is_full_is_not_complete() -> None:
    dropping = standing(top={"log": {"access": "stdout", "on_full": "drop"}})
    assert kept.access_log(dropping) is None
    assert "dropped" in lacks(kept.log_or_nothing, dropping)[0]


def test_a_second_backend_is_what_stands_in_for_the_first() -> None:
    what, at = lacks(kept.several_backends, standing())
    assert "one backend" in what and at == (("route", 3, "to"),)
    for count in (2, 3):
        assert kept.several_backends(standing(to=[f"127.0.0.1:{n + 1}" for n in range(count)])) is None


def test_a_client_is_proved_only_if_every_site_asks_and_none_takes_a_client_without() -> None:
    strict, open_ = site("strict", clients={"ca": CA}), site("open")
    asks = site("asks", clients={"ca": CA, "mode": "ask"})
    allow: dict[str, Any] = {"clients": ["boss.test"]}
    for allowed in (None, allow):
        what, at = lacks(kept.clients_proved, standing(strict, open_, allow=allowed))
        assert "'open'" in what and at == (("site", 1, "name"),)
        assert kept.clients_proved(standing(strict, strict, allow=allowed)) is None
    what, at = lacks(kept.clients_proved, standing(strict, asks))
    assert "'asks'" in what and at == (("site", 1, "clients", "mode"),)
    assert kept.clients_proved(standing(strict, asks, allow=allow)) is None


def test_a_backend_behind_passthrough_learns_the_client_from_a_proxy_header_alone() -> None:
    for check in (kept.address_told, kept.proxy_header):
        assert "no PROXY header" in lacks(check, standing(tls="passthrough"))[0]
        assert check(standing(tls="passthrough", send_proxy="v2")) is None
    assert kept.address_told(standing()) is None, "where TLS ends X-Forwarded-For says it"


def test_an_edge_with_a_key_for_a_name_of_the_route_is_not_blind() -> None:
    what, at = lacks(kept.no_key_here, standing(tls="passthrough", keys=("*.test",)))
    assert "*.test" in what and at == (("site", 5, "name"),)
    assert kept.no_key_here(standing(tls="passthrough")) is None


def test_a_way_is_encrypted_only_if_every_hop_of_it_is() -> None:
    check = kept.every_hop("reencrypt", "mutual")
    weak, own = "10.0.0.1:1", {"at": "10.0.0.2:1", "tls": "plaintext"}
    assert lacks(check, standing(to=[weak])) == ("the hop to 10.0.0.1:1 is plaintext", (("route", 3, "tls"),))
    what = lacks(check, standing(tls="mutual", to=[weak, own]))
    assert what == ("the hop to 10.0.0.2:1 is plaintext", (("route", 3, "to", 1, "tls"),)), (
        "a backend's own word counts"
    )
    assert lacks(check, standing(to=[{"at": weak}]))[0] == "the hop to 10.0.0.1:1 is plaintext"
    for tls in ("passthrough", "reencrypt", "mutual"):
        assert check(standing(tls=tls, to=[weak, {"at": "10.0.0.2:1"}])) is None
    assert check(standing(to=[{"at": weak, "tls": "mutual"}, {"at": weak, "tls": "reencrypt"}])) is None
    only = kept.every_hop("mutual")(standing(tls="reencrypt"))
    assert only is not None and only.mend == ('tls = "mutual"',)
    either = check(standing(to=[weak]))
    assert either is not None and either.mend == ('tls = "reencrypt"',), "the least that will do"
    assert check.__doc__ == "Every backend's hop is reencrypt or mutual, and every mirror's."


def test_an_identity_with_the_key_of_a_site_is_not_apart_from_it() -> None:
    """Which keys are the same is found where files are read; here it is told by their places."""
    top = {"identity": [{"name": name, "chain": "x", "key": "file:z"} for name in ("other", "i")]}
    for more in ({"present": "i"}, {"to": ["127.0.0.1:1", {"at": "127.0.0.1:2", "present": "i"}]}):
        it = standing(site("first"), site("second"), top=top, **more)
        what, at = lacks(kept.keys_apart, replace(it, shared=frozenset({(1, 1)})))
        assert what == "identity 'i' has the key of site 'second'" and at == (("identity", 1, "key"),)
        assert kept.keys_apart(it) is None
        both = replace(it, shared=frozenset({(1, 1), (1, 0)}))
        assert "'first'" in lacks(kept.keys_apart, both)[0]
        for shared in ((0, 1), (1, 2)):
            assert kept.keys_apart(replace(it, shared=frozenset({shared}))) is None, "not shown, or no way to the route"


def test_what_a_capability_needs_is_the_sentence_of_its_check() -> None:
    assert CAPABILITIES["grpc"].needs == '`upstream_protocol = "h2"`, and `h2` in the site\'s `alpn`.'
    assert CAPABILITIES["grpc"].told()["needs"] == CAPABILITIES["grpc"].needs


def test_a_backend_must_ask_only_if_it_or_its_route_says_so_and_its_hop_is_mutual() -> None:
    check, at = kept.asking_demanded, "10.0.0.1:1"
    assert lacks(check, standing(tls="reencrypt", to=[at]))[0] == f"the hop to {at} is reencrypt"
    asks_not = f"{at} may ask nobody for a certificate, and is sent requests all the same"

    def mutual(entry: Any = at, **more: Any) -> Standing:
        return standing(tls="mutual", to=[{"at": "10.0.0.9:1", "demand_asks": True}, entry], **more)

    of_route, of_entry = ("route", 3, "demand_asks"), ("route", 3, "to", 1, "demand_asks")
    quiet, loud = {"at": at, "demand_asks": False}, {"at": at, "demand_asks": True}
    for it, places in (
        (mutual(), ()),
        (mutual({"at": at}), ()),
        (mutual(demand_asks=False), (of_route,)),
        (mutual(demand_asks=False, data="major-incident"), (of_route,)),
        (mutual(quiet, demand_asks=True), (of_entry,)),
        (mutual(quiet, data="major-incident"), (of_entry,)),
        (mutual(quiet, demand_asks=False), (of_entry,)),
        (mutual(data="confidential"), ()),
    ):
        assert lacks(check, it) == (asks_not, places)
    for it in (mutual(demand_asks=True), mutual(loud), mutual(loud, demand_asks=False), mutual(data="major-incident")):
        assert check(it) is None


def test_fields_are_changed_by_any_word_of_either_side() -> None:
    nothing: tuple[dict[str, Any], ...] = ({}, {"request": {}}, {"response": {"set": {}, "remove": []}})
    for words in nothing:
        assert lacks(kept.fields_edited, standing(**words))[0] == "no field is changed"
    for side in ("request", "response"):
        some: tuple[Any, ...] = ({"set": {"x-a": "1"}}, {"add": {"x-a": "1"}}, {"remove": ["x-a"]})
        for edits in some:
            assert kept.fields_edited(standing(**{side: edits})) is None


def test_backends_are_asked_by_http_where_a_path_or_a_service_is_asked_for() -> None:
    assert lacks(kept.asks_by_http, standing())[0] == "nobody asks the route's backends whether they are well"
    only = lacks(kept.asks_by_http, standing(health={"connect": True}))
    assert only == ("the route asks its backends only whether they take connections", (("route", 3, "health"),))
    for asks in ({"path": "/"}, {"grpc": ""}):
        assert kept.asks_by_http(standing(health=asks)) is None


def test_what_advice_writes_for_a_pattern_is_written_for_a_stream_only_where_it_is_for_streams() -> None:
    (proxy,) = CAPABILITIES["proxy-protocol"].writes
    (metrics,) = CAPABILITIES["tcp-metrics"].writes
    (asks,) = CAPABILITIES["backend-must-ask"].writes
    for setting, pattern, stream, written in (
        (proxy, "passthrough", False, True),
        (proxy, "mutual", False, False),
        (proxy, "mutual", True, True),
        (metrics, "reencrypt", True, True),
        (asks, "mutual", True, True),
        (asks, "reencrypt", True, False),
    ):
        assert setting.is_for(pattern, stream=stream) is written, (setting.key, pattern, stream)
