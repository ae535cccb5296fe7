"""Rules about what requests are inspected by: that somebody is there who does it, that its rules can be used, and whose word it is
where they are not asked. Read next: `inspecting.py`."""

from __future__ import annotations

import re

from everyhop.compile import inspecting
from everyhop.compile.rule_files import read_rules
from everyhop.compile.rules_acceptance import Passing, dated, passing
from everyhop.compile.world import Key, World
from everyhop.errors import EveryhopError
from everyhop.identity import Unusable
from everyhop.model import Exclusion, Waf
from everyhop.waf.families import is_sum
from everyhop.waf.frames import Policy, Wrong, policies_frame
from everyhop.waf.inspector import Inspector, RulesRefused, found

RULE = re.compile(r"\brule (\d+)\b")


def read(world: World) -> None:
    """The files, and what the inspector says of all of them: it alone knows which rules there are."""
    if not world.config.waf:
        return
    for i, it in enumerate(world.config.waf):
        for j, label in enumerate(it.extra):
            try:
                world.rules[label] = world.rules.get(label) or read_rules(label, world.base)
            except Unusable as e:
                world.refuse(e.slug, ("waf", i, "extra", j), f"waf {it.name!r}: {e.what}", e.mend)
    if any(label not in world.rules for it in world.config.waf for label in it.extra):
        return
    texts = {label: it.text for label, it in world.rules.items()}
    given = inspecting.policies([inspecting.waf(bare(it)) for it in world.config.waf], texts, world.now.timestamp())
    try:
        wrong = JUDGED.of(given)
    except EveryhopError as e:
        # None is there, or it does not start.
        mends = e.more or ("see what it says: everyhop waf test FILE",)
        world.refuse("waf/no-inspector", ("waf", 0, "name"), f"nobody can inspect requests here: {e}", *mends)
        return
    for one in wrong:
        at(world, one)


def bare(it: Waf) -> Waf:
    """Without what is judged elsewhere."""
    once = list(dict.fromkeys(it.extra))
    return it.model_copy(update={"when_down": "refuse", "pass_acceptance": None, "extra": once})


def at(world: World, wrong: Wrong) -> None:
    """Tells it where the user wrote it."""
    i = next((i for i, it in enumerate(world.config.waf) if it.name == wrong.policy), 0)
    it, key = world.config.waf[i], ("waf", i)
    called = f"waf {it.name!r}"
    if wrong.file:
        j = it.extra.index(wrong.file) if wrong.file in it.extra else 0
        what = f"{called}: {world.base / wrong.file}:{wrong.line}: {wrong.what}"
        world.refuse(
            "waf/rules", (*key, "extra", j), what, "mend the rule; what it says of requests: everyhop waf test"
        )
        return
    number = RULE.search(wrong.what)
    for j, one in enumerate(it.exclude):
        if number is not None and one.rule == int(number[1]):
            of = "path" if "the path" in wrong.what else "argument" if "the argument" in wrong.what else "rule"
            mend = "name a rule by its number, as everyhop waf test and the log tell it"
            if of != "rule":
                mend = f"write the {of} as it is said there, or leave it out"
            world.refuse("waf/exclusion", (*key, "exclude", j, of), f"{called}: {wrong.what}", mend)
            return
    world.refuse("waf/rules", (*key, "name"), f"{called}: {wrong.what}", "see: everyhop waf test")


class Judged:
    """What the inspector said of policies, the last ones: files are read again and again, and rules change seldom."""

    MOST = 8

    def __init__(self) -> None:
        self.known: dict[object, tuple[Wrong, ...]] = {}

    def of(self, given: list[Policy]) -> tuple[Wrong, ...]:
        """Raises `EveryhopError` where nobody can be asked."""
        program = found()
        seen = program.stat()
        key = (str(program), seen.st_mtime_ns, seen.st_size, policies_frame(given))
        if key not in self.known:
            try:
                with Inspector(given, program=program):
                    wrong: tuple[Wrong, ...] = ()
            except RulesRefused as e:
                wrong = e.wrong
            while len(self.known) >= self.MOST:
                self.known.pop(next(iter(self.known)))
            self.known[key] = wrong
        return self.known[key]


JUDGED = Judged()


def judge(world: World) -> None:
    """Of the text alone."""
    known = {it.name for it in world.config.waf}
    used = set()
    for i, route in enumerate(world.config.route):
        if route.waf is None or not route.carries_requests:
            continue
        used.add(route.waf)
        if route.waf not in known:
            listed = ", ".join(sorted(known)) or "none: [[waf]]"
            what = f"route {route.name!r} is inspected by waf {route.waf!r}, which is none"
            world.refuse("config/unknown-name", ("route", i, "waf"), what, f"one of: {listed}")
    for i, it in enumerate(world.config.waf):
        twice(world, i, it)
        if it.name not in used:
            what = f"no route is inspected by waf {it.name!r}"
            world.warn("waf/unused", ("waf", i, "name"), what, f'waf = "{it.name}" on a route')


def twice(world: World, i: int, it: Waf) -> None:
    seen: dict[object, Key] = {}
    for j, label in enumerate(it.extra):
        if label in seen:
            what = f"waf {it.name!r} has the rules of {label} twice"
            world.refuse("waf/rules", ("waf", i, "extra", j), what, "keep one of them", also=(seen[label],))
        seen.setdefault(label, ("waf", i, "extra", j))
    for j, one in enumerate(it.exclude):
        if is_sum(one.rule):
            what = f"waf {it.name!r} takes back rule {one.rule}, by which all others refuse, or what a request may cost is bounded"
            mend = "take back the rule that found something: the log and everyhop waf explain name it"
            world.refuse("waf/exclusion", ("waf", i, "exclude", j, "rule"), what, mend)
        same = (one.rule, one.path, one.argument)
        if same in seen:
            what = f"waf {it.name!r} takes {called(one)} back twice"
            mend = "keep one of them: whose word it is, and until when, is said once"
            world.refuse("waf/exclusion", ("waf", i, "exclude", j, "rule"), what, mend, also=(seen[same],))
        seen.setdefault(same, ("waf", i, "exclude", j, "rule"))


def judge_dates(world: World) -> None:
    """Of dates, so that it is judged anew whenever they are."""
    for i, it in enumerate(world.config.waf):
        for j, one in enumerate(it.exclude):
            mend = ("let the rule be asked: remove it", "decide again: write a later until, and whose word it is")
            dated(world, ("waf", i, "exclude", j), one, f"what waf {it.name!r} leaves out, {called(one)}", mend)
        passing(
            world,
            ("waf", i),
            it,
            f"waf {it.name!r}",
            Passing(
                "uninspected",
                f"what passes uninspected by waf {it.name!r}",
                "lets requests pass where nobody inspects them",
                'refuse where nobody inspects: when_down = "refuse"',
            ),
        )


def called(it: Exclusion) -> str:
    return inspecting.exclusion(it).of
