"""The rules of hops at their bounds: from which day to which an acceptance holds, and which backends need one."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TODAY = NOW.date()
HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
[[route]]
name = "r"
host = "a.test"
"""


def findings(route: str, now: dt.datetime = NOW) -> list[Finding]:
    try:
        return list(compile_file("hops.toml", now=now, files="skip", text=HEAD + route).findings)
    except Refused as e:
        return list(e.findings)


def slugs(route: str, now: dt.datetime = NOW) -> set[str]:
    """What is found, but for what is merely near its end."""
    return {f.slug for f in findings(route, now) if f.slug != "acceptance/ends-soon"}


def accepted(since: dt.date, until: dt.date, now: dt.datetime = NOW) -> set[str]:
    given = f'acceptance = {{ owner = "o", why = "w", context = "legacy", since = {since}, until = {until} }}\n'
    return slugs(f'tls = "plaintext"\nto = ["10.0.0.1:1"]\n{given}', now)


def test_an_acceptance_of_one_day_holds_and_one_that_ends_the_day_before_it_begins_is_none() -> None:
    assert accepted(TODAY, TODAY) == set()
    assert "acceptance/dates" in accepted(TODAY, TODAY - DAY)


def test_an_acceptance_lasts_to_the_same_day_of_the_next_year_even_a_leap_year_and_no_day_more() -> None:
    assert accepted(TODAY, TODAY + 366 * DAY) == set()
    assert accepted(TODAY, TODAY + 367 * DAY) == {"acceptance/dates"}


def test_an_acceptance_may_begin_tomorrow_where_it_is_that_day_already_and_not_later() -> None:
    assert accepted(TODAY + DAY, TODAY + 30 * DAY) == set()
    assert accepted(TODAY + 2 * DAY, TODAY + 30 * DAY) == {"acceptance/dates"}


def test_an_acceptance_holds_to_the_last_second_of_its_last_day() -> None:
    end = NOW + 10 * DAY
    since, until = TODAY, end.date() - DAY
    assert accepted(since, until, end - dt.timedelta(seconds=1)) == set()
    assert accepted(since, until, end) == {"acceptance/expired"}


LOOPBACK = '"127.0.0.1:1"'
NEEDED = {"hop/plaintext-without-acceptance"}


@pytest.mark.parametrize(
    ("route", "backend", "found"),
    [
        ("", LOOPBACK, set()),
        ("", f"{{ at = {LOOPBACK} }}", set()),
        ("", f"{{ at = {LOOPBACK}, off_host = false }}", set()),
        ("", f"{{ at = {LOOPBACK}, off_host = true }}", NEEDED),
        ("off_host = true\n", LOOPBACK, NEEDED),
        ("off_host = true\n", f"{{ at = {LOOPBACK} }}", NEEDED),
        ("off_host = true\n", f"{{ at = {LOOPBACK}, off_host = false }}", set()),
        ("", '{ at = "10.0.0.1:1", off_host = false }', NEEDED),
    ],
)
def test_a_loopback_that_leads_elsewhere_needs_an_acceptance_and_the_backends_own_word_goes_first(
    route: str, backend: str, found: set[str]
) -> None:
    assert slugs(f'tls = "plaintext"\nto = [{backend}]\n{route}') == found


@pytest.mark.parametrize("name", ["n.test", "10.0.0.1", "::1"])
def test_a_backend_is_verified_by_a_host_name_or_an_address(name: str) -> None:
    assert slugs(f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\nverify = {{ ca = "c", name = "{name}" }}\n') == set()


@pytest.mark.parametrize("name", ["", "*.n.test", "n test", "n.test:1", "10.0.0.1.", "[::1]:1"])
def test_what_is_neither_a_host_name_nor_an_address_verifies_no_backend(name: str) -> None:
    assert slugs(f'tls = "reencrypt"\nto = ["10.0.0.1:1"]\nverify = {{ ca = "c", name = "{name}" }}\n')


def test_each_backend_is_judged_whatever_is_wrong_with_one_before_it() -> None:
    places = '"nowhere", "10.0.0.1:1", "10.0.0.1:1"'
    assert slugs(f'tls = "passthrough"\nto = [{places}]\n') >= {"hop/address", "hop/twice"}
    second = '{ at = "10.0.0.2:1", tls = "mutual" }'
    passed = f'tls = "passthrough"\nto = ["10.0.0.1:1", {second}]\n'
    assert "route/layer-7-on-passthrough" in slugs(passed)


@pytest.mark.parametrize("setting", ['tls = "mutual"', 'present = "i"', 'verify = { ca = "c" }'])
def test_a_backend_behind_passthrough_is_told_nothing_of_tls(setting: str) -> None:
    route = 'host = "p.test"\ntls = "passthrough"\nto = [{ at = "10.0.0.2:1"SETTING }]\n'
    alone = HEAD.replace('host = "a.test"\n', "")
    compile_file("hops.toml", now=NOW, files="skip", text=alone + route.replace("SETTING", ""))
    with pytest.raises(Refused) as told:
        compile_file("hops.toml", now=NOW, files="skip", text=alone + route.replace("SETTING", f", {setting}"))
    (found,) = told.value.findings
    assert found.slug == "route/layer-7-on-passthrough" and setting.partition(" ")[0] in found.what


IDENTITIES = "".join(f'[[identity]]\nname = "{name}"\nchain = "x"\nkey = "file:{name}"\n' for name in ("one", "two"))
TLS = 'to = ["10.0.0.1:1"]\nverify = { ca = "c", name = "n" }\n'


def test_the_mend_names_an_identity_that_is_there_and_what_to_make_where_none_is() -> None:
    def mends(route: str, slug: str) -> str:
        return " ".join(m for f in findings(route) if f.slug == slug for m in f.mend)

    lacks = f'tls = "mutual"\n{TLS}'
    assert 'present = "one"' in mends(lacks + IDENTITIES, "hop/no-identity")
    assert 'present = "edge" and an [[identity]] of that name' in mends(lacks, "hop/no-identity")
    open_ = 'tls = "plaintext"\nto = ["10.0.0.1:1"]\n'
    assert 'present = "one"' in mends(open_ + IDENTITIES, "hop/plaintext-without-acceptance")
    assert 'present = "NAME"' in mends(open_, "hop/plaintext-without-acceptance")
    unknown = f'{lacks}present = "three"\n'
    assert "one of: one, two" in mends(unknown + IDENTITIES, "config/unknown-name")
    assert "one of: (none)" in mends(unknown, "config/unknown-name")


def test_an_identity_that_no_backend_is_shown_has_nothing_to_do() -> None:
    shown = f'tls = "reencrypt"\n{TLS}present = "one"\n'
    assert slugs(shown + IDENTITIES) == {"route/nothing-to-do"}
    mixed = shown.replace('"10.0.0.1:1"', '"10.0.0.1:1", { at = "10.0.0.2:1", tls = "mutual" }')
    assert slugs(mixed + IDENTITIES) == set()


@pytest.mark.parametrize(
    ("route", "slug", "at"),
    [
        ('tls = "reencrypt"\nto = ["10.0.0.1:1"]\n', "hop/no-roots", 'tls = "reencrypt"'),
        ('tls = "reencrypt"\nto = ["10.0.0.1:1"]\n', "hop/no-name", 'tls = "reencrypt"'),
        ('tls = "reencrypt"\nto = ["10.0.0.1:1"]\nverify = { name = "n" }\n', "hop/no-roots", "verify = "),
        ('tls = "reencrypt"\nto = ["10.0.0.1:1"]\nverify = { ca = "c" }\n', "hop/no-name", "verify = "),
        (
            'tls = "reencrypt"\nverify = { ca = "c", name = "n" }\nto = [\n'
            '{ at = "10.0.0.1:1", verify = { name = "n" } }]\n',
            "hop/no-roots",
            '{ at = "10.0.0.1:1"',
        ),
        (
            'tls = "reencrypt"\nverify = { ca = "c", name = "n" }\nto = [\n'
            '{ at = "10.0.0.1:1", verify = { ca = "c", name = "n n" } }]\n',
            "hop/no-name",
            '{ at = "10.0.0.1:1"',
        ),
        (
            'tls = "mutual"\npresent = "nobody"\nverify = { ca = "c", name = "n" }\nto = ["10.0.0.1:1"]\n',
            "config/unknown-name",
            'present = "nobody"',
        ),
        (
            'tls = "mutual"\npresent = "one"\nverify = { ca = "c", name = "n" }\nto = [\n'
            '{ at = "10.0.0.1:1", present = "nobody" }]\n',
            "config/unknown-name",
            '{ at = "10.0.0.1:1"',
        ),
    ],
)
def test_what_a_hop_lacks_is_told_where_it_would_have_to_stand(route: str, slug: str, at: str) -> None:
    (told,) = [f for f in findings(route + IDENTITIES) if f.slug == slug]
    assert (HEAD + route).splitlines()[told.place.line - 1].startswith(at)


def test_a_backend_that_may_ask_nobody_is_told_only_of_data_whose_leak_would_be_a_major_incident() -> None:
    mutual = f'tls = "mutual"\npresent = "one"\n{TLS}'
    for fine in ("", "demand_asks = false\n", 'data = "major-incident"\n', 'data = "internal"\ndemand_asks = false\n'):
        assert slugs(mutual + fine + IDENTITIES) == set(), fine
    assert slugs(mutual + 'data = "major-incident"\ndemand_asks = false\n' + IDENTITIES) == {"hop/asking-not-demanded"}
