"""Origins in their one form, as browsers write them."""

from __future__ import annotations

import pytest

from everyhop.compile.origins import NoOrigin, origin


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("https://App.Example.com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("HTTPS://app.example.com:0443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://*.Example.com:8443", "https://*.example.com:8443"),
        ("https://127.0.0.1:3000", "https://127.0.0.1:3000"),
        ("https://[::1]:3000", "https://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("*", "*"),
    ],
)
def test_an_origin_has_one_form(text: str, form: str) -> None:
    assert origin(text, credentials=False) == form


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "NULL", "https://", "https://a.test/", "https://a.test/x", "https://a.test?x", "https://a.test#x",
        "https://u@a.test", "https://a.test:", "https://a.test:0", "https://a.test:65536", "https://*", "https://*.test",
        "https://a.*.test", "https://*a.test", "//a.test", "a.test", "https://a..test", "https://[::1", "https://a.test ",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(NoOrigin) as refused:
        origin(text, credentials=False)
    assert refused.value.what and all(refused.value.mend) and refused.value.mend


@pytest.mark.parametrize(
    "text", ["*", "http://a.test", "http://*.a.test", "http://localhost.a.test", "http://128.0.0.1"]
)
def test_with_credentials_nobody_is_trusted_who_may_be_anybody(text: str) -> None:
    origin(text, credentials=False)
    with pytest.raises(NoOrigin):
        origin(text, credentials=True)


@pytest.mark.parametrize("text", ["http://localhost:3000", "http://app.localhost", "http://127.0.0.1", "http://[::1]"])
def test_a_page_of_this_host_needs_no_tls(text: str) -> None:
    assert origin(text, credentials=True) == text
