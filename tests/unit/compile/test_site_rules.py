"""The rules of sites whose names are in their certificates, of the sites behind a promise, and of ways in that demand less."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.compile.rules_names import carried
from everyhop.demo.certificates import Authority
from everyhop.errors import Refused
from everyhop.plan import Plan
from everyhop.refusals import Finding

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)


def text(hosts: str, *certs: str, route: str = 'host = "a.test"', site: str = "") -> str:
    pairs = ", ".join(f'{{ chain = "{c}.pem", key = "file:{c}.key" }}' for c in certs)
    return (
        f'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\n{hosts}\n'
        f'certs = [{pairs}]\n{site}[[route]]\nname = "r"\n{route}\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    )


def compiled(folder: Path, given: str) -> tuple[Plan | None, list[Finding]]:
    path = folder / "sites.toml"
    path.write_text(given)
    try:
        done = compile_file(path)
    except Refused as e:
        return None, list(e.findings)
    return done.plan, list(done.findings)


def found(folder: Path, given: str, slug: str) -> list[Finding]:
    return [f for f in compiled(folder, given)[1] if f.slug == slug]


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    made = Authority(tmp_path, "CA")
    made.leaf("one", "a.test", "*.w.test")
    made.leaf("two", "b.test")
    made.leaf("address", "10.0.0.1")
    made.leaf("many", *(f"n{i}.test" for i in range(6)))
    return made


def test_a_host_that_a_shown_identity_does_not_carry_is_refused_with_the_identity_s_name(ca: Authority) -> None:
    shown = (
        text('hosts = ["a.test", "c.test"]').replace("certs = []", 'certs = [{ identity = "i" }]')
        + '[[identity]]\nname = "i"\nchain = "one.pem"\nkey = "file:one.key"\n'
    )
    (told,) = found(ca.folder, shown, "certificate/host-not-covered")
    assert told.what == "the certificate of identity 'i' does not carry c.test (it carries a.test, *.w.test)"
    assert shown.splitlines()[told.place.line - 1][told.place.column - 1 :].startswith('"c.test"')


def test_a_site_that_names_no_hosts_has_those_of_its_first_certificate_and_no_others(ca: Authority) -> None:
    def hosts(given: str) -> list[str]:
        plan, refused = compiled(ca.folder, given)
        assert plan is not None, refused
        return plan.sites[0].hosts

    assert hosts(text("", "one", "two")) == ["*.w.test", "a.test"]
    assert hosts(text('hosts = ["a.test"]', "one")) == ["a.test"], "the file's word goes first"
    # Unread, its names are not known, and none is made up.
    (ca.folder / "bare.toml").write_text(text("", "one"))
    unread = compile_file(ca.folder / "bare.toml", files="skip")
    assert unread.reservation


def test_a_certificate_without_a_host_name_gives_its_site_none_and_that_is_refused(ca: Authority) -> None:
    (told,) = found(ca.folder, text("", "address"), "certificate/host-not-covered")
    assert told.what == "the certificate of site 's' names no host"
    assert found(ca.folder, text("", "one"), "certificate/host-not-covered") == []


def test_a_host_that_a_certificate_lacks_is_told_with_the_names_that_it_has(ca: Authority) -> None:
    (told,) = found(ca.folder, text('hosts = ["a.test"]', "many"), "certificate/host-not-covered")
    assert (
        "many.pem does not carry a.test (it carries n0.test, n1.test, n2.test, n3.test, n4.test, n5.test)" in told.what
    )
    assert carried(tuple(f"n{n}.test" for n in range(99))).endswith("n19.test and 79 more"), (
        "what is left out is counted"
    )
    assert told.place.line == 7
    (told,) = found(ca.folder, text('hosts = [\n"b.test",\n"a.test"]', "two"), "certificate/host-not-covered")
    assert "does not carry a.test (it carries b.test)" in told.what and told.place.line == 9


def test_a_certificate_that_cannot_be_read_hides_nothing_of_the_one_beside_it(ca: Authority) -> None:
    slugs = [f.slug for f in compiled(ca.folder, text('hosts = ["a.test"]', "absent", "two"))[1]]
    assert slugs == ["certificate/unreadable", "certificate/host-not-covered"]


def test_two_findings_of_one_contradiction_point_at_both_places() -> None:
    def told(more: str, slug: str) -> Finding:
        given = text('hosts = ["a.test"]', "x") + more
        with pytest.raises(Refused) as refusal:
            compile_file("sites.toml", now=NOW, files="skip", text=given)
        (one,) = [f for f in refusal.value.findings if f.slug == slug]
        lines = given.splitlines()
        assert one.also, one
        said.append([lines[p.line - 1] for p in (one.place, *one.also)])
        return one

    said: list[list[str]] = []
    again = '[[site]]\nname = "t"\nhosts = ["a.test"]\ncerts = [{ chain = "y", key = "file:y" }]\n'
    told(again, "site/host-twice")
    assert said.pop() == ['hosts = ["a.test"]'] * 2
    told('path = "/x"\npath_exact = "/x"\n', "route/path")
    assert said.pop() == ['path_exact = "/x"', 'path = "/x"']
    told('requires = ["encrypted-to-backend"]\n', "route/requirement-unmet")
    assert said.pop() == ['requires = ["encrypted-to-backend"]', 'tls = "plaintext"']


WAYS = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "strict"
hosts = ["*.w.test"]
certs = [{ chain = "x", key = "file:y" }]
STRICT
[[site]]
name = "status"
hosts = ["status.w.test"]
certs = [{ chain = "x", key = "file:y" }]
LAX
[[route]]
name = "r"
host = HOST
tls = "plaintext"
to = ["127.0.0.1:1"]
"""


def weaker(strict: str, lax: str, host: str = '"*.w.test"') -> list[Finding]:
    given = WAYS.replace("STRICT", strict).replace("LAX", lax).replace("HOST", host)
    done = compile_file("ways.toml", now=NOW, files="skip", text=given)
    return [f for f in done.findings if f.slug == "route/reached-through-weaker-site"]


ASKS, DEMANDS = 'clients = { ca = "d", mode = "ask" }', 'clients = { ca = "d" }'


@pytest.mark.parametrize(
    ("strict", "lax", "said"),
    [
        (DEMANDS, "", "which asks clients for no certificate; site 'strict' demands a certificate"),
        (DEMANDS, ASKS, "which takes clients without one; site 'strict' demands a certificate"),
        (ASKS, "", "which asks clients for no certificate; site 'strict' asks for one"),
    ],
)
def test_a_way_in_that_demands_less_is_told_with_what_each_site_demands(strict: str, lax: str, said: str) -> None:
    (told,) = weaker(strict, lax)
    assert told.what.startswith("route 'r' is also reached as status.w.test")
    assert told.what.endswith(f"through site 'status', {said}")
    lines = WAYS.splitlines()
    assert lines[told.also[0].line - 1] == 'name = "status"'
    assert "give site 'status' the clients of site 'strict'" in told.mend[0]
    assert any("status.w.test" in mend for mend in told.mend[1:])


def test_a_way_in_that_demands_as_much_or_is_meant_is_silence() -> None:
    for strict, lax in (("", ""), (ASKS, ASKS), (DEMANDS, DEMANDS), ("", ASKS), (ASKS, DEMANDS)):
        assert weaker(strict, lax) == [], (strict, lax)
    assert weaker(DEMANDS, "", '["*.w.test", "status.w.test"]') == []


@pytest.mark.parametrize("requirement", ["end-to-end-confidentiality", "blind-proxy", "survives-a-taken-proxy"])
@pytest.mark.parametrize(
    ("host", "site", "held"),
    [
        ("*.p.test", "x.p.test", True),
        ("*.p.test", "x.y.p.test", True),
        ("x.p.test", "*.p.test", True),
        ("*.p.test", "*.p.test.test", False),
        ("x.y.p.test", "*.p.test", False),
    ],
)
def test_that_nobody_else_can_read_is_refused_where_the_edge_holds_a_key_for_such_a_name(
    requirement: str, host: str, site: str, held: bool
) -> None:
    passed = f'host = "{host}"\nrequires = ["{requirement}"]\n'
    if site == "*.p.test" and held:
        passed += f'covers = ["{host}"]\n'
    given = text(f'hosts = ["{site}"]', "x", route=passed).replace('"plaintext"', '"passthrough"')
    try:
        findings = compile_file("keys.toml", now=NOW, files="skip", text=given).findings
    except Refused as e:
        findings = e.findings
    told = [f.what for f in findings if f.slug == "route/requirement-not-configured"]
    assert told == (
        [
            f"route 'r' requires {requirement}: the edge holds a key for {site} in site 's', and with it could end the "
            "TLS of this route"
        ]
        if held
        else []
    )


def test_what_a_nameless_certificate_cannot_give_is_told_at_the_first_of_a_site(ca: Authority) -> None:
    (told,) = found(ca.folder, text("", "address", "one"), "certificate/host-not-covered")
    row = text("", "address", "one").splitlines()[told.place.line - 1]
    assert row[told.place.column - 1 :].startswith('"address.pem"')


def test_of_the_names_of_a_certificate_twenty_are_told_and_how_many_more_there_are() -> None:
    names = tuple(f"{n}.test" for n in range(22))
    assert carried(names[:20]).endswith(", 19.test")
    assert carried(names[:21]).endswith(", 19.test and 1 more")
    assert carried(()) == "no name"
