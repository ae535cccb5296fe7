"""Hosts, paths and addresses in their one form; and the compiler's rule is the engine's."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from everyhop import _door
from everyhop.compile import names
from everyhop.plan import read_plan


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Shop.Example.COM.", "shop.example.com"),
        ("*.x.y", "*.x.y"),
        ("a_b.c", "a_b.c"),
        ("", None),
        ("a..b", None),
        ("-a.b", None),
        ("1.2.3.4", None),
        ("a b", None),
        ("*", None),
        ("a.*.b", None),
    ],
)
def test_a_host_has_one_form(text: str, form: str | None) -> None:
    assert names.host(text, wildcard=True) == form


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        ("/", True),
        ("/a/b", True),
        ("/%C3%A9", True),
        ("/%c3", False),
        ("/%61", False),
        ("/a//b", False),
        ("/./a", False),
        ("/..;/a", False),
        ("/%2F", False),
        ("a", False),
        ("/a b", False),
        ("/a/..%3B", False),
        ("/a/..%3Fx", False),
        ("/a/..b", True),
        ("/a/%252f", False),
        ("/a/%2541", True),
    ],
)
def test_a_path_is_taken_only_in_its_canonical_form(text: str, fine: bool) -> None:
    assert (names.path(text) is not None) == fine


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("10.0.0.7/8", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:0:0/90", None),
        ("x", None),
    ],
)
def test_a_network_has_one_form_and_a_mapped_one_is_ipv4(text: str, form: str | None) -> None:
    found = names.network(text)
    assert (found and str(found)) == form


@pytest.mark.parametrize(
    ("text", "form", "loopback"),
    [
        ("10.0.0.5:8443", "10.0.0.5:8443", False),
        ("[::ffff:10.0.0.5]:1", "10.0.0.5:1", False),
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("[::1]:1", "[::1]:1", True),
        ("unix:/run/x", "unix:/run/x", True),
        (f"unix:/{'x' * 106}", f"unix:/{'x' * 106}", True),
        ("srv:_HTTPS._TCP.Api.Internal.", "srv:_https._tcp.api.internal", False),
        ("srv:_a-b._tcp.localhost", "srv:_a-b._tcp.localhost", False),
        ("localhost:1", "localhost:1", False),
        ("127.0.0.2:1", "127.0.0.2:1", False),
    ],
)
def test_an_address_has_one_form_and_same_host_is_literal(text: str, form: str, loopback: bool) -> None:
    at = names.address(text)
    assert at is not None and str(at) == form and at.is_literal_loopback == loopback


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "x:",
        "x:0",
        "x:65536",
        "::1:80",
        "[x]:1",
        "unix:x",
        f"unix:/{'x' * 107}",
        "unix:/" + "\u00fc" * 54,
        "unix:/run/x\0",
        "x:+1",
        "x:1:2",
        "x:000080",
        "x:99999",
        "[::1:80",
        "::1]:80",
        "[x.y]:1",
        "[127.0.0.1]:1",
        "*.x:1",
        "srv:",
        "srv:api.internal",
        "srv:_https._tcp",
        "srv:_https._tcp.",
        "srv:_https._udp.api.internal",
        "srv:_https._tcp.api.internal:443",
        "srv:_https._tcp.*.internal",
        "srv:https._tcp.api.internal",
        "srv:_-x._tcp.api.internal",
        "srv:_0123456789abcdef._tcp.api.internal",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert names.address(text) is None


@pytest.mark.parametrize("text", ["x:1", "x:65535", "[::1]:65535", "10.0.0.1:10000"])
def test_a_port_is_any_of_one_to_five_digits_that_fits(text: str) -> None:
    assert str(names.address(text)) == text


def test_a_socket_has_no_port_and_an_address_stays_what_it_is() -> None:
    """It is found again in a cache: who changed it would change it for everybody."""
    at = names.address("unix:/run/x")
    assert at == names.Address(unix="/run/x", port=0)
    with pytest.raises(FrozenInstanceError):
        at.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("dns.internal", None),
        ("dns.internal:53", None),
        ("unix:/run/dns", None),
        ("", None),
    ],
)
def test_a_dns_server_is_an_ip_address_and_its_port_is_53_where_none_stands_there(
    text: str, at: tuple[str, int] | None
) -> None:
    assert names.dns_server(text) == at


def test_a_services_domain_is_whose_service_it_is() -> None:
    for text, domain in [("srv:_https._tcp.api.internal", "api.internal"), ("x:1", None)]:
        at = names.address(text)
        assert at is not None and at.domain == domain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("srv:_https._UDP.api.internal", "reached by TCP"),
        ("srv:_https._tcp.api.internal:443", "DNS says the ports"),
        ("srv:api.internal", "is written srv:_NAME._tcp.DOMAIN"),
        ("srv:_https._tcp.api.internal:0", "is written srv:_NAME._tcp.DOMAIN"),
        ("[fe80::1]:443", "one link of one machine"),
        ("fe80::1:443", "one link of one machine"),
        ("[2001:db8::1%eth0]:443", "one link of one machine"),
        ("2001:db8::1:443", "stands in brackets"),
        ("[2001:db8::1:443", "stands in brackets"),
        ("[2001:db8::1]:99999", None),
        ("192.0.2.1:99999", None),
        (f"unix:/{'x' * 107}", "at most 107 bytes"),
        ("unix:/run/x\0", "none of them is 0"),
        ("unix:run/x", "begins with /"),
        ("api.internal", None),
        ("", None),
    ],
)
def test_what_only_looks_like_an_address_is_told_why_it_is_none(text: str, said: str | None) -> None:
    """The address itself is none, whether there is something to say of it or not."""
    assert names.address(text) is None
    told = names.oddity(text)
    assert (told is None) if said is None else (told is not None and said in told)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("*.b\u00fccher.example", "*.xn--bcher-kva.example"),
        ("\u4f8b\u3048.example", "xn--r8jz45g.example"),
        ("stra\u00dfe.example", None),
        ("\u00fc..example", None),
        ("\u00fc" * 70 + ".example", None),
        ("b_\u00fc c.example", None),
        ("plain.example", None),
    ],
)
def test_a_name_with_other_letters_is_told_in_the_form_of_dns_where_that_is_sure(text: str, form: str | None) -> None:
    assert names.ascii_form(text) == form
    mend = names.host_mend(text)
    if form:
        assert f'"{form}"' in mend
    elif text.isascii():
        assert '"shop.example.com"' in mend
    else:
        assert "in its xn-- form" in mend and "shop.example.com" not in mend


DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        (f"sha256:{DIGITS}", DIGITS),
        (f"sha256:{DIGITS.upper()}", DIGITS),
        ("sha256:" + ":".join(DIGITS[i : i + 2] for i in range(0, 64, 2)), DIGITS),
        (DIGITS, None),
        (f"sha512:{DIGITS}", None),
        (f"sha256:{DIGITS[1:]}", None),
        (f"sha256:{DIGITS}0", None),
        (f"sha256:{DIGITS[:-1]}g", None),
        (f"sha256{DIGITS}", None),
    ],
)
def test_a_fingerprint_is_64_digits_behind_its_algorithms_name(text: str, digits: str | None) -> None:
    assert names.fingerprint(text) == digits


def test_a_wildcard_is_no_host_unless_it_is_asked_for() -> None:
    assert names.host("*.x") is None and names.host("*.x", wildcard=True) == "*.x"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (":443", "[::]:443"),
        ("0.0.0.0:1", "0.0.0.0:1"),
        ("[::1]:1", "[::1]:1"),
        ("x:1", None),
        ("unix:/x", None),
        ("443", None),
    ],
)
def test_a_listener_binds_addresses_alone(text: str, form: str | None) -> None:
    assert names.bind(text) == form


@pytest.mark.parametrize(
    ("pattern", "name", "covers"),
    [
        ("a.test", "a.test", True),
        ("a.test", "x.a.test", False),
        ("*.test", "a.test", True),
        ("*.test", "b.a.test", False),
        ("*.test", "test", False),
        ("*.test", "*.test", True),
        ("x*.test", "xa.test", False),
        ("*", "test", False),
    ],
)
def test_a_certificates_wildcard_covers_one_whole_label(pattern: str, name: str, covers: bool) -> None:
    assert names.covers(pattern, name) is covers


def test_offline_the_engines_own_matcher_answers(data: object) -> None:
    from pathlib import Path

    text = (Path(__file__).parents[3] / "schema/golden/everything.json").read_text().rstrip("\n")
    assert read_plan(text)

    def route(host: str, path: str, **more: object) -> object:
        ask = {
            "listener": None,
            "sni": host,
            "host": host,
            "path": path,
            "method": "GET",
            "headers": [],
            "client": None,
            "token": None,
            "address": None,
            **more,
        }
        return json.loads(_door.where_in(text, json.dumps(ask)))

    assert route("api.example.com", "/v1/x")["route"] == "api"  # type: ignore[index]
    post = route(
        "api.example.com", "/pkg.Service/Call", method="POST", headers=[["x-tenant", "blue"], ["cookie", "canary=1"]]
    )
    assert post["route"] == "grpc"  # type: ignore[index]
    assert route("pay.example.com", "/")["verdict"] == "splice"  # type: ignore[index]
    assert route("api.example.com", "/other")["status"] == 404  # type: ignore[index]
    assert route("api.example.com", "/v1/../x")["slug"] == "request/bad-target"  # type: ignore[index]
