"""Cases of the rule set through a whole edge: what its inspector is shown, and so what the rules say, is what a connection brought."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from everyhop.waf import Inspector, NoVerdict
from everyhop.waf.requests import read
from tests.kit import EdgeKit, Pki, Raw, tls
from tests.kit.inspector import built
from tests.kit.raw import OK, Record, whole
from tests.suites.crs.cases import Case, every, sample
from tests.suites.crs.judge import POLICY, SETTINGS, differs

TOLD = 16
"""Rules that a line names."""


def answers(sock: Any, record: Record) -> None:
    """Reads each request to its end, and answers."""
    while whole(sock, record) is not None:
        sock.sendall(OK)


def at_host(sent: bytes) -> bytes:
    """The same request for the name that the edge has."""
    first, end, body = sent.partition(b"\r\n\r\n")
    return re.sub(rb"(?mi)^(Host:)[^\r\n]*", rb"\1 a.test", first) + end + body


def expected(inspector: Inspector, sent: bytes) -> tuple[str, Any]:
    """What the inspector says of it without an edge: the slug by which no rule is asked, or the rules."""
    try:
        request, _ = read(sent, POLICY.body_bytes)
    except ValueError as e:
        return e.args[0], None
    try:
        return "", inspector.ask(dataclasses.replace(request, client="127.0.0.1"), deadline_s=30)
    except NoVerdict as e:
        return str(e), None


def test_five_hundred_cases_are_inspected_through_an_edge_as_without_one(
    edge: Callable[..., EdgeKit], raw: Callable[..., Raw], pki: Pki, tmp_path: Path
) -> None:
    built()
    backend = raw(answers)
    (own := tmp_path / "cases.conf").write_text(SETTINGS)
    rules = f'paranoia = 4\nbody_bytes = 1048576\nextra = ["{own}"]\ndeadline_ms = 10000\n'
    route = (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{backend.port}"]\nwaf = "crs"\n'
    )
    it = edge(f'[[waf]]\nname = "crs"\n{rules}{route}')
    asked: dict[str, tuple[Case, bytes, dict[str, Any]]] = {}
    for case in sample(every(), 500):
        for stage in case.stages:
            sent = at_host(stage.sent)
            with tls(it.port, "a.test", pki.public.file) as sock:
                sock.sendall(sent)
                sock.recv(1)
                asked[f"127.0.0.1:{sock.getsockname()[1]}"] = (case, sent, stage.wanted)
    lines = {line["peer"]: line for line in it.all_lines()}
    assert lines.keys() == asked.keys()
    inspected = good = 0
    with Inspector([POLICY]) as inspector:
        for peer, (case, sent, wanted) in asked.items():
            slug, verdict = expected(inspector, sent)
            line = lines[peer]
            if verdict is None:
                assert line["waf"] is None and line["end"] == slug, (case.name, slug, line)
                continue
            said = line["waf"]
            assert said is not None and said["verdict"] == "allowed" and line["status"] == 200, (case.name, line)
            # In which of several arguments a rule matches first is chance to the inspector.
            told, seen = [one["rule"] for one in said["rules"]], [rule.rule for rule in verdict.rules]
            assert (said["matched"], told, said["score"]) == (len(seen), seen[:TOLD], verdict.score), case.name
            inspected += 1
            good += not differs(verdict.rules, wanted)
    assert inspected > 450 and good >= 0.98 * inspected, (
        f"{good} of {inspected}; the host of each is another than its own"
    )
