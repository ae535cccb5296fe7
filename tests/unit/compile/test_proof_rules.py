"""The rules of what is proven behind the edge and beside it: what each hop must say, what it says for nothing, and where that is told."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.refusals import Finding
from tests.kit.findings import findings

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test", "b.test"]
certs = [{ chain = "x", key = "file:y" }]
[[identity]]
name = "i"
chain = "ic"
key = "file:ik"
[dns]
servers = ["10.0.0.53"]
"""
PIN = f'"sha256:{"ab" * 32}"'
ISSUER = '[[issuer]]\nname = "corp"\nissuer = "https://i.test"\naudience = "api"\nalgorithms = ["ES256"]\n'
WORD = 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-26, until = 2027-02-01 }\n'


def route(more: str, name: str = "r", host: str = "a.test") -> str:
    return f'[[route]]\nname = "{name}"\nhost = "{host}"\n{more}\n'


def found(text: str) -> tuple[list[Finding], list[str]]:
    whole = HEAD + text
    return findings(whole, NOW), whole.splitlines()


def slugs(text: str) -> list[str]:
    return [f.slug for f in found(text)[0]]


def told(text: str) -> tuple[Finding, str]:
    """The one thing that is found, and what it points at, to the end of the line."""
    ((it,), lines) = found(text)
    return it, lines[it.place.line - 1][it.place.column - 1 :]


@pytest.mark.parametrize(
    ("at", "verify", "slug"),
    [
        ("10.0.0.1:1", f"pin = {PIN}", None),
        ("10.0.0.1:1", f"pin = [{PIN}, {PIN}]", None),
        ("10.0.0.1:1", 'ca = "c"', "hop/no-name"),
        ("10.0.0.1:1", 'ca = "c", name = "n"', None),
        ("10.0.0.1:1", 'ca = "c", spiffe = "spiffe://td/x"', None),
        ("n.test:1", 'ca = "c"', None),
        ("n.test:1", "", "hop/no-roots"),
        ("unix:/run/x", f"pin = {PIN}", "hop/no-name"),
        ("unix:/run/x", 'ca = "c", spiffe = "spiffe://td/x"', "hop/no-name"),
        ("unix:/run/x", f'pin = {PIN}, name = "n"', None),
        ("srv:_https._tcp.n.test", 'ca = "c"', "hop/no-name"),
        ("srv:_https._tcp.n.test", f"pin = {PIN}", None),
        ("srv:_https._tcp.n.test", 'ca = "c", spiffe = "spiffe://td/x"', None),
        ("n.test:1", f'ca = "c", pin = {PIN}', "hop/pin"),
        ("n.test:1", f'crl = "l", pin = {PIN}', "hop/pin"),
        ("n.test:1", "pin = []", "hop/pin"),
        ("n.test:1", f'pin = [{PIN}, "sha256:ab"]', "hop/pin"),
        ("n.test:1", f'pin = {PIN}, spiffe = "spiffe://td/x"', "hop/spiffe-id"),
        ("n.test:1", 'ca = "c", spiffe = "td/x"', "hop/spiffe-id"),
    ],
)
def test_a_backend_is_known_by_roots_and_a_name_or_by_what_it_is(at: str, verify: str, slug: str | None) -> None:
    text = route(f'tls = "reencrypt"\nto = ["{at}"]\nverify = {{ {verify} }}')
    assert slugs(text) == ([slug] if slug else [])
    own = route(f'tls = "reencrypt"\nto = [{{ at = "{at}", verify = {{ {verify} }} }}]')
    assert slugs(own) == ([slug] if slug else [])


def test_of_pins_the_one_that_is_none_is_pointed_at() -> None:
    it, at = told(route(f'tls = "reencrypt"\nto = ["n.test:1"]\nverify = {{ pin = [\n{PIN},\n"sha256:ab"] }}'))
    assert it.slug == "hop/pin" and at.startswith('"sha256:ab"')
    it, at = told(route('tls = "reencrypt"\nto = ["n.test:1"]\nverify = { pin = "sha256:ab" }'))
    assert it.slug == "hop/pin" and at.startswith('"sha256:ab"')


def test_a_name_is_offered_for_an_address_and_who_it_is_for_a_service() -> None:
    it, _ = told(route('tls = "reencrypt"\nto = ["10.0.0.1:1"]\nverify = { ca = "c" }'))
    assert any('name = "10.0.0.1"' in mend for mend in it.mend) and "what DNS answers" not in it.what
    it, _ = told(route('tls = "reencrypt"\nto = ["srv:_https._tcp.n.test"]\nverify = { ca = "c" }'))
    assert len(it.mend) == 1 and it.what.endswith("and what DNS answers says where it is, not who")
    for known, word in ((f"pin = {PIN}", "pin"), ('ca = "c", spiffe = "spiffe://td/x"', "ca = ..., spiffe")):
        it, _ = told(route(f'tls = "reencrypt"\nto = ["unix:/x"]\nverify = {{ {known} }}'))
        assert it.mend[0].startswith(f"verify = {{ {word} = ..., name")


VERIFY = 'verify = { ca = "c", name = "n" }\n'


@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ('tls = "mutual"\nto = ["10.0.0.1:1"]\npresent = "i"\nrequire_post_quantum = true', None),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\nrequire_post_quantum = true', "route/nothing-to-do"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1", "127.0.0.1:2"]\nrequire_post_quantum = true', "route/nothing-to-do"),
        (
            'tls = "plaintext"\nto = ["127.0.0.1:1", { at = "10.0.0.1:1", tls = "reencrypt" }]\nrequire_post_quantum = true',
            None,
        ),
        (
            'tls = "plaintext"\nto = ["127.0.0.1:1", { at = "127.0.0.1:2", require_post_quantum = true }]',
            "route/nothing-to-do",
        ),
        (
            'tls = "plaintext"\nto = ["127.0.0.1:1", { at = "127.0.0.1:2", require_post_quantum = false }]',
            "route/nothing-to-do",
        ),
        (
            'tls = "reencrypt"\nto = ["10.0.0.1:1", { at = "10.0.0.2:1", require_post_quantum = true }]',
            None,
        ),
    ],
)
def test_a_word_on_the_key_exchange_is_told_once_where_there_is_none(more: str, slug: str | None) -> None:
    verify = "" if 'tls = "plaintext"\nto' in more and "reencrypt" not in more else VERIFY
    assert slugs(route(f"{more}\n{verify}")) == ([slug] if slug else [])


@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ('tls = "mutual"\npresent = "i"\ndemand_asks = true', None),
        ('tls = "mutual"\npresent = "i"\ndemand_asks = false', None),
        ('tls = "reencrypt"\ndemand_asks = false', "route/nothing-to-do"),
        ('tls = "mutual"\npresent = "i"\ndemand_asks = false\ndata = "major-incident"', "hop/asking-not-demanded"),
        ('tls = "mutual"\npresent = "i"\ndemand_asks = true\ndata = "major-incident"', None),
    ],
)
def test_a_route_says_whether_backends_ask_where_it_shows_them_something(more: str, slug: str | None) -> None:
    assert slugs(route(f'{more}\nto = ["10.0.0.1:1"]\n{VERIFY}')) == ([slug] if slug else [])


@pytest.mark.parametrize("tls", ["plaintext", "reencrypt"])
@pytest.mark.parametrize("word", ["true", "false"])
def test_a_backend_that_is_shown_nothing_does_not_ask(tls: str, word: str) -> None:
    at = "127.0.0.1:1" if tls == "plaintext" else "10.0.0.1:1"
    verify = VERIFY if tls == "reencrypt" else ""
    text = route(f'tls = "{tls}"\nto = [{{ at = "{at}", demand_asks = {word} }}]\n{verify}')
    it, at = told(text)
    assert it.slug == "route/nothing-to-do" and at.startswith("demand_asks")


def test_a_backend_that_is_weaker_than_its_route_is_told_and_one_that_is_stronger_is_not() -> None:
    def backends(tls: str, own: str) -> list[str]:
        more = f'{VERIFY}present = "i"\n' if "mutual" in (tls, own) else VERIFY
        word = WORD if "plaintext" in (tls, own) else ""
        to = f'["10.0.0.1:1", {{ at = "10.0.0.2:1", tls = "{own}" }}]'
        return slugs(route(f'tls = "{tls}"\nto = {to}\n{more}{word}'))

    for tls, own in (("mutual", "reencrypt"), ("mutual", "plaintext"), ("reencrypt", "plaintext")):
        assert "hop/weaker-than-route" in backends(tls, own)
        assert "hop/weaker-than-route" not in backends(own, tls)
    assert backends("reencrypt", "reencrypt") == []


@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\nupstream_protocol = "auto"', "hop/nothing-negotiates"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\nupstream_protocol = "h2"', None),
        (f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\nupstream_protocol = "auto"\n{VERIFY}', None),
    ],
)
def test_a_backend_chooses_its_protocol_where_it_has_tls_to_choose_it_in(more: str, slug: str | None) -> None:
    assert slugs(route(more)) == ([slug] if slug else [])


@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ("", "hop/plaintext-without-acceptance"),
        (WORD, None),
        (f'data = "major-incident"\n{WORD}', "hop/major-incident-in-plaintext"),
        (f'data = "major-incident"\ndespite = "major-incident"\n{WORD}', None),
        (f'data = "internal"\n{WORD}', None),
    ],
)
def test_somebody_signs_for_plaintext_and_says_so_of_what_must_not_leak(more: str, slug: str | None) -> None:
    assert slugs(route(f'tls = "plaintext"\nto = ["10.0.0.1:1"]\n{more}')) == ([slug] if slug else [])


@pytest.mark.parametrize(("at", "local"), [("localhost:1", True), ("10.0.0.1:1", False), ("localhost.test:1", False)])
def test_who_writes_localhost_is_told_of_its_address(at: str, local: bool) -> None:
    it, _ = told(route(f'tls = "plaintext"\nto = ["{at}"]'))
    assert any("127.0.0.1 leads nowhere else" in mend for mend in it.mend) == local
    beside = f'[[collector]]\nname = "c"\ntls = "plaintext"\nto = ["{at}"]\n'
    it, _ = told(beside)
    assert any("127.0.0.1 leads nowhere else" in mend for mend in it.mend) == local


ALL = ("collector", "store", "authorizer")
PATH = ("", 'path = "/x"\n')


def beside(kind: str, more: str) -> str:
    """One of them, in use."""
    used = {
        "collector": "",
        "store": '[[limit]]\nname = "x"\nrate = "1/s"\nby = ["client-address"]\nstore = "it"\n',
        "authorizer": "",
    }[kind]
    said = {
        "collector": "",
        "store": 'limited_by = ["x"]\n',
        "authorizer": 'ask = "it"\npaths = "strict"\n',
    }[kind]
    text = used + route(f'tls = "plaintext"\nto = ["127.0.0.1:1"]\n{said}')
    return f'{text}[[{kind}]]\nname = "it"\n{PATH[kind == "authorizer"]}{more}\n'


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("more", "slug"),
    [
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]', None),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\noff_host = true', "hop/plaintext-without-acceptance"),
        (f'tls = "plaintext"\nto = ["127.0.0.1:1"]\noff_host = true\n{WORD}', None),
        ('tls = "plaintext"\nto = ["10.0.0.1:1"]', "hop/plaintext-without-acceptance"),
        (f'tls = "plaintext"\nto = ["127.0.0.1:1"]\n{WORD}', "acceptance/needless"),
        (f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\n{VERIFY}', None),
        (f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\n{VERIFY}require_post_quantum = true', None),
        (f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\n{VERIFY}demand_asks = true', "hop/nothing-to-prove"),
        (f'tls = "mutual"\npresent = "i"\nto = ["10.0.0.1:1"]\n{VERIFY}demand_asks = true', None),
        (f'tls = "mutual"\nto = ["10.0.0.1:1"]\n{VERIFY}', "hop/no-identity"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\npresent = "i"', "hop/nothing-to-prove"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\nverify = { ca = "c" }', "hop/nothing-to-prove"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1"]\nrequire_post_quantum = true', "hop/nothing-to-prove"),
        ('tls = "plaintext"\nto = ["127.0.0.1:1", "127.0.0.1:1"]', "hop/twice"),
    ],
)
def test_the_way_to_who_is_beside_is_held_to_what_a_way_to_a_backend_is(kind: str, more: str, slug: str | None) -> None:
    assert slugs(beside(kind, more)) == ([slug] if slug else [])


@pytest.mark.parametrize(
    ("keys", "slug"),
    [
        ('{ from = "https://k.test/k", verify = { ca = "system" } }', None),
        ('{ from = "https://k.test/k" }', "hop/no-roots"),
        ('{ from = "http://127.0.0.1:1/k" }', None),
        ('{ from = "http://k.test/k" }', "issuer/keys-in-the-clear"),
        ('{ from = "http://127.0.0.1:1/k", present = "i" }', "hop/nothing-to-prove"),
        ('{ file = "k", from = "https://k.test/k", verify = { ca = "system" } }', "issuer/keys"),
        ("{}", "issuer/keys"),
        ('{ from = "https://me@k.test/k" }', "issuer/keys"),
        ('{ from = "ftp://k.test/k" }', "issuer/keys"),
        ('{ file = "k", verify = { ca = "c" } }', "hop/nothing-to-prove"),
        ('{ file = "k", require_post_quantum = true }', "hop/nothing-to-prove"),
    ],
)
def test_keys_of_issuers_come_from_a_file_or_from_who_is_known(keys: str, slug: str | None) -> None:
    text = f"{ISSUER}keys = {keys}\n" + route('tls = "plaintext"\nto = ["127.0.0.1:1"]\njwt = { issuer = "corp" }')
    assert {*slugs(text)} == ({slug} if slug else set())


def test_of_an_id_and_its_roots_the_trust_domain_is_one() -> None:
    agent = 'from = "spiffe"\nagent = "unix:/run/a.sock"\nid = "spiffe://td/edge"\n'
    come = f'[[identity]]\nname = "w"\n{agent}'
    for id_, ca, fine in (
        ("spiffe://td/x", "identity:w", True),
        ("spiffe://other/x", "identity:w", False),
        ("spiffe://other/x", "identity:w/other", True),
        ("spiffe://td/x", "identity:w/other", False),
        ("spiffe://other/x", "file.pem", True),
    ):
        text = come + route(f'tls = "reencrypt"\nto = ["n.test:1"]\nverify = {{ ca = "{ca}", spiffe = "{id_}" }}')
        assert ("identity/other-domain" not in slugs(text)) == fine, (id_, ca)


@pytest.mark.parametrize("word", ['present = "i"', "require_post_quantum = true"])
def test_what_says_nothing_of_keys_in_a_file_is_marked_at_its_name(word: str) -> None:
    text = f'{ISSUER}keys = {{ file = "k", {word} }}\n'
    findings, lines = found(text + route('tls = "plaintext"\nto = ["127.0.0.1:1"]\njwt = { issuer = "corp" }'))
    (it,) = [f for f in findings if f.slug == "hop/nothing-to-prove"]
    assert lines[it.place.line - 1][it.place.column - 1 :].startswith(word)


def test_a_name_of_other_letters_is_told_as_certificates_have_it_and_what_is_none_is_not() -> None:
    for name, mend in (("bücher.test", '"xn--bcher-kva.test"'), ("a b", "write the name in the backend's certificate")):
        text = route(f'tls = "reencrypt"\nto = ["n.test:1"]\nverify = {{ ca = "c", name = "{name}" }}')
        (it,) = [f for f in found(text)[0] if f.slug == "hop/no-name"]
        assert mend in it.mend[0], it.mend
