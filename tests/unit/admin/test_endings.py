"""What ends soon is told before it hurts, in three stages, and each once; and chains that will be refused. The clock is moved, the certificates are real."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from everyhop.admin import watch
from everyhop.admin.endings import PART, PART_BY_ITSELF, doubted, ending, lists_ending, span, stage
from everyhop.admin.loop import Loop
from everyhop.admin.troubles import unlisted
from everyhop.admin.watch import Watch
from everyhop.compile import Compiled, compile_file
from everyhop.demo.certificates import Authority
from everyhop.model import CrlSection
from tests.kit.forge import FETCHED, Signer, crl, forged, root, saved
from tests.kit.one_site import TEXT

DAY = dt.timedelta(days=1)


def of(folder: Path, leaf: Signer, by: Signer) -> Compiled:
    saved(folder, "leaf", leaf, by)
    (folder / "everyhop.toml").write_text(TEXT)
    return compile_file(folder / "everyhop.toml")


def whys(it: Compiled, after: dt.timedelta) -> list[str]:
    found = ending(it, dt.datetime.now(dt.UTC) + after)
    assert {t.kind for t in found} <= {"certificate-ends-soon"} and {t.about for t in found} <= {"site s"}
    return [t.why.rpartition(", ")[2] for t in found]


@pytest.mark.parametrize(
    ("lasts", "told"),
    [
        (90, {59: [], 61: ["in less than 30 days"], 84: ["in less than 7 days"], 89.5: ["in less than 1 day"], 91: []}),
        (6, {3.9: [], 4.5: ["in less than 3 days"], 5.6: ["in less than 12 hours"], 5.98: ["in less than 2 hours"]}),
    ],
)
def test_a_certificate_that_ends_is_told_in_three_stages_sooner_for_one_that_lasts_less(
    tmp_path: Path, lasts: float, told: dict[float, list[str]]
) -> None:
    by = root(Authority(tmp_path, "CA"))
    it = of(tmp_path, forged("a.test", by, names=["a.test"], ends=lasts * DAY), by)
    assert {days: whys(it, days * DAY) for days in told} == told


def test_an_issuer_in_the_chain_that_ends_first_is_told_by_its_name_and_when_it_is_over_as_a_chain_that_is_refused(
    tmp_path: Path,
) -> None:
    below = forged("below", root(Authority(tmp_path, "CA")), ca=True, usages=None, ends=40 * DAY)
    it = of(tmp_path, forged("a.test", below, names=["a.test"], ends=90 * DAY), below)
    now = dt.datetime.now(dt.UTC)
    assert ending(it, now + 9 * DAY) == [] and doubted(it, now + 39 * DAY) == []
    (soon,) = ending(it, now + 35 * DAY)
    assert soon.why.startswith("'CN=below' of its chain ends at ")
    (over,) = doubted(it, now + 41 * DAY)
    assert (over.kind, over.about) == ("certificate-doubted", "site s") and "'CN=below' of its chain ended" in over.why
    assert ending(it, now + 41 * DAY) == []


def test_a_chain_that_compiling_warns_of_is_told_for_as_long_as_it_is_shown(tmp_path: Path) -> None:
    clients = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    by = root(Authority(tmp_path, "CA"))
    it = of(tmp_path, forged("a.test", by, names=["a.test"], usages=clients), by)
    (told,) = doubted(it, dt.datetime.now(dt.UTC))
    assert told.about == "site s" and "the certificate is not for servers" in told.why
    assert doubted(of(tmp_path, forged("a.test", by, names=["a.test"]), by), dt.datetime.now(dt.UTC)) == []


def test_an_issuer_that_is_missing_is_told_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    below = forged("below", root(Authority(tmp_path, "CA")), ca=True, usages=None, ends=300 * DAY)
    leaf = forged("a.test", below, names=["a.test"], more=[FETCHED])
    now = dt.datetime.now(dt.UTC)
    assert doubted(of(tmp_path, leaf, below), now) == []
    below.chain = []
    (told,) = doubted(of(tmp_path, leaf, below), now)
    assert "the issuer of 'CN=a.test' is missing" in told.why


def test_one_that_an_authority_renews_by_itself_is_told_when_that_is_late() -> None:
    quarter = int(90 * DAY.total_seconds())
    at = quarter - 20 * DAY.total_seconds()
    assert stage(0, quarter, at, PART) is not None and stage(0, quarter, at, PART_BY_ITSELF) is None
    assert [span(n) for n in (60, 3600, 3601, 86_400 * 1.5)] == ["an hour", "1 hour", "2 hours", "2 days"]


def test_a_list_that_is_fetched_is_told_when_its_next_one_is_late_and_one_in_a_file_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "CA")
    url = "http://lists.test/ca.crl"
    (tmp_path / "lists").mkdir(0o700)
    path = crl(tmp_path / CrlSection().kept(url), root(authority), begins=-DAY / 24, ends=6 * DAY - DAY / 24)
    path.rename(tmp_path / "file.crl")
    saved(tmp_path, "leaf", forged("a.test", root(authority), names=["a.test"], ends=90 * DAY), root(authority))

    def listed(label: str) -> Compiled:
        clients = f'clients = {{ ca = "{authority.file.name}", crl = "{label}" }}\n[[route]]'
        (tmp_path / "everyhop.toml").write_text(TEXT.replace("[[route]]", clients))
        return compile_file(tmp_path / "everyhop.toml")

    now = dt.datetime.now(dt.UTC)
    late = now + 5.5 * DAY
    assert lists_ending(listed("file.crl"), late) == []
    missing = listed(url)
    assert lists_ending(missing, late) == []
    (there,) = unlisted(missing, {url: "it answers with 503"})
    assert (there.kind, there.about, there.why) == ("revocation-missing", url, "it answers with 503")
    (tmp_path / "file.crl").rename(path)
    kept = listed(url)
    assert unlisted(kept, {}) == [] and lists_ending(kept, now + 4.5 * DAY) == []
    (told,) = lists_ending(kept, late)
    assert (told.kind, told.about) == ("revocation-ends-soon", url) and told.why.endswith(", in less than 1 day")
    assert lists_ending(kept, now + 7 * DAY) == [], "it is over, which is told as that"
    assert [it.kind for it in unlisted(kept, {url: "it answers with 503"})] == ["revocation-not-fetched"]
    missing_roots = replace(missing, lists={url: ()})
    assert unlisted(missing_roots, {})[0].why == "nobody knows yet who is to sign it"


def test_each_stage_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(watch, "say", said.append)
    by = root(Authority(tmp_path, "CA"))
    it = of(tmp_path, forged("a.test", by, names=["a.test"], ends=90 * DAY), by)
    looking = Watch(cast(Any, None), cast(Any, None), Loop())
    begun = dt.datetime.now(dt.UTC).replace(microsecond=0)
    for days in (50, 61, 62, 70, 84, 85, 89.5, 89.6):
        looking.note(ending(it, begun + days * DAY), begun + days * DAY)
    stages = [line.partition(", in less than ")[2] for line in said]
    assert stages == [f"{n})  [certificate-ends-soon]" for n in ("30 days", "7 days", "1 day")], said
    looking.note([], begun + 90 * DAY)
    assert said[-1].startswith("well again: site s, after ")
