"""The rules of certificates that authorities issue: what can answer a challenge, who changes a zone, and which word is told of several."""

from __future__ import annotations

import pytest

from everyhop.refusals import Finding
from tests.kit.findings import findings

TLS = '[[listener]]\nname = "tls"\nbind = ["127.0.0.1:8443"]\n'
HTTP = '[[listener]]\nname = "web"\nbind = ["127.0.0.1:8080"]\nspeaks = "http"\nhttps_port = 8443\n'


def site(name: str, more: str = 'certs = "acme"\n') -> str:
    text = f'[[site]]\nname = "{name}"\nhosts = ["{name}.test"]\n{more}'
    return f'{text}[[route]]\nname = "{name}"\nhost = "{name}.test"\nanswer = {{ status = 200 }}\n'


def found(acme: str, rest: str = site("one")) -> tuple[list[Finding], list[str]]:
    usual = "" if "authority" in acme else 'authority = ["https://ca.internal/dir"]\n'
    text = f"version = 1\n[acme]\n{usual}{acme}\n{TLS}{rest}"
    return findings(text), text.splitlines()


def told(acme: str, rest: str = site("one")) -> tuple[str, str]:
    """The one thing that is found, and what it points at, to the end of the line."""
    ((it,), lines) = found(acme, rest)
    return it.what, lines[it.place.line - 1][it.place.column - 1 :]


AGREED = "terms_agreed = true\n"
CERTS = 'certs = [{ chain = "x", key = "file:y" }]\n'


def test_what_nobody_uses_is_told_once_at_its_first_word() -> None:
    what, at = told(f"keys = ['rsa-2048']\n{AGREED}", site("one", 'certs = [{ chain = "x", key = "file:y" }]\n'))
    assert "no site has its certificate by ACME" in what and at.startswith("authority")


def test_the_first_authority_and_the_first_site_are_named_to_whom_nobody_agreed() -> None:
    two = 'authority = ["https://one.internal/dir", "https://two.internal/dir"]\n'
    plain = site("plain", 'certs = [{ chain = "x", key = "file:y" }]\n')
    text = plain + site("one") + site("two")
    ((it,), lines) = found(two, text)
    what, at = told(two, text)
    assert lines.index('name = "one"') < it.place.line - 1 < lines.index('name = "two"')
    assert what == "site 'one' has its certificate by ACME, and nobody agreed to the terms of https://one.internal/dir"
    assert at == '"acme"'


@pytest.mark.parametrize(
    ("challenge", "more", "rest", "answered"),
    [
        ("tls-alpn-01", "", "", True),
        ("http-01", "", "", False),
        ("http-01", "", HTTP, True),
        ("dns-01", "", "", False),
        ("dns-01", 'dns_hook = ["/bin/zone"]\n', "", True),
        ("dns-01", 'dns_http = { url = "https://dns.internal/x" }\n', "", True),
        (
            "dns-01",
            'dns_update = { server = "10.0.0.53", key = "k", algorithm = "hmac-sha256", secret = "file:s" }\n',
            "",
            True,
        ),
    ],
)
def test_a_challenge_is_answered_by_a_listener_or_by_who_changes_the_zone(
    challenge: str, more: str, rest: str, answered: bool
) -> None:
    findings, _ = found(f'challenges = ["{challenge}"]\n{AGREED}{more}', site("one") + rest)
    assert [f.slug for f in findings] == ([] if answered else ["acme/challenge"])


UPDATE = 'dns_update = { server = "10.0.0.53", key = "k", algorithm = "hmac-sha256", secret = "file:s" }\n'
HOOK = 'dns_hook = ["/bin/zone"]\n'
SERVICE = 'dns_http = { url = "https://dns.internal/x" }\n'


def test_of_several_ways_to_change_a_zone_the_last_is_told_and_points_at_all_others() -> None:
    ((it,), lines) = found(f"{AGREED}{SERVICE}{HOOK}{UPDATE}")
    assert it.slug == "acme/dns" and lines[it.place.line - 1].startswith("dns_http")
    assert [lines[p.line - 1].partition(" ")[0] for p in it.also] == ["dns_update", "dns_hook"]


@pytest.mark.parametrize(
    ("url", "more", "fine"),
    [
        ("https://dns.internal/x", 'ca = "c"', True),
        ("http://127.0.0.1:81/x", "", True),
        ("http://127.0.0.1:81/x", 'ca = "c"', False),
        ("http://10.0.0.1:81/x", "", False),
        ("http://dns.internal/x", "", False),
        ("https://dns.internal/x?a=b", "", False),
        ("ftp://dns.internal/x", "", False),
        ("https://me@dns.internal/x", "", False),
        ("https://dns.internal/x#y", "", False),
    ],
)
def test_who_changes_a_zone_is_asked_by_tls_or_on_this_host(url: str, more: str, fine: bool) -> None:
    findings, _ = found(f'{AGREED}dns_http = {{ url = "{url}"{", " * bool(more)}{more} }}\n')
    assert [f.slug for f in findings] == ([] if fine else ["acme/dns"])


@pytest.mark.parametrize(
    ("word", "value", "fine"),
    [
        ("server", "10.0.0.53:5353", True),
        ("server", "dns.internal", False),
        ("key", "k.example.com.", True),
        ("key", "k k", False),
        ("zone", "example.com.", True),
        ("zone", "*.example.com", False),
    ],
)
def test_a_zone_is_changed_at_an_address_under_names_of_the_dns(word: str, value: str, fine: bool) -> None:
    given = {"server": "10.0.0.53", "key": "k", "algorithm": "hmac-sha256", "secret": "file:s", word: value}
    table = ", ".join(f'{name} = "{text}"' for name, text in given.items())
    findings, lines = found(f"{AGREED}dns_update = {{ {table} }}\n")
    assert [f.slug for f in findings] == ([] if fine else ["acme/dns"])
    for it in findings:
        assert lines[it.place.line - 1][it.place.column - 1 :].startswith(f'"{value}"')


def test_a_site_by_acme_names_its_hosts_and_each_that_cannot_be_certified_is_pointed_at() -> None:
    nameless = site("one").replace('hosts = ["one.test"]\n', "")
    assert "acme/names" in [f.slug for f in found(AGREED, nameless)[0]]
    wild = site("one").replace('["one.test"]', '["one.test", "*.one.test"]')
    what, at = told(AGREED, wild)
    assert "*.one.test" in what and at.startswith('"*.one.test"')
    public = found(f'authority = ["letsencrypt"]\n{AGREED}', site("one"))[0]
    assert [f.slug for f in public] == ["acme/names"], "nobody owns it"


def test_of_a_program_that_changes_a_zone_the_first_word_is_a_path_from_the_root() -> None:
    by = f'challenges = ["dns-01"]\n{AGREED}'
    assert found(f'{by}dns_hook = ["/bin/zone", "update"]\n')[0] == []
    what, at = told(f'{by}dns_hook = ["zone", "/etc/zone"]\n')
    assert "is 'zone', which is no path" in what and at.startswith('"zone"')


def test_of_what_nobody_uses_the_word_is_marked_and_not_its_value() -> None:
    text = f"version = 1\n[acme]\nterms_agreed = true\n{TLS}{site('one', CERTS)}"
    (it,) = findings(text)
    assert text.splitlines()[it.place.line - 1][it.place.column - 1 :].startswith("terms_agreed")
