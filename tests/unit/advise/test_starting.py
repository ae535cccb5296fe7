"""What `everyhop new` writes is fit to run as it stands, but for what only a person can say."""

from __future__ import annotations

import itertools

import pytest

from everyhop.advise.starting import starting
from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.model.words import Pattern
from everyhop.source.toml_form import formed

PATTERNS: tuple[Pattern, ...] = ("mutual", "reencrypt", "plaintext", "passthrough")
HOSTS = ("shop.example.com", "*.example.com")
BACKENDS = (("10.0.0.5:8443",), ("b.internal:1", "c.internal:2"), ("127.0.0.1:3000",), ("unix:/run/a.sock",))


@pytest.mark.parametrize(("tls", "host", "to"), [*itertools.product(PATTERNS, HOSTS, BACKENDS)])
def test_a_file_to_start_from_passes_and_does_what_was_asked_for(tls: Pattern, host: str, to: tuple[str, ...]) -> None:
    text = starting(host, to, tls)
    assert formed(text) == text
    try:
        plan = compile_file("everyhop.toml", text=text, files="skip").plan
    except Refused as e:
        here = to[0].startswith(("127.", "unix:"))
        assert tls == "plaintext" and not here
        assert {f.slug for f in e.findings if f.severity == "refused"} == {"hop/plaintext-without-acceptance"}
        return
    (route,) = plan.routes
    assert route.hosts == [host]
    assert route.way.ends == ("at_backend" if tls == "passthrough" else "at_edge")
    if route.way.ends == "at_edge":
        assert {b.hop.tls for b in route.way.backends} == {tls}
        assert {str(b.at) for b in route.way.backends} == {*to}
    assert {it.name for it in plan.listeners} == {"public", "web"}
