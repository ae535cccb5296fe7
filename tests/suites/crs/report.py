"""What became of cases, counted; and what is not as its authors want and stands nowhere with a reason."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from everyhop.waf import Inspector
from tests.suites.crs.cases import Case
from tests.suites.crs.judge import POLICY, Outcome, judge

EXCEPTIONS = Path(__file__).with_name("exceptions.toml")


@dataclass
class Report:
    of_responses: int = 0
    good: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    refused: dict[str, Outcome] = field(default_factory=dict)

    @property
    def inspected(self) -> int:
        return self.good + len(self.bad)

    @property
    def kept_out(self) -> int:
        """Refused by the edge, and wanted to be found by a rule or refused."""
        return sum(it.wants_match for it in self.refused.values())

    def unexplained(self, asked: set[str]) -> list[str]:
        """What differs without a reason, and reasons that nothing needs, of the cases that were asked."""
        named = exceptions()
        differs = {"inspected": set(self.bad), "refused": {n for n, it in self.refused.items() if not it.wants_match}}
        wrong = []
        for kind, cases in differs.items():
            wrong += [f"{name}: {self.bad.get(name) or self.refused[name].why}" for name in sorted(cases - named[kind])]
            needless = sorted((named[kind] & asked) - cases)
            wrong += [f"{name}: exceptions.toml explains what is as wanted" for name in needless]
        return wrong

    def told(self) -> list[str]:
        total = self.inspected + len(self.refused) + self.of_responses
        slugs = Counter(it.why for it in self.refused.values())
        asked = self.inspected + len(self.refused)
        upstream = self.good + self.kept_out
        return [
            f"{total} cases, {self.of_responses} of them of responses, which are not inspected",
            f"{len(self.refused)} an edge refuses before any rule is asked: {self.kept_out} that the case wants found or "
            f"refused, {len(self.refused) - self.kept_out} that it wants to pass",
            *(f"    {count:4}  {slug}" for slug, count in slugs.most_common()),
            f"{self.inspected} are inspected, {self.good} as the case wants: {100 * self.good / self.inspected:.2f} %",
            f"of all {asked} of requests {upstream} end as the case wants: {100 * upstream / asked:.2f} %",
            *(f"    {name}: {why}" for name, why in self.bad.items()),
        ]


def exceptions() -> dict[str, set[str]]:
    text = tomllib.loads(EXCEPTIONS.read_text())
    return {kind: {name for it in text[kind] for name in it["cases"]} for kind in ("inspected", "refused")}


def run(cases: list[Case]) -> Report:
    """All of them, one after the other, through one inspector."""
    report = Report()
    with Inspector([POLICY]) as inspector:
        for case in cases:
            if case.of_response:
                report.of_responses += 1
                continue
            outcome = judge(inspector, case)
            if outcome.kind == "good":
                report.good += 1
            elif outcome.kind == "bad":
                report.bad[case.name] = outcome.why
            else:
                report.refused[case.name] = outcome
    return report
