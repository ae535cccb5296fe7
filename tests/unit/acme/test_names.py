"""Names that cannot be had are told for each, with why."""

from __future__ import annotations

import pytest

from everyhop.acme.names import MOST, refused
from everyhop.acme.publisher import KINDS

ALL = KINDS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("intranet", "one label"),
        ("shop.test", "under .test"),
        ("printer.local", "under .local"),
        ("a.corp.internal", "under .internal"),
        ("x.home.arpa", "under .arpa"),
        ("hidden.onion", "under .onion"),
        ("10.0.0.1", "an address"),
        ("2001:db8::1", "an address"),
        ("a..b.com", "no name of the DNS"),
        ("münchen.de", "no name of the DNS"),
        (f"{'x' * 64}.com", "no name of the DNS"),
        ("a.*.com", "the whole first label"),
        ("*.*.com", "the whole first label"),
    ],
)
def test_a_public_authority_gives_none_for(name: str, words: str) -> None:
    found = refused(["shop.example.net", name], ALL, public=True)
    assert [one for one, _ in found] == [name] and words in found[0][1]


@pytest.mark.parametrize(
    "name", ["example.net", "shop.example.co.uk", "xn--mnchen-3ya.de", "*.example.net", "test.example.net"]
)
def test_a_public_authority_may_give_one_for(name: str) -> None:
    assert refused([name], ALL, public=True) == []


@pytest.mark.parametrize("name", ["intranet", "shop.test", "a.corp.internal"])
def test_one_s_own_authority_is_asked_for_any_name_of_a_network(name: str) -> None:
    assert refused([name], ALL, public=False) == []


@pytest.mark.parametrize("public", [False, True])
def test_a_wildcard_takes_dns(public: bool) -> None:
    found = refused(["*.example.net", "example.net"], ("http-01", "tls-alpn-01"), public=public)
    assert [one for one, _ in found] == ["*.example.net"]


def test_without_a_challenge_nothing_can_be_proved() -> None:
    assert len(refused(["example.net"], (), public=True)) == 1


def test_more_names_than_a_certificate_has_are_told() -> None:
    names = [f"n{i}.example.net" for i in range(MOST + 1)]
    assert refused(names[:MOST], ALL, public=True) == []
    assert "make it two sites" in refused(names, ALL, public=True)[0][1]
