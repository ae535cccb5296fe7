"""Rules about the dates of acceptances, whatever they are of; and those of listeners, which are judged anew whenever dates are.
Read next: `rules_serve.py`."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from everyhop.compile.world import Key, World, ends_at, soon
from everyhop.model import Acceptance, Authorizer, Exclusion, PassAcceptance, Waf
from everyhop.screen import ahead

YEAR = dt.timedelta(days=366)


def judge(world: World) -> None:
    for i, listener in enumerate(world.config.listener):
        if listener.serve and (given := listener.acceptance) is not None:
            mend = ("let TLS be spoken there", "decide again: write a later until, and whose word it is")
            dated(world, ("listener", i, "acceptance"), given, f"listener {listener.name!r}", mend)


class Passing(NamedTuple):
    """What passes where somebody who decides cannot, in words: how it passes, what that is, when, and the other choice."""

    un: str
    what: str
    when: str
    refuse: str


def passing(world: World, key: Key, it: Authorizer | Waf, called: str, words: Passing) -> None:
    """Whose word it is that requests pass where nobody decides."""
    given = it.pass_acceptance
    again = "decide again: write a later until, and whose word it is"
    if it.when_down == "refuse":
        if given is not None:
            what = f"{called} has somebody's word that requests pass {words.un}, and none passes"
            world.warn("acceptance/needless", (*key, "pass_acceptance"), what, "remove it")
    elif given is None:
        world.refuse(
            f"{key[0]}/pass-without-acceptance",
            (*key, "when_down"),
            f"{called} {words.when}, and nobody answers for it",
            words.refuse,
            'own the risk: pass_acceptance = { owner = "NAME", why = "TEXT", since = DATE, until = DATE }',
        )
    else:
        dated(world, (*key, "pass_acceptance"), given, words.what, (words.refuse, again))


def dated(
    world: World, key: Key, given: Acceptance | PassAcceptance | Exclusion, whose: str, mend: tuple[str, ...]
) -> None:
    """`whose`: what it is of, by its name; `mend`: what to do where it is over, or soon will be."""
    ends = ends_at(given.until)
    begins = dt.datetime.combine(given.since, dt.time(), dt.UTC)
    if ends <= begins:
        world.refuse(
            "acceptance/dates",
            (*key, "until"),
            f"the acceptance of {whose} ends before it begins",
            "let it end after it begins: since is the day on which it was given, until its last day",
            also=((*key, "since"),),
        )
    elif ends - begins > YEAR + dt.timedelta(days=1):
        world.refuse(
            "acceptance/dates",
            (*key, "until"),
            f"the acceptance of {whose} lasts {(ends - begins).days} days",
            f"a year at most, until = {given.since + YEAR}: then someone looks again",
            also=((*key, "since"),),
        )
    elif begins > world.now + dt.timedelta(days=1):
        world.refuse(
            "acceptance/dates",
            (*key, "since"),
            f"the acceptance of {whose} begins on {given.since}, which is yet to come",
            f"since = {world.now.date()}: the day on which it is given",
        )
    left = ends - world.now
    if left <= dt.timedelta():
        world.past(
            "acceptance/expired",
            (*key, "until"),
            f"the acceptance of {whose} by {given.owner} ended on {given.until}",
            *mend,
            ended=ends,
        )
    elif (days := soon(left)) is not None:
        world.warn(
            "acceptance/ends-soon",
            (*key, "until"),
            f"the acceptance of {whose} by {given.owner} ends on {given.until}, {ahead(left)}",
            *mend,
            mark=f"{given.until.isoformat()} {days}",
        )
