"""Names that are certified: each is one up to its last letter, and none beyond it."""

from __future__ import annotations

import pytest

from everyhop.authority.names import named, trust_domain
from everyhop.errors import Misuse

LONG = ".".join(["a" * 63] * 3)
ID = "spiffe://corp.example/"


@pytest.mark.parametrize(
    ("text", "kind", "form"),
    [
        ("Host.Corp.Example", "dns", "host.corp.example"),
        (f"{'a' * 63}.example", "dns", f"{'a' * 63}.example"),
        (f"{LONG}.{'b' * 61}", "dns", f"{LONG}.{'b' * 61}"),
        ("1.a", "dns", "1.a"),
        ("a--b.example", "dns", "a--b.example"),
        ("10.0.0.1", "ip", "10.0.0.1"),
        ("FD00:0::1", "ip", "fd00::1"),
        (f"{ID}a/..b/A_1", "uri", f"{ID}a/..b/A_1"),
        (f"{ID}{'a' * (2048 - len(ID))}", "uri", f"{ID}{'a' * (2048 - len(ID))}"),
    ],
)
def test_what_is_a_name_has_one_form_and_is_that_again(text: str, kind: str, form: str) -> None:
    it = named(text)
    assert (it.kind, it.text) == (kind, form) and named(form) == it


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{LONG}.{'b' * 62}", "is no host name"),
        (f"{'a' * 64}.example", "is no host name"),
        ("a.1", "is no host name"),
        ("a-.example", "is no host name"),
        ("*.corp.example", "is a wildcard"),
        ("bücher.example", "is not in ASCII"),
        (f"{ID}{'a' * (2049 - len(ID))}", "is no SPIFFE ID of a workload"),
        (f"{ID}.", "is no SPIFFE ID of a workload"),
        (f"{ID}a/./b", "is no SPIFFE ID of a workload"),
        ("spiffe://corp.example", "is no SPIFFE ID of a workload"),
        ("spiffe://Corp.example/a", "is no trust domain"),
        (f"spiffe://{'a' * 256}/a", "is no trust domain"),
        ("https://corp.example/a", "the only URI that is certified"),
    ],
)
def test_what_is_none_is_told_why(text: str, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        named(text)


def test_a_trust_domain_is_as_long_as_the_standard_has_it() -> None:
    assert trust_domain("a" * 255) == "a" * 255
