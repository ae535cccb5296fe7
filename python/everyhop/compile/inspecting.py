"""What requests are inspected by, from the file to the plan, and from the plan to the inspector. Pure. Read next: `rules_waf.py`."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from everyhop import plan
from everyhop.compile.asking import accepted
from everyhop.compile.world import ends_at
from everyhop.model import Exclusion, Waf
from everyhop.waf.frames import Exclusion as TakenBack
from everyhop.waf.frames import Policy, RuleFile, policies_frame


def waf(it: Waf) -> plan.Waf:
    down: plan.WhenDownRefuse | plan.WhenDownPass = plan.WhenDownRefuse(kind="refuse")
    if it.when_down == "pass":
        assert it.pass_acceptance is not None, "judged before"
        down = plan.WhenDownPass(kind="pass", acceptance=accepted(it.pass_acceptance))
    return plan.Waf(
        name=it.name,
        mode=it.mode,
        paranoia=it.paranoia,
        extra=list(it.extra),
        exclude=sorted(map(exclusion, it.exclude), key=lambda one: (one.rule, one.path, one.argument)),
        body_bytes=it.body_bytes,
        over_body=it.over_body,
        when_down=down,
        deadline_ms=it.deadline_ms,
        at_once=it.at_once,
    )


def exclusion(it: Exclusion) -> plan.Exclusion:
    return plan.Exclusion(
        rule=it.rule,
        path=it.path or "",
        argument=it.argument or "",
        owner=it.owner,
        why=it.why,
        until=it.until.isoformat(),
        closes_at_s=int(ends_at(it.until).timestamp()),
    )


def policies(wafs: list[plan.Waf], texts: Mapping[str, str], now_s: float) -> list[Policy]:
    """What the inspector is given, in the order of the plan: without exclusions that are over by now. `texts`: of the files."""
    return [
        Policy(
            name=it.name,
            paranoia=it.paranoia,
            blocks=it.mode == "block",
            body_bytes=it.body_bytes,
            extra=tuple(RuleFile(label, texts.get(label, "")) for label in it.extra),
            exclusions=tuple(
                TakenBack(one.rule, one.path, one.argument) for one in it.exclude if now_s < one.closes_at_s
            ),
        )
        for it in wafs
    ]


def known_by(given: list[Policy]) -> str:
    """By which an inspector is known that was given those, and nothing else."""
    return sha256(policies_frame(given)).hexdigest()[:32]
