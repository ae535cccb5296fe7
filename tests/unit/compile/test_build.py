"""From a configuration to its plan: each setting comes to stand where it belongs, a backend's own word before its route's."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from everyhop.compile import compile_file
from everyhop.compile.policies import DATED, WORDS, gained
from everyhop.errors import Refused
from everyhop.plan import (
    AtBackend,
    AtEdge,
    MutualHop,
    OwnLog,
    Plan,
    ReencryptHop,
    Route,
    SpeaksServe,
    canonical,
    read_plan,
)

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
GOLDEN = Path(__file__).parents[3] / "schema" / "golden"
HEAD = """version = 1
{top}
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
{listener}
[[site]]
name = "s"
hosts = ["b.test", "a.test"]
certs = [{{ chain = "x", key = "file:y" }}, {{ chain = "x2", key = "file:y2" }}]
{site}
[[identity]]
name = "i"
chain = "x"
key = "file:i"
[[identity]]
name = "j"
chain = "x"
key = "file:j"
[[route]]
name = "p"
host = "p.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
"""


def built(route: str = "", **more: str) -> Plan:
    head = HEAD.format(**{"top": "", "listener": "", "site": "", **more})
    text = head + (f'[[route]]\nname = "r"\nhost = "a.test"\n{route}' if route else "")
    return compile_file("build.toml", now=NOW, files="skip", text=text).plan


def edge(route: str) -> AtEdge:
    way = of(route).way
    assert isinstance(way, AtEdge)
    return way


def of(route: str) -> Route:
    return next(r for r in built(route).routes if r.name == "r")


@pytest.mark.parametrize("name", ["everything", "passthrough"])
def test_a_golden_configuration_gives_its_golden_plan_to_the_byte(name: str) -> None:
    text = (GOLDEN / f"{name}.json").read_text().rstrip("\n")
    assert compile_file(GOLDEN / f"{name}.toml", now=NOW, files="skip").plan_json == text
    assert canonical(read_plan(text).model_dump(mode="json")) == text


@pytest.mark.parametrize(
    ("given", "to"),
    [
        ("off", {"to": "off"}),
        ("stdout", {"to": "stdout"}),
        ("/var/log/e", {"to": "file", "path": "/var/log/e"}),
    ],
)
def test_the_access_log_goes_where_the_file_says(given: str, to: dict[str, str]) -> None:
    assert built(top=f'[log]\naccess = "{given}"\n').log.access.model_dump() == to


NEAR = 'tls = "plaintext"\nto = ["127.0.0.1:1"]\n'
LOG = '[log]\naccess = "/var/log/all.log"\nformat = "combined"\n'
FIELDS = '[log]\naccess = "/var/log/all.log"\nfields = ["Time", "header:X-Tenant"]\n'


@pytest.mark.parametrize(
    ("log", "top", "place", "form"),
    [
        ('"/r.log"', "", "/r.log", {"format": "json", "fields": None}),
        ('"/r.log"', LOG, "/r.log", {"format": "combined"}),
        ('"/r.log"', FIELDS, "/r.log", {"format": "json", "fields": ["time", "header:x-tenant"]}),
        ('{ to = "/r.log", format = "json" }', LOG, "/r.log", {"format": "json", "fields": None}),
        ('{ to = "/r.log", format = "combined" }', FIELDS, "/r.log", {"format": "combined"}),
        ('{ to = "/r.log", fields = ["End"] }', FIELDS, "/r.log", {"format": "json", "fields": ["end"]}),
        ('"stdout"', LOG, "stdout", {"format": "combined"}),
        ('"/var/../var/log/./all.log"', LOG, "/var/log/all.log", {"format": "combined"}),
    ],
)
def test_a_route_has_a_log_of_its_own_in_the_form_of_the_file_unless_it_says_another(
    log: str, top: str, place: str, form: dict[str, object]
) -> None:
    own = next(r for r in built(f"{NEAR}log = {log}\n", top=top).routes if r.name == "r").log
    assert isinstance(own, OwnLog)
    assert (own.access.place, own.form.model_dump()) == (place, form)


def test_every_place_of_lines_is_there_once_and_that_of_the_file_first() -> None:
    plan = built(NEAR + 'log = "/var/log/./all.log"\n', top=LOG)
    assert plan.log_places == ["/var/log/all.log"]
    assert built(NEAR + 'log = "/r.log"\n', top=LOG).log_places == ["/var/log/all.log", "/r.log"]
    assert built(NEAR + "log = false\n", top='[log]\naccess = "off"\n').log_places == []


def test_metrics_are_served_only_where_an_address_is_named_and_threads_are_fixed_only_where_they_are_counted() -> None:
    assert built().status.model_dump() == {"kind": "off"}
    assert built(top='[status]\nbind = "127.0.0.1:9180"\n').status.model_dump() == {
        "kind": "bound",
        "bind": "127.0.0.1:9180",
    }
    assert built().engine.threads.model_dump() == {"count": "cores"}
    assert built(top="[engine]\nthreads = 1\n").engine.threads.model_dump() == {"count": "fixed", "threads": 1}


@pytest.mark.parametrize("field", ["no_sni", "unknown_sni"])
def test_a_hello_that_names_nobody_is_answered_by_the_site_or_the_route_that_is_named(field: str) -> None:
    for given, answer in (
        ("refuse", {"answer": "refuse"}),
        ("s", {"answer": "site", "site": "s"}),
        ("p", {"answer": "route", "route": "p"}),
    ):
        (it,) = built(listener=f'{field} = "{given}"\n').listeners
        found = {name: getattr(it, name).model_dump() for name in ("no_sni", "unknown_sni")}
        assert found.pop(field) == answer and [*found.values()] == [{"answer": "refuse"}]


def test_an_address_stands_in_the_plan_in_its_one_form_however_it_is_written() -> None:
    text = HEAD.format(top='[status]\nbind = "[0:0::1]:2"\n', listener="", site="")
    it = compile_file("b.toml", now=NOW, files="skip", text=text.replace('"127.0.0.1:8443"', '"[0:0::1]:1"')).plan
    assert it.listeners[0].bind == ["[::1]:1"]
    assert it.status.model_dump() == {"kind": "bound", "bind": "[::1]:2"}


def test_what_is_believed_at_a_listener_stands_in_the_plan_as_networks() -> None:
    (it,) = built(listener='accept_proxy = ["10.1.2.3"]\ntrusted_proxies = ["10.0.0.0/8"]\n').listeners
    assert (it.accept_proxy, it.trusted_proxies, it.believe) == (["10.1.2.3/32"], ["10.0.0.0/8"], ["address"])
    (bare,) = built(listener="").listeners
    assert (bare.trusted_proxies, bare.believe) == ([], [])
    table = 'trusted_proxies = { networks = ["10.0.0.7"], believe = ["request-id", "host", "host"] }\n'
    (it,) = built(listener=table).listeners
    assert (it.trusted_proxies, it.believe) == (["10.0.0.7/32"], ["host", "request-id"])
    (it,) = built(listener='trusted_proxies = { networks = ["10.0.0.7"] }\n').listeners
    assert it.believe == ["address"]


@pytest.mark.parametrize("told", ["believe = []", 'believe = ["cookie"]', 'believe = ["address"], more = 1'])
def test_what_no_proxy_can_be_believed_in_is_refused(told: str) -> None:
    with pytest.raises(Refused) as refused:
        built(listener=f'trusted_proxies = {{ networks = ["10.0.0.7"], {told} }}\n')
    assert {f.slug for f in refused.value.findings} <= {"config/wrong-value", "config/unknown-key", "config/wrong-type"}


def test_a_modern_site_speaks_tls_1_3_alone_and_an_intermediate_one_1_2_as_well() -> None:
    modern, usual = (built(site=f'policy = "{name}"\n').sites[0].policy for name in ("modern", "intermediate"))
    assert modern.versions == ["1.3"] and not any("WITH" in suite for suite in map(str.upper, modern.suites) if "ECDHE" in suite)  # fmt: skip
    assert usual.versions == ["1.2", "1.3"] and len(usual.suites) == len(modern.suites) + 6
    assert all("ECDHE" in suite for suite in usual.suites[len(modern.suites) :])


# `ciphers.iana` of `intermediate` in Mozilla's guidelines 5.7, in that order.
MOZILLA_5_7 = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
]


def test_the_policies_of_5_7_are_the_guideline_s_but_for_its_suites_of_dhe() -> None:
    suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
    modern, usual = (built(site=f'policy = "{word}-5.7"\n').sites[0].policy for word in ("modern", "intermediate"))
    assert modern.suites == suites and modern.versions == ["1.3"]
    assert usual.suites == suites + [it for it in MOZILLA_5_7 if "_DHE_" not in it] and usual.versions == ["1.2", "1.3"]
    assert modern.groups == usual.groups == ["X25519", "secp256r1", "secp384r1"]


def test_a_policy_without_a_version_is_the_newest_of_its_word_and_one_with_a_version_stays_what_it_was() -> None:
    named = {name: built(site=f'policy = "{name}"\n').sites[0].policy for name in (*WORDS, *DATED)}
    assert [named[word] == named[f"{word}-6.0"] for word in WORDS] == [True, True]
    assert {name for name, it in named.items() if "X25519MLKEM768" not in it.groups} == {
        "intermediate-5.7",
        "modern-5.7",
    }
    assert {name for name, it in named.items() if it.versions == ["1.3"]} == {
        n for n in named if n.startswith("modern")
    }
    assert gained("modern-5.7") == ["X25519MLKEM768 comes"] and gained("intermediate") == []


@pytest.mark.parametrize(
    ("given", "clients"),
    [
        ("", {"mode": "nothing"}),
        ('{ ca = "d" }', {"mode": "require", "ca": "ca/d", "crl": None, "stale_crl": "refuse"}),
        (
            '{ ca = "d", mode = "ask", crl = "e", stale_crl = "allow" }',
            {"mode": "ask", "ca": "ca/d", "crl": "crl/e", "stale_crl": "allow"},
        ),
    ],
)
def test_what_is_demanded_of_clients_stands_in_the_plan_as_it_was_written(given: str, clients: dict[str, Any]) -> None:
    assert built(site=f"clients = {given}\n" if given else "").sites[0].clients.model_dump() == clients


def test_a_sites_hosts_are_in_order_and_each_of_its_certificates_has_its_own_place() -> None:
    (it,) = built().sites
    assert it.hosts == ["a.test", "b.test"]
    assert [(c.material, c.chain, c.key) for c in it.certs] == [
        ("site/s/0", "x", "file:y"),
        ("site/s/1", "x2", "file:y2"),
    ]


HERE = 'tls = "plaintext"\nto = ["127.0.0.1:1"]\n'


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", {"kind": "any"}),
        ('path = "/"', {"kind": "any"}),
        ('path = "/x"', {"kind": "prefix", "path": "/x"}),
        ('path = "/x/"', {"kind": "prefix", "path": "/x"}),
        ('path_exact = "/x/"', {"kind": "exact", "path": "/x/"}),
        ('path_exact = "/"', {"kind": "exact", "path": "/"}),
    ],
)
def test_a_path_is_exact_a_prefix_or_any(given: str, path: dict[str, str]) -> None:
    assert edge(f"{HERE}{given}\n").path.model_dump() == path


def test_what_a_route_leaves_out_is_what_the_reference_says() -> None:
    way = edge(HERE)
    assert (way.upgrades, way.upstream_protocol, way.allow_clients) == (["websocket"], "http/1.1", None)
    said = edge(f'{HERE}websocket = false\nupstream_protocol = "h2"\nmethod = ["PUT", "GET"]\nheaders = {{ X-B = "v", x-a = "w" }}\n')  # fmt: skip
    assert (said.upgrades, said.upstream_protocol, said.methods) == ([], "h2", ["GET", "PUT"])
    assert [(h.name, h.equals) for h in said.headers] == [("x-b", "v"), ("x-a", "w")]
    both = edge(f'{HERE}headers = {{ X-A = "w" }}\ncookie = {{ Canary = "1", a = "" }}\n').headers
    assert [(h.of, h.name, h.equals) for h in both] == [
        ("field", "x-a", "w"),
        ("cookie", "Canary", "1"),
        ("cookie", "a", ""),
    ]
    assert edge(f"{HERE}websocket = true\n").upgrades == ["websocket"] and edge(f"{HERE}upgrades = []\n").upgrades == []
    assert edge(f'{HERE}upgrades = ["WebSocket", "tcp", "SPDY/3.1"]\n').upgrades == ["spdy/3.1", "tcp", "websocket"]
    assert of(HERE).data == "undeclared" and of(f'{HERE}data = "public"\n').data == "public"
    ask = 'clients = { ca = "d" }\n'
    some = built(f'{HERE}allow = {{ clients = ["b", "a"] }}\n', site=ask).routes[-1].way
    none = built(f"{HERE}allow = {{ clients = [] }}\n", site=ask).routes[-1].way
    assert isinstance(some, AtEdge) and isinstance(none, AtEdge)
    assert (some.allow_clients, none.allow_clients) == (["a", "b"], [])


def test_a_backend_is_an_address_a_name_or_a_socket_of_this_host() -> None:
    to = '"10.0.0.1:1", "[::1]:2", "B.test:3", "unix:/run/x"'
    way = edge(f'tls = "reencrypt"\nto = [{to}]\nverify = {{ ca = "c", name = "n" }}\n')
    assert [b.at.model_dump() for b in way.backends] == [
        {"kind": "ip", "ip": "10.0.0.1", "port": 1},
        {"kind": "ip", "ip": "::1", "port": 2},
        {"kind": "name", "name": "b.test", "port": 3},
        {"kind": "unix", "path": "/run/x"},
    ]
    passed = built().routes[0].way
    assert isinstance(passed, AtBackend)
    assert [at.model_dump() for at in passed.backends] == [{"kind": "ip", "ip": "127.0.0.1", "port": 1}]


ROUTES = 'verify = { ca = "c", name = "N.test" }\npresent = "i"\n'


def test_a_backends_own_word_goes_before_its_routes() -> None:
    own = 'tls = "mutual", verify = { ca = "d", name = "M.test" }, present = "j"'
    way = edge(f'tls = "reencrypt"\nto = ["10.0.0.1:1", {{ at = "10.0.0.2:1", {own} }}]\n{ROUTES}')
    first, second = (b.hop for b in way.backends)
    assert isinstance(first, ReencryptHop) and isinstance(second, MutualHop)
    by = [hop.verify.by.model_dump() for hop in (first, second)]
    assert by == [{"kind": "roots", "ca": f"ca/{ca}", "crl": None, "stale_crl": "refuse"} for ca in "cd"]
    assert (first.verify.name, second.verify.name, second.present) == ("n.test", "m.test", "j")
    inherits = edge(f'tls = "mutual"\nto = ["10.0.0.1:1"]\n{ROUTES}').backends[0].hop
    assert isinstance(inherits, MutualHop) and inherits.present == "i"


def test_a_backend_must_ask_for_our_certificate_as_it_says_as_its_route_says_or_for_its_data() -> None:
    def asked(route: str, own: str = "") -> bool:
        to = f'{{ at = "10.0.0.1:1"{own} }}'
        hop = edge(f'tls = "mutual"\nto = [{to}]\n{ROUTES}{route}').backends[0].hop
        assert isinstance(hop, MutualHop)
        return hop.demand_asks

    data, yes, no = 'data = "major-incident"\n', "demand_asks = true\n", "demand_asks = false\n"
    assert [asked(it) for it in ("", 'data = "confidential"\n', data, yes, data + no)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert asked(no, ", demand_asks = true") and not asked(data + yes, ", demand_asks = false")


def test_a_pin_is_kept_in_its_one_form_and_beside_it_a_name_only_where_it_is_written() -> None:
    digits = "ab" * 32
    pins = f'["sha256:{digits}", "sha256:{":".join(["CD"] * 32)}", "sha256:{digits.upper()}"]'
    for to, more, name in (
        ("B.test:1", "", "b.test"),
        ("10.0.0.1:1", "", "10.0.0.1"),
        ("srv:_https._tcp.Api.internal", "", "api.internal"),
        ("10.0.0.1:1", ', name = "N.test"', "n.test"),
    ):
        text = f'tls = "reencrypt"\nto = ["{to}"]\nverify = {{ pin = {pins}{more} }}\n'
        (route,) = (r for r in built(text, top='[dns]\nservers = ["192.0.2.53"]\n').routes if r.name == "r")
        assert isinstance(route.way, AtEdge)
        hop = route.way.backends[0].hop
        assert isinstance(hop, ReencryptHop)
        assert hop.verify.model_dump() == {
            "by": {"kind": "pins", "sha256": [digits, "cd" * 32], "name_too": bool(more)},
            "name": name,
        }


def test_a_backend_whose_name_is_not_said_is_expected_by_the_name_of_its_address() -> None:
    (it,) = edge('tls = "reencrypt"\nto = ["B.test:1"]\nverify = { ca = "c" }\n').backends
    assert isinstance(it.hop, ReencryptHop) and it.hop.verify.name == "b.test"


SIGNED = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = 2027-02-01 }\n'


def test_plaintext_that_stays_on_this_host_needs_nobody_and_what_leaves_it_has_its_acceptance_with_its_end() -> None:
    assert edge(HERE).backends[0].hop.model_dump()["reach"] == {"kind": "same_host"}
    accepted = {
        "owner": "o",
        "why": "w",
        "context": "legacy",
        "since": "2026-11-01",
        "until": "2027-02-01",
        "closes_at_s": int(dt.datetime(2027, 2, 2, tzinfo=dt.UTC).timestamp()),
    }
    to = '"10.0.0.1:1", "127.0.0.1:1", { at = "127.0.0.1:2", off_host = true }, "b.test:1", "unix:/run/x"'
    way = edge(f'tls = "plaintext"\nto = [{to}]\n{SIGNED}')
    reach = [b.hop.model_dump()["reach"] for b in way.backends]
    assert [r["kind"] for r in reach] == ["accepted", "same_host", "accepted", "accepted", "same_host"]
    assert reach[0]["acceptance"] == accepted
    kept = edge(
        f'tls = "plaintext"\noff_host = true\nto = ["127.0.0.1:1", {{ at = "127.0.0.1:2", off_host = false }}]\n{SIGNED}'
    )
    assert [b.hop.model_dump()["reach"]["kind"] for b in kept.backends] == ["accepted", "same_host"]


def test_a_routes_hosts_stand_in_the_plan_in_their_one_form_and_in_order() -> None:
    text = HEAD.format(top="", listener="", site="").replace('host = "p.test"', 'host = ["P.test", "*.Q.Test"]')
    text += f'[[route]]\nname = "r"\nhost = ["B.Test", "a.TEST"]\n{HERE}'
    passed, ended = compile_file("b.toml", now=NOW, files="skip", text=text).plan.routes
    assert (passed.hosts, ended.hosts) == (["*.q.test", "p.test"], ["a.test", "b.test"])


def test_pages_may_use_the_methods_that_are_written_else_those_of_the_route_else_those_that_every_page_may() -> None:
    def methods(cors: str, route: str = "") -> list[str]:
        way = edge(f'{HERE}{route}cors = {{ origins = ["https://p.test"]{cors} }}\n')
        assert way.cors is not None
        return way.cors.methods

    taken = 'method = ["PUT", "OPTIONS"]\n'
    assert methods("") == ["GET", "HEAD", "POST"]
    assert methods("", taken) == ["OPTIONS", "PUT"]
    assert methods(', methods = ["DELETE", "GET"]') == ["DELETE", "GET"]
    assert methods(', methods = ["PUT"]', taken) == ["PUT"]
    assert methods(", methods = []") == []


TOLD = '[traces]\ncollector = "o"\n{}\n[[collector]]\nname = "o"\nto = ["127.0.0.1:4318"]\ntls = "plaintext"\n'


def test_parts_of_a_whole_stand_in_the_plan_in_millionths_and_the_whole_is_a_million() -> None:
    for ratio, ppm in ((1.0, 1_000_000), (0.5, 500_000), (0.0, 0)):
        (told,) = [built(top=TOLD.format(f"ratio = {ratio}")).traces]
        assert told is not None and told.ppm == ppm
        own = next(r for r in built(f"{NEAR}traces = {ratio}\n", top=TOLD.format("")).routes if r.name == "r").traces
        assert own.model_dump() == {"kind": "share", "ppm": ppm}
    for given, kind in (("true", "as_file"), ("false", "never")):
        own = next(r for r in built(f"{NEAR}traces = {given}\n", top=TOLD.format("")).routes if r.name == "r").traces
        assert own.model_dump() == {"kind": kind}
    for slow_s, slow_ms in ((0.0001, 1), (0.001, 1), (0.002, 2), (3600.0, 3_600_000)):
        told = built(top=TOLD.format(f"slow_s = {slow_s}")).traces
        assert told is not None and told.slow_ms == slow_ms, "what is slow lasts for a while"


def test_a_share_that_is_copied_is_a_millionth_at_least_and_the_whole_unless_it_says_less() -> None:
    for share, per_million in (("", 1_000_000), (", share = 1.0", 1_000_000), (", share = 0.25", 250_000), (", share = 1e-9", 1)):  # fmt: skip
        mirror = edge(f'{NEAR}mirror = {{ to = ["127.0.0.1:2"]{share} }}\n').mirror
        assert mirror is not None and mirror.share_per_million == per_million


def test_a_site_shows_the_certificate_of_the_identity_that_it_names() -> None:
    text = HEAD.format(top="", listener="", site="").replace('name = "j"\nchain = "x"', 'name = "j"\nchain = "other"')
    (certs,) = re.findall(r"certs = .*\n", text)
    for name, chain, key in (("i", "x", "file:i"), ("j", "other", "file:j")):
        it = compile_file(
            "b.toml", now=NOW, files="skip", text=text.replace(certs, f'certs = [{{ identity = "{name}" }}]\n')
        ).plan
        assert [(c.material, c.chain, c.key) for c in it.sites[0].certs] == [(f"identity/{name}", chain, key)]


def test_what_is_served_in_the_clear_stays_on_this_host_only_where_every_address_does() -> None:
    def reach(*bind: str, more: str = "") -> str:
        text = f'{HEAD.format(top="", listener="", site="")}[[route]]\nname = "r"\nhost = "c.test"\n{HERE}'
        text += '[[site]]\nname = "t"\nhosts = ["c.test"]\nlisteners = ["c"]\n[[listener]]\nname = "c"\n'
        text += f'speaks = "http"\nserve = true\nbind = {list(bind)}\n{more}'
        (it,) = (
            one for one in compile_file("b.toml", now=NOW, files="skip", text=text).plan.listeners if one.name == "c"
        )
        assert isinstance(it.speaks, SpeaksServe)
        return it.speaks.reach.kind

    assert reach("127.0.0.1:80") == reach("127.0.0.1:80", "[::1]:80") == "same_host"
    for bind in (["127.0.0.1:80", "10.0.0.9:80"], ["10.0.0.9:80", "127.0.0.1:80"], ["10.0.0.9:80"]):
        assert reach(*bind, more=SIGNED) == "accepted"


def test_links_of_a_backend_are_changed_back_only_where_something_was_changed_on_the_way_there() -> None:
    assert edge(HERE).locations == "keep"
    for changed in ('host_header = "n.test"', 'path = "/x"\nstrip = "/x"', 'rewrite = "/one"'):
        assert edge(f"{HERE}{changed}\n").locations == "rewrite"
        for said in ("keep", "rewrite"):
            assert edge(f'{HERE}{changed}\nlocations = "{said}"\n').locations == said


def test_what_a_token_says_and_who_signed_in_is_told_in_fields_that_are_set_and_in_those_that_are_added() -> None:
    claims = '[[issuer]]\nname = "corp"\nissuer = "https://login.test"\naudience = "api"\nkeys = { file = "k" }\n'
    claims += 'algorithms = ["ES256"]\n'
    for asked, top, word, piece in (
        ('jwt = { issuer = "corp" }\n', claims, "{claim.sub}", {"kind": "claim", "path": ["sub"]}),
        ('basic = { file = "some.users" }\n', "", "{user}", {"kind": "user"}),
    ):
        for how in ("set", "add"):
            text = f'{NEAR}{asked}request = {{ {how} = {{ x-who = "by {word}" }} }}\n'
            (way,) = (r.way for r in built(text, top=top).routes if r.name == "r")
            assert isinstance(way, AtEdge)
            (told,) = (it for it in getattr(way.request, how) if it.name == "x-who")
            assert [it.model_dump() for it in told.value] == [{"kind": "text", "text": "by "}, piece]
