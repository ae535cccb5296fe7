"""The map of trust against tables made by hand, for all four patterns and their variants."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.explain import Sheet, about_route, drawing, page
from everyhop.trust import ATTACKERS, RouteTrust, trust_map
from everyhop.trust.attackers import Exposure
from everyhop.trust.believed import Believed
from everyhop.trust.capabilities import Capability, Setting
from everyhop.trust.kept import Missing, Standing
from everyhop.trust.map import Hop, Reachable

TODAY = dt.datetime.now(dt.UTC).date()
VERIFY = 'verify = { ca = "c.pem", name = "n" }\n'
ACCEPTANCE = f'acceptance = {{ owner = "o", why = "w", context = "legacy", since = {TODAY}, until = {TODAY + dt.timedelta(days=60)} }}\n'
VARIANTS = {
    "passthrough": 'host = "p.test"\ntls = "passthrough"\nto = ["10.0.0.1:1"]\n',
    "mutual": f'host = "a.test"\ntls = "mutual"\nto = ["10.0.0.1:1"]\npresent = "i"\n{VERIFY}',
    "reencrypt": f'host = "a.test"\ntls = "reencrypt"\nto = ["10.0.0.1:1"]\n{VERIFY}',
    "plaintext": f'host = "a.test"\ntls = "plaintext"\nto = ["10.0.0.1:1"]\n{ACCEPTANCE}',
    "same-host": 'host = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n',
    "mixed": f'host = "a.test"\ntls = "plaintext"\nto = ["10.0.0.1:1", {{ at = "10.0.0.2:1", tls = "mutual", present = "i", {VERIFY.strip()} }}]\n{ACCEPTANCE}',
    "late": f'host = "a.test"\ntls = "plaintext"\nto = [{{ at = "10.0.0.2:1", tls = "mutual", present = "i", {VERIFY.strip()} }}, "10.0.0.1:1", "127.0.0.1:1"]\n{ACCEPTANCE}',
}


def mapped(tmp_path: Path, variant: str, *, site: str = "", listener: str = "", more: str = "") -> RouteTrust:
    return mapped_route(tmp_path, VARIANTS[variant] + more, site=site, listener=listener)


def mapped_route(tmp_path: Path, route: str, *, site: str = "", listener: str = "") -> RouteTrust:
    path = tmp_path / "everyhop.toml"
    path.write_text(
        f'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n{listener}\n[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{{ chain = "x", key = "file:y" }}]\n{site}\n'
        f'[[identity]]\nname = "i"\nchain = "x"\nkey = "file:y"\n[[route]]\nname = "r<b>"\n{route}'
    )
    return trust_map(compile_file(path, files="skip").plan)[0]


# Who gets what: reads, changes, pretends; in the order of ATTACKERS: beside, tap, direct, edge, backend.
TABLE = {
    "passthrough": ("---", "---", "---", "---", "rc-"),
    "mutual": ("---", "---", "---", "rcp", "rc-"),
    "reencrypt": ("--p", "---", "--p", "rcp", "rc-"),
    "plaintext": ("rcp", "r--", "--p", "rcp", "rc-"),
    "same-host": ("---", "---", "--p", "rcp", "rcp"),
    "mixed": ("rcp", "r--", "--p", "rcp", "rc-"),
}
READERS = {
    "passthrough": ("client", "backend"),
    "mutual": ("client", "edge", "backend"),
    "reencrypt": ("client", "edge", "backend"),
    "plaintext": ("client", "edge", "backend", "the backend's network"),
    "same-host": ("client", "edge", "backend", "this host"),
    "mixed": ("client", "edge", "backend", "the backend's network"),
}


def gets(it: RouteTrust) -> tuple[str, ...]:
    """What each attacker gets, in letters."""
    return tuple(
        "".join(c if yes else "-" for c, yes in (("r", e.reads), ("c", e.changes), ("p", e.pretends)))
        for e in (it.attackers[k] for k in ATTACKERS if k in it.attackers)
    )


@pytest.mark.parametrize("variant", TABLE)
def test_who_can_read_and_what_attackers_get(tmp_path: Path, variant: str) -> None:
    it = mapped(tmp_path, variant)
    assert it.readers == READERS[variant]
    assert gets(it) == TABLE[variant]
    assert ("edge" in it.key_holders) == (variant != "passthrough")
    assert all(e.why for e in it.attackers.values())


@pytest.mark.parametrize(
    ("more", "too"),
    [
        ("", "; the backend gets it too"),
        ('mirror = { to = ["10.0.0.9:1"] }\n', "; the backend and the mirror get it too"),
        ("strip", ""),
    ],
)
def test_who_gets_a_token_is_told_with_whoever_takes_copies(tmp_path: Path, more: str, too: str) -> None:
    strip = ", strip = true" if more == "strip" else ""
    issuer = '[[issuer]]\nname = "corp"\nissuer = "https://login.test"\naudience = "api"\nkeys = { file = "k.json" }\nalgorithms = ["ES256"]\n'
    jwt = f'jwt = {{ issuer = "corp", claims = {{ scope = "api" }}{strip} }}\n'
    it = mapped(tmp_path, "mutual", listener="", site=issuer, more=jwt + more.removeprefix("strip"))
    (told,) = (b for b in it.believed if b.what.startswith("tokens of corp with"))
    assert told.why == f"whoever has such a token, or the issuer's key, gets in{too}"


def test_demands_versions_and_believed_words_show(tmp_path: Path) -> None:
    plain = mapped(tmp_path, "mutual")
    assert plain.clients == "not asked" and plain.hops[0].oldest == "1.2" and plain.believed == ()
    strict = mapped(
        tmp_path,
        "mutual",
        site='clients = { ca = "c.pem" }\npolicy = "modern"',
        listener='trusted_proxies = ["10.0.0.0/8"]\naccept_proxy = ["10.0.0.0/8"]',
    )
    assert strict.clients == "required" and strict.hops[0].oldest == "1.3"
    assert [b.who for b in strict.believed] == ["the edge", "the edge"]
    assert strict.believed[1].what == "X-Forwarded-For of 10.0.0.0/8" and "route" not in strict.believed[1].why
    table = 'trusted_proxies = { networks = ["10.0.0.0/8"], believe = ["proto", "host", "request-id"] }'
    (more,) = (b for b in mapped(tmp_path, "mutual", listener=table).believed if b.who == "the edge")
    assert more.what == "X-Forwarded-Host, X-Forwarded-Proto and X-Request-Id of 10.0.0.0/8"
    assert more.why == "backends are told it as the edge's own word; no route is chosen by it"
    assert any("its certificate" in p and "client to the edge" in p for p in strict.hops[0].proofs)
    assert [b.who for b in mapped(tmp_path, "plaintext").believed] == ["the backend"]
    assert mapped(tmp_path, "passthrough").clients == "at the backend"


def sheet(name: str = "x") -> Sheet:
    return Sheet(name, "0" * 64, "", dt.datetime.now(dt.UTC), "host", "0")


@pytest.mark.parametrize("variant", TABLE)
def test_what_is_drawn_and_written_is_inert_and_says_the_same(tmp_path: Path, variant: str) -> None:
    it = mapped(tmp_path, variant)
    text = "\n".join(about_route(it, dt.datetime.now(dt.UTC)))
    assert ("[eye! plaintext]" in text) == (variant in {"plaintext", "same-host", "mixed"})
    html = page([it], sheet("x<script>"))
    for out in (drawing(it), html):
        assert "<b>" not in out and "r&lt;b&gt;" in out
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|src=", html)


def test_a_route_is_as_open_to_clients_as_the_weakest_site_that_leads_to_it(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
        '[[site]]\nname = "strict"\nhosts = ["*.w.test", "a.test"]\ncerts = [{ chain = "x", key = "file:y" }]\nclients = { ca = "c.pem" }\n'
        '[[site]]\nname = "open"\nhosts = ["status.w.test"]\npolicy = "modern"\ncerts = [{ chain = "x", key = "file:y" }]\n'
        '[[route]]\nname = "wild"\nhost = "*.w.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
        '[[route]]\nname = "closed"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
        '[[route]]\nname = "shadowed"\nhost = "a.test"\ntls = "plaintext"\npriority = -1\nto = ["127.0.0.1:2"]\n'
    )
    wild, closed, shadowed = trust_map(compile_file(path, files="skip").plan)
    assert (wild.clients, closed.clients, shadowed.clients) == ("not asked", "required", "not asked")
    assert {s.site: s.clients for s in wild.sites} == {"strict": "required", "open": "not asked"}
    assert wild.hops[0].oldest == "1.2" and not any("client to the edge" in p for p in wild.hops[0].proofs)
    now = dt.datetime.now(dt.UTC)
    assert any("status.w.test/" in p and "not asked" in p for p in about_route(wild, now))
    assert not any("Reached as" in p for p in about_route(closed, now))
    assert any("No request reaches it" in p for p in about_route(shadowed, now))


def test_an_acceptance_is_told_with_the_addresses_that_it_covers(tmp_path: Path) -> None:
    told = about_route(mapped(tmp_path, "mixed"), dt.datetime.now(dt.UTC))
    accepted = [p for p in told if "accepted the plaintext" in p]
    assert accepted and "10.0.0.1:1" in accepted[0] and "10.0.0.2:1" not in accepted[0]


def test_a_passthrough_route_beside_a_wildcard_of_a_site_is_not_said_to_be_out_of_the_edges_reach(
    tmp_path: Path,
) -> None:
    def edge(name: str) -> RouteTrust:
        path = tmp_path / "everyhop.toml"
        path.write_text(
            'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
            f'[[site]]\nname = "s"\nhosts = ["{name}"]\ncerts = [{{ chain = "x", key = "file:y" }}]\n'
            f'[[route]]\nname = "p"\n{VARIANTS["passthrough"]}covers = ["p.test"]\n'
        )
        return trust_map(compile_file(path, files="skip").plan)[0]

    for name in ("a.test", "*.p.test", "*.other.test"):
        assert edge(name).key_holders == ("backend",) and not edge(name).attackers["edge"].reads
    held = edge("*.test")
    assert held.key_holders == ("edge", "backend") and "*.test" in held.attackers["edge"].why
    assert gets(held) == ("---", "---", "---", "rc-", "rc-")


def test_a_backend_that_is_sent_a_proxy_header_believes_whoever_reaches_it(tmp_path: Path) -> None:
    blind = mapped(tmp_path, "passthrough")
    assert blind.believed == () and not blind.attackers["direct"].pretends
    told = mapped(tmp_path, "passthrough", more='send_proxy = "v2"\n')
    assert [b.who for b in told.believed] == ["the backend"] and "PROXY" in told.believed[0].what
    assert gets(told) == ("--p", "---", "--p", "---", "rc-")


def test_backends_that_differ_are_told_apart_and_drawn_by_the_weakest(tmp_path: Path) -> None:
    it = mapped(tmp_path, "late")
    assert it.backends[0] == ("10.0.0.1:1", "plaintext")
    assert it.readers == ("client", "edge", "backend", "the backend's network", "this host")
    text = "\n".join(about_route(it, dt.datetime.now(dt.UTC)))
    html = page([it], sheet())
    for out in (text, html):
        assert "othing is encrypted" not in out and "mutual to 10.0.0.2:1" in out
    assert "[eye! plaintext]-- 10.0.0.1:1" in text
    for out in (text, html, drawing(it)):
        assert all(at in out for at, _ in it.backends), "none is left out"


def test_who_may_pass_is_said(tmp_path: Path) -> None:
    asks = 'clients = { ca = "c.pem", mode = "ask" }'
    assert any("if it has one" in p for p in mapped(tmp_path, "mutual", site=asks).hops[0].proofs)
    it = mapped(tmp_path, "mutual", site=asks, more='allow = { clients = ["boss.test"] }\n')
    assert not any("if it has one" in p for p in it.hops[0].proofs)
    assert any("boss.test" in p for p in about_route(it, dt.datetime.now(dt.UTC)))
    assert "boss.test" in page([it], sheet())


# Keys are held by; the hop to the backend is encrypted, and the oldest TLS on it; the backend is this host.
HELD = {
    "mutual": (("edge", "backend"), True, "1.2", False),
    "reencrypt": (("edge", "backend"), True, "1.2", False),
    "plaintext": (("edge",), False, None, False),
    "same-host": (("edge",), False, None, True),
    "mixed": (("edge",), False, None, False),
}


@pytest.mark.parametrize("variant", HELD)
def test_who_holds_keys_and_what_the_hop_to_the_backend_is(tmp_path: Path, variant: str) -> None:
    it = mapped(tmp_path, variant)
    front, back = it.hops
    assert (it.key_holders, back.encrypted, back.oldest, it.same_host) == HELD[variant]
    assert front.encrypted and front.oldest == "1.2"


def test_where_tls_passes_through_the_one_hop_is_encrypted_and_no_version_is_promised(tmp_path: Path) -> None:
    it = mapped(tmp_path, "passthrough")
    assert [(h.between, h.encrypted, h.oldest) for h in it.hops] == [(("client", "backend"), True, None)]
    assert not it.same_host and it.allowed is None and it.sites == ()


def test_a_plaintext_backend_believes_whoever_can_reach_it_there(tmp_path: Path) -> None:
    across, here = (mapped(tmp_path, v).believed[0].why for v in ("plaintext", "same-host"))
    assert across.startswith("anyone who reaches it") and here.startswith("any process on this host")


def test_what_a_route_matches_beside_its_hosts_is_written_as_a_person_would(tmp_path: Path) -> None:
    assert mapped(tmp_path, "passthrough").matches == ""
    assert mapped(tmp_path, "mutual").matches == "/"
    assert mapped(tmp_path, "mutual", more='path_exact = "/x"\n').matches == "=/x"
    more = 'method = ["GET", "POST"]\npath = "/x"\nheaders = { x-a = "1", x-b = "2" }\n'
    assert mapped(tmp_path, "mutual", more=more).matches == "GET,POST /x x-a=1,x-b=2"


@pytest.mark.parametrize(
    "kind", [Believed, Capability, Exposure, Hop, Missing, Reachable, RouteTrust, Setting, Standing]
)
def test_what_is_said_of_trust_stays_as_it_was_said(kind: type) -> None:
    """Nobody further on can mend the map."""
    made = kind(**{field.name: None for field in dataclasses.fields(kind)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, "")
