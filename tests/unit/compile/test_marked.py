"""A finding stands at the very word that is wrong: one host of several, one backend's address, a key; never their table."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding, merged, render
from everyhop.source.document import Place

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "edge"
hosts = ["a.test", "b.test", "*.w.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
[[identity]]
name = "i"
chain = "i.pem"
key = "file:i.key"
"""
VERIFY = 'verify = { ca = "ca.pem", name = "n" }\n'


def route(name: str, more: str, tls: str = "plaintext", to: str = '["127.0.0.1:1"]', host: str = '"a.test"') -> str:
    return f'[[route]]\nname = "{name}"\nhost = {host}\ntls = "{tls}"\nto = {to}\n{more}\n'


PASS = route("p", "", tls="passthrough", host='["x.test", "b.test", "q.w.test"]')
CASES = {
    "a backend in its long form": (
        route("r", "", to='["127.0.0.1:1", { at = "nowhere" }]'),
        "hop/address",
        ['"nowhere"'],
    ),
    "a backend that is there twice": (
        route("r", "", to='["127.0.0.1:1", { at = "127.0.0.1:1" }]'),
        "hop/twice",
        ['"127.0.0.1:1"', '"127.0.0.1:1"'],
    ),
    "the backend's own pattern": (
        route("r", VERIFY, to='["127.0.0.1:1", { at = "127.0.0.1:2", tls = "mutual" }]', tls="reencrypt"),
        "hop/no-identity",
        ['"mutual"'],
    ),
    "a table without the key that it needs": (
        route("r", 'verify = { name = "n" }\n', tls="reencrypt"),
        "hop/no-roots",
        ["verify"],
    ),
    "the backend's own identity": (
        route("r", VERIFY, to='[{ at = "127.0.0.1:2", present = "other" }]', tls="reencrypt"),
        "config/unknown-name",
        ['"other"'],
    ),
    "an identity that nobody is shown": (
        route("r", VERIFY, to='[{ at = "127.0.0.1:2", present = "i" }]', tls="reencrypt"),
        "route/nothing-to-do",
        ['"i"'],
    ),
    "one host of several without a site": (
        route("r", "", host='["a.test", "nowhere.test"]'),
        "route/no-site",
        ['"nowhere.test"'],
    ),
    "one host of several that is passed through": (
        PASS + route("r", "", host='["a.test", "b.test"]'),
        "route/passed-and-terminated",
        ['"b.test"', '"b.test"'],
    ),
    "one host of two passthrough routes": (
        PASS + route("o", "", tls="passthrough", host='["y.test", "x.test"]'),
        "route/tie",
        ['"x.test"', '"x.test"'],
    ),
    "a site's wildcard": (PASS, "route/wildcard-covers-passthrough", ['"q.w.test"', '"*.w.test"']),
    "the path by which two routes tie": (
        route("r", 'path = "/x"\n') + route("s", 'path_exact = "/y"\n') + route("t", 'path = "/x"\n'),
        "route/tie",
        ['"/x"', '"/x"'],
    ),
    "one method of several": (route("r", 'method = ["GET", "put"]\n'), "config/wrong-value", ['"put"']),
    "a header's name": (route("r", 'headers = { x-a = "1", "x b" = "2" }\n'), "config/wrong-value", ['"x b"']),
    "a header's value": (route("r", 'headers = { x-a = "1", x-b = " 2" }\n'), "config/wrong-value", ['" 2"']),
    "a header's name with an escape": (
        route("r", 'headers = { "x\\u0020b" = "2" }\n'),
        "config/wrong-value",
        ['"x\\u0020b"'],
    ),
    "a host of two sites": (
        '[[site]]\nname = "two"\nhosts = ["z.test", "b.test"]\ncerts = [{ chain = "edge.pem", key = "file:edge.key" }]\n'
        + route("r", ""),
        "site/host-twice",
        ['"b.test"', '"b.test"'],
    ),
    "how HTTP is read, on a stream": (
        route("r", 'protocol = "tcp"\nanswers = "lenient"\n'),
        "route/http-on-tcp",
        ["answers"],
    ),
    "a limit of requests, on a stream": (
        route("r", 'protocol = "tcp"\nlimits = { connect_s = 2, first_byte_s = 3 }\n'),
        "route/http-on-tcp",
        ["first_byte_s"],
    ),
    "how HTTP is read, where TLS passes through": (
        route("r", 'answers = "lenient"\n', tls="passthrough", host='"x.test"'),
        "route/layer-7-on-passthrough",
        ["answers"],
    ),
    "a limit of requests, where TLS passes through": (
        route("r", "limits = { connect_s = 2, body_bytes = 3 }\n", tls="passthrough", host='"x.test"'),
        "route/layer-7-on-passthrough",
        ["body_bytes"],
    ),
    "whom a client proves to be, where TLS passes through": (
        route("r", 'allow = { clients = ["c"] }\n', tls="passthrough", host='"x.test"'),
        "route/layer-7-on-passthrough",
        ["clients"],
    ),
    "an acceptance that nobody needs": (
        route(
            "r", 'acceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = 2027-01-01 }\n'
        ),
        "acceptance/needless",
        ["acceptance"],
    ),
}


def found(tmp_path: Path, text: str) -> tuple[list[Finding], str]:
    path = tmp_path / "everyhop.toml"
    path.write_text(HEAD + text)
    try:
        return compile_file(path, files="skip").findings, HEAD + text
    except Refused as e:
        return e.findings, HEAD + text


def at(place: Place, text: str) -> str:
    return text.split("\n")[place.line - 1][place.column - 1 :][: place.width]


@pytest.mark.parametrize("case", CASES)
def test_what_is_marked_is_what_is_wrong(tmp_path: Path, case: str) -> None:
    text, slug, marks = CASES[case]
    findings, whole = found(tmp_path, text)
    (it,) = (f for f in findings if f.slug == slug)
    assert [at(p, whole) for p in (it.place, *it.also)] == marks


def test_the_addresses_that_cross_a_network_are_named_and_no_other(tmp_path: Path) -> None:
    findings, _ = found(tmp_path, route("r", "", to='["127.0.0.1:1", "10.0.0.1:1", "10.0.0.2:1"]'))
    (it,) = (f for f in findings if f.slug == "hop/plaintext-without-acceptance")
    assert "to 10.0.0.1:1, 10.0.0.2:1 and names no acceptance" in it.what


def test_two_keys_that_are_missing_in_one_table_are_told_both(tmp_path: Path) -> None:
    findings, _ = found(tmp_path, '[[route]]\nname = "r"\n')
    assert sorted(f.what for f in findings) == [f"route 'r' has no {key!r}" for key in ("host", "tls", "to")]


def one_told(findings: list[Finding], slug: str) -> str:
    (it,) = (f for f in merged(findings) if f.slug == slug)
    return render([it], {})


def test_what_is_the_same_but_for_a_name_is_told_once_and_counts_what_it_counts(tmp_path: Path) -> None:
    bare = '["b1.test:1", "b2.test:1"]'
    findings, _ = found(tmp_path, route("one", "", tls="reencrypt", to=bare))
    assert "(and 1 more places)" in one_told(findings, "hop/no-roots"), "both are of one route"
    two = [route(name, f'path = "/{name}"\n', tls="reencrypt", to='["b1.test:1"]') for name in ("one", "two")]
    findings, _ = found(tmp_path, "".join(two))
    assert "(and 1 more routes)" in one_told(findings, "hop/no-roots")


def test_what_differs_by_more_than_the_things_name_is_told_each(tmp_path: Path) -> None:
    """A route's name that stands there as something else, too, is no reason to take two findings for one."""
    routes = [route(name, f'{VERIFY}path = "/{name}"\npresent = "{name}"\n', tls="mutual") for name in ("one", "two")]
    findings, _ = found(tmp_path, "".join(routes))
    told = [f.what for f in merged(findings) if f.slug == "config/unknown-name"]
    assert len(told) == 2 and "'one'" in told[0] and "'two'" in told[1]
