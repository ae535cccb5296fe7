"""What becomes of a case: an edge refuses it before any rule is asked, or the inspector is asked and says what its authors want."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from everyhop.waf import Inspector, Policy, RuleFile
from everyhop.waf.frames import Match
from everyhop.waf.requests import read
from tests.suites.crs.cases import Case

# As the rule set's own instructions for its cases say: everything is asked, nothing is blocked, and its optional limits are on.
SETTINGS = """
SecAction "id:900005,phase:1,nolog,pass,t:none,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,\\
    setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,\\
    setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,\\
    setvar:tx.combined_file_sizes=65535"
"""
POLICY = Policy(paranoia=4, body_bytes=1 << 20, extra=(RuleFile("cases.conf", SETTINGS),))


@dataclass(frozen=True)
class Outcome:
    """`kind` is `good`, `bad`, or `refused` by the edge, by which slug."""

    kind: str
    why: str = ""
    wants_match: bool = False


def judge(inspector: Inspector, case: Case) -> Outcome:
    """All its stages in order; the first that is not as wanted decides."""
    for stage in case.stages:
        wants_match = bool((stage.wanted.get("log") or {}).get("expect_ids")) or stage.wanted.get("status") == 400
        try:
            request, _ = read(stage.sent, POLICY.body_bytes)
        except ValueError as e:
            slug, _, _ = e.args
            return Outcome("refused", slug, wants_match or bool(stage.wanted.get("expect_error")))
        if why := differs(inspector.ask(request, deadline_s=30).rules, stage.wanted):
            return Outcome("bad", why, wants_match)
    return Outcome("good")


def differs(rules: tuple[Match, ...], wanted: dict[str, Any]) -> str:
    """How the answer is not what is wanted; empty where it is."""
    matched = {it.rule for it in rules}
    log = wanted.get("log") or {}
    said = "\n".join(f'[id "{it.rule}"] [msg "{it.message}"] found within {it.on}: ' for it in rules)
    if missing := set(log.get("expect_ids", ())) - matched:
        return f"{sorted(missing)} did not match, {sorted(matched)} did"
    if found := set(log.get("no_expect_ids", ())) & matched:
        return f"{sorted(found)} matched"
    if (pattern := log.get("match_regex")) and not re.search(pattern, said):
        return f"nothing says {pattern}"
    if (pattern := log.get("no_match_regex")) and re.search(pattern, said):
        return f"something says {pattern}"
    # Nothing is blocked here, so that what is inspected goes on to the backend.
    if wanted.get("status", 200) != 200:
        return f"status {wanted['status']} is wanted of an edge that passes it on"
    return "an error is wanted of an edge that passes it on" if wanted.get("expect_error") else ""
