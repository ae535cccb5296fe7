"""The rules of what is reached by which listener and in the clear, of sites, and of who is believed: which is named of several, and
what is fine however near it comes."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.refusals import Finding
from tests.kit.findings import findings

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
WORD = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-26, until = 2027-02-01 }\n'
SERVES = 'speaks = "http"\nserve = true\n'
CERTS = 'certs = [{ chain = "x", key = "file:y" }]\n'
CLIENTS = 'clients = { ca = "c" }\n'


def listener(name: str, port: int, more: str = "", at: str = "127.0.0.1") -> str:
    return f'[[listener]]\nname = "{name}"\nbind = ["{at}:{port}"]\n{more}'


def site(name: str, more: str = CERTS, hosts: str = "") -> str:
    return f'[[site]]\nname = "{name}"\nhosts = [{hosts or f"{chr(34)}{name}.test{chr(34)}"}]\n{more}'


def route(name: str, more: str = "", host: str = "", tls: str = "plaintext") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host or f"{name}.test"}"\ntls = "{tls}"\nto = ["127.0.0.1:1"]\n{more}'


def found(text: str) -> tuple[list[Finding], list[str]]:
    whole = f"version = 1\n{text}"
    return findings(whole, NOW), whole.splitlines()


def slugs(text: str) -> list[str]:
    return [f.slug for f in found(text)[0]]


def told(text: str, slug: str = "") -> tuple[Finding, str]:
    """The one thing that is found, and what it points at, to the end of the line."""
    findings, lines = found(text)
    (it,) = [f for f in findings if not slug or f.slug == slug]
    return it, lines[it.place.line - 1][it.place.column - 1 :]


TLS = listener("tls", 8443)
CLEAR = listener("clear", 8080, SERVES) + listener("also", 8081, SERVES)


def test_what_needs_a_handshake_names_the_first_listener_that_serves_in_the_clear() -> None:
    apart = 'listeners = ["tls"]\n'
    demands = site("a", CERTS + CLIENTS) + route("a", "", "a.test")
    it, at = told(TLS + CLEAR + demands)
    assert it.slug == "listener/serves-without-proof" and "listener 'clear'" in it.what and it.also == ()
    assert at.startswith("clients"), "what demands is pointed at"
    assert slugs(TLS + CLEAR + demands.replace(CERTS, CERTS + apart)) == ["listener/reaches-nothing"] * 2
    asks = demands.replace('{ ca = "c" }', '{ ca = "c", mode = "ask" }')
    assert slugs(TLS + CLEAR + asks) == []
    both = demands.replace(CERTS, CERTS + 'listeners = ["tls", "also"]\n')
    it, _ = told(TLS + CLEAR + both, "listener/serves-without-proof")
    assert "listener 'also'" in it.what and len(it.also) == 1 and 'listeners = ["tls"]' in it.mend[0]


def test_a_route_that_lets_some_in_by_name_is_reached_by_no_listener_in_the_clear() -> None:
    allows = site("a", CERTS + 'clients = { ca = "c", mode = "ask" }\n') + route("a", 'allow = { clients = ["c"] }\n')
    it, _ = told(TLS + CLEAR + allows)
    assert it.slug == "listener/serves-without-proof" and "listener 'clear'" in it.what
    assert slugs(TLS + CLEAR + allows + 'listeners = ["tls"]\n') == ["listener/reaches-nothing"] * 2


@pytest.mark.parametrize(
    ("data", "told_of"),
    [
        ("", 0),
        ('data = "internal"\n', 0),
        ('data = "major-incident"\n', 1),
        ('data = "major-incident"\ndespite = "major-incident"\n', 0),
    ],
)
def test_what_must_not_leak_comes_in_the_clear_from_no_network_unless_somebody_says_so(data: str, told_of: int) -> None:
    away = listener("here", 8079, SERVES) + listener("net", 8080, SERVES + WORD, "10.0.0.1")
    away += listener("far", 8081, SERVES + WORD, "10.0.0.1")
    found_, lines = found(TLS + away + site("a") + route("a", data))
    assert [f.slug for f in found_] == ["hop/major-incident-in-plaintext"] * told_of
    for it in found_:
        assert "listener 'net'" in it.what and lines[it.also[0].line - 4].startswith('name = "net"')


@pytest.mark.parametrize(
    ("bind", "more", "slug"),
    [
        ('"127.0.0.1:8080"', SERVES, None),
        ('"127.0.0.1:8080"', SERVES + WORD, "acceptance/needless"),
        ('"127.0.0.1:8080", "10.0.0.1:81"', SERVES, "listener/serves-without-acceptance"),
        ('"127.0.0.1:8080", "10.0.0.1:81"', SERVES + WORD, None),
        ('"127.0.0.1:8080"', f"{SERVES}https_port = 8443\n", "listener/nothing-to-do"),
        ('"127.0.0.1:8080"', f'speaks = "http"\nhttps_port = 8443\n{WORD}', "acceptance/needless"),
        ('"127.0.0.1:8080"', "serve = true\n", "listener/nothing-to-do"),
    ],
)
def test_a_listener_that_serves_in_the_clear_is_signed_for_where_it_leaves_this_host(
    bind: str, more: str, slug: str | None
) -> None:
    text = TLS + f'[[listener]]\nname = "x"\nbind = [{bind}]\n{more}' + site("a") + route("a")
    assert slugs(text) == ([slug] if slug else [])


def test_the_port_of_the_first_address_that_leaves_this_host_is_offered_on_it() -> None:
    binds = '["127.0.0.1:8080", "10.0.0.1:81", "10.0.0.2:82"]'
    it, _ = told(TLS + f'[[listener]]\nname = "x"\nbind = {binds}\n{SERVES}' + site("a") + route("a"))
    assert 'bind = ["127.0.0.1:81"]' in it.mend[1] and "to 10.0.0.1:81, 10.0.0.2:82," in it.what


@pytest.mark.parametrize(
    ("more", "hosts", "why"),
    [
        ('listeners = ["clear"]\n', True, None),
        ('listeners = ["clear", "also"]\n', True, None),
        ("", True, "is reached by listener 'tls', which speaks TLS"),
        ('listeners = ["tls"]\n', True, "is reached by listener 'tls', which speaks TLS"),
        ('listeners = ["clear", "tls"]\n', True, "is reached by listener 'tls', which speaks TLS"),
        ('listeners = ["plain"]\n', True, "is reached by no listener that serves in the clear"),
        ('listeners = ["clear"]\n', False, "names no hosts"),
    ],
)
def test_a_site_without_a_certificate_is_reached_where_nobody_asks_for_one(
    more: str, hosts: bool, why: str | None
) -> None:
    text = TLS + listener("more", 8444) + CLEAR + listener("plain", 8082, 'speaks = "http"\nhttps_port = 8443\n')
    text += site("b", CERTS) + route("b") + site("a", more) + route("a")
    if not hosts:
        text = text.replace('hosts = ["a.test"]\n', "")
    said = [f.what for f in found(text)[0] if f.slug == "site/no-certificate"]
    assert said == ([f"site 'a' has no certificate, and {why}"] if why else [])


def test_what_is_not_read_is_reached_by_no_listener_that_serves_requests() -> None:
    tcp = 'protocol = "tcp"\n'
    at = 'listeners = ["tls", "clear", "also"]\n'
    for text, slug in (
        (route("p", at, tls="passthrough"), "listener/serves-requests"),
        (route("p", "", tls="passthrough"), None),
        (site("t") + route("t", tcp), None),
        (site("t") + route("t", tcp + at), "listener/serves-requests"),
        (site("t", CERTS + at) + route("t", tcp), "listener/serves-requests"),
    ):
        findings, _ = found(TLS + CLEAR + site("a") + route("a") + text)
        assert [f.slug for f in findings] == ([slug] if slug else []), text
        assert all("listener 'clear'" in f.what for f in findings)


YEAR = 31_536_000


@pytest.mark.parametrize(
    ("age", "below", "preload", "fine"),
    [
        (YEAR, True, True, True),
        (YEAR - 1, True, True, False),
        (YEAR, False, True, False),
        (YEAR - 1, False, True, False),
        (1, False, False, True),
        (YEAR - 1, True, False, True),
    ],
)
def test_lists_that_browsers_ship_take_who_says_so_for_a_year_and_for_all_below(
    age: int, below: bool, preload: bool, fine: bool
) -> None:
    said = f"hsts = {{ max_age_s = {age}, subdomains = {str(below).lower()}, preload = {str(preload).lower()} }}\n"
    findings = found(TLS + site("a", CERTS + said) + route("a"))[0]
    assert [f.slug for f in findings] == ([] if fine else ["site/hsts"])
    assert all(f"max_age_s = {YEAR}," in f.mend[0] for f in findings)


@pytest.mark.parametrize(
    ("mode", "warned"),
    [("", "asks clients for no certificate"), ("ask", "takes clients without one"), ("require", "")],
)
def test_a_site_of_every_name_lets_in_who_is_known(mode: str, warned: str) -> None:
    clients = f'clients = {{ ca = "c", mode = "{mode}" }}\n' if mode else ""
    findings = found(TLS + site("a", CERTS + clients, '"*", "a.test"') + route("a"))[0]
    assert [(f.slug, f.what.partition(", and ")[2]) for f in findings] == (
        [("site/any-host", warned)] if warned else []
    )


def test_a_stream_tells_no_backend_a_name() -> None:
    text = TLS + site("a", CERTS, '"*"') + route("a", 'protocol = "tcp"\n', "x.test")
    assert "site/any-host" not in slugs(text)


@pytest.mark.parametrize(
    ("believes", "sites", "slug"),
    [
        ('{ networks = ["10.0.0.0/24"] }', site("a"), None),
        ('{ clients = ["edge"] }', site("a", CERTS + CLIENTS), None),
        ('{ clients = ["edge"] }', site("a"), "trust/unproven"),
        ('{ clients = ["edge"] }', site("a", CERTS + CLIENTS) + site("b", CERTS + CLIENTS), None),
        ('{ clients = ["edge"] }', site("a", CERTS + CLIENTS) + site("b"), None),
        (
            '{ clients = ["edge"] }',
            site("a", CERTS + CLIENTS) + site("b", CERTS + 'clients = { ca = "d" }\n'),
            "trust/unproven",
        ),
        (
            '{ clients = ["edge"] }',
            site("a", CERTS + CLIENTS) + site("b", CERTS + 'clients = { ca = "d" }\nlisteners = ["other"]\n'),
            None,
        ),
        ('{ clients = ["edge", "a b"] }', site("a", CERTS + CLIENTS), "route/client-name"),
        ("{ networks = [], clients = [] }", site("a"), "listener/nothing-to-do"),
        ('{ networks = [], clients = ["edge"] }', site("a", CERTS + CLIENTS), None),
    ],
)
def test_a_proxy_in_front_is_believed_for_what_it_proves_to_one_authority(
    believes: str, sites: str, slug: str | None
) -> None:
    text = listener("tls", 8443, f"trusted_proxies = {believes}\n") + listener("other", 8444) + sites + route("a")
    assert slugs(text) == ([slug] if slug else [])


def test_who_proves_nothing_in_the_clear_is_told_so_even_where_a_site_asks() -> None:
    text = TLS + listener("clear", 8080, SERVES + 'trusted_proxies = { clients = ["edge"] }\n')
    text += site("a", CERTS + 'clients = { ca = "c", mode = "ask" }\n') + route("a")
    it, _ = told(text)
    assert it.slug == "trust/unproven" and it.what.endswith("nobody proves anything in the clear")


@pytest.mark.parametrize(
    ("strict", "weak", "said"),
    [
        ("require", "", "which asks clients for no certificate; site 'a' demands a certificate"),
        ("require", "ask", "which takes clients without one; site 'a' demands a certificate"),
        ("ask", "", "which asks clients for no certificate; site 'a' asks for one"),
        ("ask", "ask", ""),
        ("require", "require", ""),
    ],
)
def test_a_wildcard_that_takes_a_name_of_a_site_that_asks_for_less_is_told_by_how_much(
    strict: str, weak: str, said: str
) -> None:
    def clients(mode: str) -> str:
        return f'clients = {{ ca = "c", mode = "{mode}" }}\n' if mode else ""

    text = TLS + site("a", CERTS + clients(strict), '"*.w.test"') + site("b", CERTS + clients(weak), '"x.w.test"')
    wild = text + route("r", "", "*.w.test")
    findings = found(wild)[0]
    assert [f.slug for f in findings] == (["route/reached-through-weaker-site"] if said else [])
    assert all(said in f.what and "site 'b'" in f.what for f in findings)
    own = text + route("r", "", "*.w.test").replace('"*.w.test"', '["*.w.test", "x.w.test"]')
    assert slugs(own) == [], "it names the host itself"


@pytest.mark.parametrize(
    ("tls", "ports", "offered"),
    [
        (TLS + listener("b", 9443), "8443 or 9443", "8443"),
        (listener("b", 81) + listener("c", 443), "81 or 443", "443"),
        (listener("b", 9443) + TLS + listener("c", 7443), "7443 or 8443 or 9443", "7443"),
    ],
)
def test_where_clients_are_sent_is_asked_with_the_usual_port_else_the_first(tls: str, ports: str, offered: str) -> None:
    text = tls + listener("web", 8080, 'speaks = "http"\n') + site("a") + route("a")
    it, _ = told(text)
    assert it.slug == "listener/https-port" and it.mend[0] == f"https_port = {offered}"
    assert it.what.endswith(f"to which port is not known: it could be {ports}")


def test_a_listener_that_speaks_plain_http_sends_clients_to_the_one_that_speaks_tls() -> None:
    assert slugs(TLS + listener("web", 8080, 'speaks = "http"\n') + site("a") + route("a")) == []


def test_a_name_belongs_to_one_site_and_is_passed_through_by_one_route_or_ended() -> None:
    three = site("a") + site("b", CERTS, '"b.test", "a.test"') + site("c", CERTS, '"c.test", "a.test"')
    findings, _ = found(TLS + three + route("a"))
    assert [f.what for f in findings] == [
        "a.test belongs to site 'a' and to 'b'",
        "a.test belongs to site 'a' and to 'c'",
    ]
    passed = TLS + site("a") + route("p", "", "a.test", "passthrough")
    assert slugs(passed) == ["route/passed-and-terminated"]
    wild = TLS + site("a", CERTS, '"*.w.test"') + route("a", "", "x.w.test")
    assert slugs(wild + route("p", "", "y.w.test", "passthrough")) == ["route/wildcard-covers-passthrough"]
    assert slugs(wild + route("p", 'covers = ["y.w.test"]\n', "y.w.test", "passthrough")) == []
    assert slugs(wild + route("p", 'covers = ["z.w.test"]\n', "y.w.test", "passthrough")) == [
        "route/wildcard-covers-passthrough"
    ]


def test_a_site_and_a_route_that_are_fine_hide_none_behind_them() -> None:
    apart = site("first", CERTS + 'listeners = ["tls"]\n') + route("first")
    second = site("second", CERTS.replace("file:y", "file:z") + CLIENTS) + route("second")
    it, _ = told(TLS + CLEAR + apart + second, "listener/serves-without-proof")
    assert "site 'second'" in it.what
    passes = route("p", "", tls="passthrough")
    names = route("names", 'allow = { clients = ["spiffe://td/x"] }\n')
    asks = site("names", CERTS.replace("file:y", "file:z") + CLIENTS.replace(" }", ', mode = "ask" }'))
    it, _ = told(TLS + CLEAR + passes + asks + names, "listener/serves-without-proof")
    assert "route 'names'" in it.what


def test_a_key_in_a_token_hides_no_secret_behind_it() -> None:
    token = (
        'certs = [{ chain = "x", key = "pkcs11:token=edge;object=two?module-path=/usr/lib/m.so&pin-source=file:p" }]\n'
    )
    inline = 'certs = [{ chain = "x", key = "secret" }]\n'
    text = TLS + site("a", token) + route("a") + site("b", inline) + route("b")
    assert "secret/inline" in slugs(text)
