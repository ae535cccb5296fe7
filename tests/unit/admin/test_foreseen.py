"""What time makes wrong is found when its moment comes, and looking again in between is not needed: it finds the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from everyhop.admin.endings import doubted, ending, lists_ending
from everyhop.admin.foreseen import Foreseen
from everyhop.admin.troubles import Uncertified, WaysIn, over
from everyhop.compile import Compiled, compile_file
from everyhop.compile.compiled import Life
from everyhop.demo.certificates import Authority
from everyhop.engine.messages import Trouble
from everyhop.model import CrlSection
from tests.kit.forge import crl, forged, root, saved
from tests.kit.one_site import TEXT

DAY = dt.timedelta(days=1)
URL = "http://lists.test/ca.crl"


def running(folder: Path, *, lasts: float = 90, below: float | None = None, listed: bool = False) -> Compiled:
    """A site whose certificate lasts so many days, with an issuer that lasts as many as `below`, and a list of six days."""
    authority = Authority(folder, "CA")
    by = top = root(authority)
    if below is not None:
        by = forged("below", top, ca=True, usages=None, ends=below * DAY)
    saved(folder, "leaf", forged("a.test", by, names=["a.test"], ends=lasts * DAY), by)
    text = TEXT
    if listed:
        (folder / "lists").mkdir(0o700)
        path = crl(folder / CrlSection().kept(URL), top, begins=-DAY / 24, ends=6 * DAY - DAY / 24)
        assert path.exists()
        text = text.replace("[[route]]", f'clients = {{ ca = "{authority.file.name}", crl = "{URL}" }}\n[[route]]')
    (folder / "everyhop.toml").write_text(text)
    return compile_file(folder / "everyhop.toml")


def looked(it: Compiled, now: dt.datetime) -> list[Trouble]:
    return over(it, now, WaysIn()) + ending(it, now) + doubted(it, now) + lists_ending(it, now)


class Counted(Foreseen):
    """Knows how often it looked."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __call__(self, running: Compiled, now: dt.datetime) -> list[Trouble]:
        before = self.found
        found = super().__call__(running, now)
        self.times += found is not before
        return found


def test_what_was_found_holds_until_the_very_second_in_which_another_word_is_said(tmp_path: Path) -> None:
    it = running(tmp_path, below=40, listed=True)
    ask, begun = Counted(), dt.datetime.now(dt.UTC).replace(microsecond=0)
    changed, last = 0, looked(it, begun)
    seconds = set(range(0, 100 * 86_400, 3600 * 5 + 7))
    every = [it.material.lives["site/s/0"], it.material.lives[f"crl/{URL}"]]
    ends = [end for life in every for end in (life.ends_s, life.issuer_ends_s) if end]
    for end in ends:
        for left in (0, 1, 30, 7, 6):
            at = int(end - begun.timestamp()) - left * 86_400
            seconds |= {at - 1, at, at + 1}
    for second in sorted(it for it in seconds if it >= 0):
        now = begun + dt.timedelta(seconds=second)
        fresh = looked(it, now)
        assert ask(it, now) == fresh, (second, fresh)
        changed, last = changed + (fresh != last), fresh
    assert changed >= 8, "the story has its stages"
    assert ask.times <= changed + 8, "nobody looks again while nothing can have changed"


def test_a_stage_begins_in_the_first_second_in_which_so_little_is_left(tmp_path: Path) -> None:
    """A short life has stages that are no whole seconds."""
    it = running(tmp_path, lasts=1.2345678)
    (life,) = it.material.lives.values()
    ask = Foreseen()
    for second in range(life.ends_s - 45_000, life.ends_s + 2):
        now = dt.datetime.fromtimestamp(second, dt.UTC)
        assert bool(ask(it, now)) == bool(looked(it, now)), life.ends_s - second


def test_a_clock_that_is_set_back_and_another_that_runs_are_looked_at_anew(tmp_path: Path) -> None:
    it, ask = running(tmp_path, lasts=90), Foreseen()
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    assert [one.kind for one in ask(it, now + 80 * DAY)] == ["certificate-ends-soon"]
    assert ask(it, now) == []
    assert [one.kind for one in ask(it, now + 91 * DAY)] == ["certificate-over"]
    renewed = running(tmp_path, lasts=200)
    assert ask(renewed, now + 91 * DAY) == []


class Walked(dict[str, Life]):
    """Counts how often all of them were walked through."""

    times = 0

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return super().__iter__()


def test_however_many_sites_there_are_looking_each_second_walks_through_none_of_their_certificates(
    tmp_path: Path,
) -> None:
    one = running(tmp_path)
    (site,), (life,) = one.config.site, one.material.lives.values()
    names = [f"s{n}" for n in range(500)]
    lives = Walked({f"site/{name}/0": life for name in names})
    config = one.config.model_copy(update={"site": [site.model_copy(update={"name": name}) for name in names]})
    many = replace(one, config=config, material=replace(one.material, lives=lives))
    late = dt.datetime.fromtimestamp(life.ends_s - 60, dt.UTC)
    ask = Foreseen()
    assert [it.about for it in ask(many, late)] == [f"site {name}" for name in names]
    first = lives.times
    assert first <= 3, "once for each word, however many sites there are"
    for second in range(59):
        assert len(ask(many, late + dt.timedelta(seconds=second))) == len(names)
    assert lives.times == first
    assert ask(many, late + dt.timedelta(seconds=60)) != [] and lives.times > first


def test_whether_each_site_has_a_certificate_is_asked_again_where_something_changed_and_only_there(
    tmp_path: Path,
) -> None:
    it, ask = running(tmp_path), Uncertified()
    (site,) = it.plan.sites
    certs = [cert.model_copy(update={"key": "acme"}) for cert in site.certs]
    plan = it.plan.model_copy(update={"sites": [site.model_copy(update={"certs": certs})]})
    by_acme = replace(it, plan=plan)
    problems: dict[str, str] = {}
    found = ask(by_acme, problems)
    assert found == [] and ask(by_acme, problems) is found
    (told,) = ask(by_acme, {"s": "it rests"})
    assert (told.kind, told.why) == ("certificate-not-issued", "it rests")
    gone = replace(by_acme, material=replace(it.material, entries=[]))
    (told,) = ask(gone, problems)
    assert told.kind == "certificate-missing"
