"""What is said of who issues certificates: another authority is told, and who can prove our names is a matter of trust."""

from __future__ import annotations

from typing import Any

import pytest

from everyhop.diff import Change, settings_changes
from everyhop.model import Config

HOOK = {"dns_hook": ["/usr/local/bin/zone", "--fast"]}


SERVICE = {"url": "https://dns.test/acme", "token": "file:dns.token"}


def service(**more: str) -> dict[str, object]:
    return {"dns_http": {**SERVICE, **more}}


def update(**more: str) -> dict[str, object]:
    return {"dns_update": {"server": "10.0.0.53", "key": "acme", "secret": "file:tsig", **more}}


def config(acme: dict[str, Any], certs: object = "acme") -> Config:
    listener = [{"name": "l", "bind": ["127.0.0.1:8443"]}]
    site = [{"name": "s", "hosts": ["a.test"], "certs": certs}]
    return Config.model_validate({"version": 1, "listener": listener, "site": site, "acme": acme})


def changes(was: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    return settings_changes(config(was), config(now))


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ({"authority": ["https://ca.internal/dir"]}, "asked of letsencrypt; now of https://ca.internal/dir"),
        ({"authority": ["letsencrypt", "letsencrypt-staging"]}, "now of letsencrypt, letsencrypt-staging"),
        ({"ca": "own.pem"}, "verified by the machine's roots, now by own.pem"),
        ({"profile": "shortlived"}, "of the profile of its own choice, now shortlived"),
    ],
)
def test_another_authority_is_told_and_weakens_nothing(now: dict[str, Any], what: str) -> None:
    (change,) = changes({}, now)
    assert (change.allow, change.direction) == ("authority-changed:acme", "neutral")
    assert what in change.what
    (back,) = changes(now, {})
    assert back.kind == "authority-changed" and back.what != change.what


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        ({}, HOOK, "by nobody, now by the program /usr/local/bin/zone --fast"),
        (HOOK, {"dns_hook": ["/tmp/zone"]}, "now by the program /tmp/zone"),
        (update(), update(secret="file:other"), "from file:tsig, now by the key acme of 10.0.0.53 from file:other"),
        (update(), update(server="10.0.0.54"), "now by the key acme of 10.0.0.54 from file:tsig"),
        (
            {},
            service(),
            "by nobody, now by the service at https://dns.test/acme with file:dns.token, verified by the mach",
        ),
        (
            service(),
            service(url="https://dns.test/other"),
            "now by the service at https://dns.test/other with file:dns",
        ),
        (service(), service(token="cred:dns"), "now by the service at https://dns.test/acme with cred:dns, verified"),
        (service(), service(ca="own.pem"), "with file:dns.token, verified by own.pem"),
        (service(), {"dns_http": {"url": SERVICE["url"]}}, "https://dns.test/acme with no token, verified"),
        (update(), update(key="mine"), "now by the key mine of 10.0.0.53 from file:tsig"),
    ],
)
def test_who_can_have_certificates_for_our_names_is_a_weakening_that_somebody_allows(
    was: dict[str, Any], now: dict[str, Any], what: str
) -> None:
    (change,) = changes(was, now)
    assert (change.direction, change.allow) == ("weaker", "names-proved-otherwise:acme") and what in change.what


def test_a_zone_that_nobody_changes_any_more_weakens_nothing() -> None:
    (change,) = changes(HOOK, {})
    assert change.direction == "neutral" and change.what.endswith("now by nobody")


def test_what_is_the_same_and_what_no_site_asks_for_is_silence() -> None:
    other = {"authority": ["https://ca.internal/dir"], **HOOK}
    assert changes(other, other) == []
    files = [{"chain": "a.pem", "key": "file:a.key"}]
    assert settings_changes(config({}, files), config(other, files)) == []
    assert (
        settings_changes(config({}, files), config(other)) == [] == settings_changes(config(other), config({}, files))
    )
    no_dns = {"challenges": ["http-01"]}
    assert changes({**no_dns}, {**no_dns, **HOOK}) == []
