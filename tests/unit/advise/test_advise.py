"""Every combination of answers gives exactly one outcome or a named conflict, and no requirement weakens a hop silently."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everyhop.advise import Requirements, Service, advise, configuration
from everyhop.advise.rules import decide
from everyhop.advise.spoken import PROTOCOLS, SPOKEN
from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.model import Route
from everyhop.model.words import Pattern
from everyhop.plan import STRENGTH
from everyhop.trust import CAPABILITIES, NEUTRAL, PATTERNS, unmet
from tests.kit.nursery import everyhop

ANSWERS = ["yes", "no", "not-sure"]
REQUIREMENTS = st.builds(
    Requirements,
    role=st.sampled_from(["transport", "control", "not-sure"]),
    needs=st.frozensets(st.sampled_from(sorted(CAPABILITIES)), max_size=5),
    data=st.sampled_from(["public", "internal", "confidential", "major-incident", "not-sure"]),
    backend_tls=st.sampled_from(ANSWERS),
    backend_asks=st.sampled_from(ANSWERS),
    same_host=st.sampled_from(ANSWERS),
    several=st.sampled_from(ANSWERS),
    protocol=st.one_of(st.just("http"), st.sampled_from(PROTOCOLS)),
)


@settings(max_examples=1500, deadline=None)
@given(REQUIREMENTS)
def test_there_is_exactly_one_outcome_or_a_named_conflict(it: Requirements) -> None:
    advice = advise(it)
    assert (advice.pattern is None) == bool(advice.conflicts)
    for conflict in advice.conflicts:
        assert all(conflict.between) and conflict.because and conflict.ways_out
    if advice.pattern is not None:
        assert advice.forced_by and advice.duties and advice.sure
        stream = it.is_stream and advice.pattern != "passthrough"
        assert all(unmet(need, advice.pattern, stream=stream) is None for need in it.needs), (
            "what was asked for is given"
        )
        assert (advice.sure == "sure") == (not advice.assumed)


@settings(max_examples=1500, deadline=None)
@given(REQUIREMENTS, st.sampled_from(sorted(CAPABILITIES)))
def test_one_more_requirement_never_weakens_the_hop_behind_the_edge(it: Requirements, more: str) -> None:
    from dataclasses import replace

    before, after = decide(it), decide(replace(it, needs=it.needs | {more}))
    if before.pattern is None or after.pattern is None or before.pattern == "passthrough":
        # From passthrough the boundary moves, and the advice says what is given up.
        assert after.pattern in {None, "passthrough"} or after.gives_up or before.pattern is None
        return
    assert STRENGTH[after.pattern] >= STRENGTH[before.pattern]


@pytest.mark.parametrize("answers", list(itertools.product(ANSWERS, ANSWERS, ["yes", "no"])))
def test_data_of_a_major_incident_is_never_advised_into_plaintext_on_a_network(answers: tuple[str, str, str]) -> None:
    tls, asks, same = answers
    it = Requirements(data="major-incident", backend_tls=tls, backend_asks=asks, same_host=same)  # type: ignore[arg-type]
    assert advise(it).pattern != "plaintext" or same == "yes"


SERVICES = [
    (
        "bank payments",
        "passthrough",
        Requirements(needs=frozenset({"end-to-end-confidentiality"}), data="major-incident", backend_tls="yes"),
    ),
    (
        "smart-card login",
        "passthrough",
        Requirements(needs=frozenset({"client-certificate-at-backend"}), backend_tls="yes"),
    ),
    ("tcp device", "passthrough", Requirements(role="transport", backend_tls="yes")),
    (
        "public api",
        "mutual",
        Requirements(needs=frozenset({"path-routing", "request-log"}), backend_tls="yes", backend_asks="yes"),
    ),
    (
        "grpc mesh entry",
        "mutual",
        Requirements(needs=frozenset({"grpc", "backend-knows-edge"}), backend_tls="yes", backend_asks="yes"),
    ),
    ("shop behind a waf", "mutual", Requirements(needs=frozenset({"waf"}), data="confidential")),
    ("blog behind a cache that nobody built", None, Requirements(needs=frozenset({"caching"}), data="public")),
    ("retries on one backend", None, Requirements(needs=frozenset({"retries"}), several="no")),
    ("chat over grpc", "mutual", Requirements(needs=frozenset({"grpc", "websocket"}))),
    ("saas with its own certificate", "reencrypt", Requirements(role="control", backend_tls="yes", backend_asks="no")),
    (
        "video origin",
        "reencrypt",
        Requirements(needs=frozenset({"http-metrics"}), data="public", backend_tls="yes", backend_asks="no"),
    ),
    (
        "wiki on a vendor box",
        "plaintext",
        Requirements(role="control", data="internal", backend_tls="no", backend_asks="no"),
    ),
    (
        "app on this host",
        "plaintext",
        Requirements(role="control", backend_tls="no", backend_asks="no", same_host="yes"),
    ),
    ("passkeys through a waf", None, Requirements(needs=frozenset({"end-to-end-confidentiality", "waf"}))),
    ("medical records on an old box", None, Requirements(role="control", data="major-incident", backend_tls="no")),
]


@pytest.mark.parametrize(("name", "pattern", "it"), SERVICES, ids=[n for n, _, _ in SERVICES])
def test_services_get_the_pattern_that_the_field_would_choose(
    name: str, pattern: str | None, it: Requirements, tmp_path: Path
) -> None:
    advice = advise(it)
    assert advice.pattern == pattern
    if pattern is None:
        return
    at = "127.0.0.1:8080" if it.same_host == "yes" else "10.0.0.9:8443"
    service = Service(name.replace(" ", "-"), "s.example.com", (at,), it)
    path = tmp_path / "everyhop.toml"
    path.write_text(configuration([(service, advice)]))
    if pattern == "plaintext" and it.same_host != "yes":
        with pytest.raises(Refused) as caught:
            compile_file(path, files="skip")
        assert [f.slug for f in caught.value.findings] == ["hop/plaintext-without-acceptance"], "the one refusal left"
        return
    assert compile_file(path, files="skip").plan.routes[0].name == service.name


@settings(max_examples=400, deadline=None)
@given(st.lists(REQUIREMENTS, min_size=1, max_size=3))
def test_what_is_advised_compiles_with_all_that_it_requires(asked: list[Requirements]) -> None:
    services = []
    for index, it in enumerate(asked):
        at = ("127.0.0.1:1", "127.0.0.1:2") if it.same_host == "yes" else ("10.0.0.5:8443", "10.0.0.6:8443")
        to = at[: 1 if it.several == "no" else 2]
        services.append((Service(f"s{index}", f"s{index}.example.com", to, it), advise(it)))
    text = configuration(services)
    try:
        compiled = compile_file("advised.toml", files="skip", text=text)
    except Refused as e:
        assert {f.slug for f in e.findings} == {"hop/plaintext-without-acceptance"}, (text, e.findings)
    else:
        written = {r.name: set(r.requires) for r in compiled.config.route}
        assert written == {s.name: set(s.requirements.needs) for s, a in services if a.pattern}


@pytest.mark.parametrize("name", sorted(n for n, row in CAPABILITIES.items() if row.writes))
def test_what_advise_writes_is_what_the_requirement_needs(name: str) -> None:
    """Each setting that is written for a capability is missed when it is not there."""
    row = CAPABILITIES[name]
    for setting in row.writes:
        if setting.key in ("sends", "takes", "paths"):
            continue  # without them nothing is shown and nothing said, or it is warned of: that is a decision as well
        pattern = sorted(row.patterns & setting.patterns)[0]
        it = Requirements(needs=frozenset({name}), role="transport" if pattern == "passthrough" else "control")
        service = Service("s", "s.example.com", ("10.0.0.5:8443",), it)
        text = configuration([(service, advise(it))])
        line = f"{setting.key} = {setting.value}\n"
        compile_file("advised.toml", files="skip", text=text)
        with pytest.raises(Refused) as caught:
            compile_file("advised.toml", files="skip", text=text.replace(line, ""))
        # Of a thing of its own, such as a collector or an issuer, nothing can be left out.
        whole = setting.table in ("collector", "traces", "issuer", "authorizer", "waf")
        wanted = "config/missing-key" if whole else "route/requirement-not-configured"
        also = ["limit/limits-nothing"] if setting.table == "limit" else []
        assert [f.slug for f in caught.value.findings if f.severity == "refused"] == [*also, wanted]


def test_services_that_contradict_each_other_are_told_before_the_file_is_used(tmp_path: Path) -> None:
    import subprocess
    import sys

    services = tmp_path / "services.yaml"
    services.write_text(
        "- name: pay\n  host: pay.example.com\n  needs: [blind-proxy]\n- name: all\n  host: '*.example.com'\n  role: control\n"
    )
    command = [sys.executable, "-m", "everyhop", "advise", "--services", str(services)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = " ".join(done.stdout.split())
    assert "route 'pay' requires blind-proxy: the edge holds a key for *.example.com in site 'edge'" in said, said


def test_every_setting_of_a_route_has_a_row_in_the_matrix() -> None:
    covered = {s for c in CAPABILITIES.values() for s in c.settings} | NEUTRAL
    assert set(Route.model_fields) == covered


def test_what_some_pattern_cannot_give_says_why_and_what_to_do_instead() -> None:
    for name, row in CAPABILITIES.items():
        if row.patterns != set(PATTERNS):
            assert row.reason and row.instead, name
    assert get_args(Pattern) == PATTERNS


def test_the_questions_can_be_skipped_taken_back_and_asked_again(tmp_path: Path) -> None:
    """In a real terminal, by keys."""
    import os
    import pty
    import subprocess
    import sys

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "everyhop", "advise"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    os.close(theirs)
    os.write(ours, b"c\n5\nb\n1,4\ni\ny\nx\nn\n\n10.0.0.9:80\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, out
    assert "that is none of the answers" in out and 'service: tls = "reencrypt"' in out
    assert 'requires = ["http-metrics", "path-routing", "request-log"]' in out
    assert list(tmp_path.iterdir()) == [], "nothing is written before it is asked for"


@pytest.mark.thorough
def test_several_services_make_one_configuration(tmp_path: Path) -> None:
    import json

    services = tmp_path / "services.yaml"
    services.write_text(
        "- name: payments\n  host: pay.example.com\n  to: 10.0.0.5:8443\n  needs: [end-to-end-confidentiality]\n  backend_tls: yes\n"
        "- name: api\n  host: api.example.com\n  to: [10.0.1.7:8443, 10.0.1.8:8443]\n  needs: [path-routing]\n  backend_tls: yes\n  backend_asks: yes\n"
        "- name: shop\n  host: shop.example.com\n  to: shop.internal:8443\n  role: control\n  backend_tls: yes\n  backend_asks: no\n"
    )
    path = tmp_path / "everyhop.toml"

    done = everyhop("advise", "--services", str(services), "--write", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert [s["pattern"] for s in json.loads(done.stdout)["services"]] == ["passthrough", "mutual", "reencrypt"]
    assert everyhop("check", "--no-files", str(path)).returncode == 0
    plan = compile_file(path, files="skip").plan
    assert len(plan.listeners) == 1 and [s.hosts for s in plan.sites] == [["api.example.com", "shop.example.com"]]
    assert everyhop("advise", "--services", str(services), "--write", str(path)).returncode == 4, "it never overwrites"
    services.write_text("- name: x\n  colour: red\n")
    assert everyhop("advise", "--services", str(services)).returncode == 2


@pytest.mark.parametrize("protocol", [it for it in PROTOCOLS if it != "http"])
@pytest.mark.parametrize(
    "need", ["path-routing", "request-log", "waf", "caching", "proxy-protocol", "client-certificate-at-edge"]
)
def test_what_needs_requests_read_is_a_conflict_for_a_service_that_has_none(protocol: str, need: str) -> None:
    advice = advise(Requirements(needs=frozenset({need}), protocol=protocol, role="control"))  # type: ignore[arg-type]
    if need in ("path-routing", "request-log", "waf"):
        ((between, _), because) = advice.conflicts[0].between, advice.conflicts[0].because
        assert advice.pattern is None and between == CAPABILITIES[need].title
        assert because == "a route of tcp carries bytes, and the edge reads no HTTP in them"
    else:
        assert advice.pattern == (None if need == "caching" else "mutual")


def test_services_of_several_protocols_make_one_configuration_with_a_port_for_each(tmp_path: Path) -> None:
    asked = [
        ("web", "http", {"backend_tls": "yes", "backend_asks": "yes"}),
        ("db", "postgres", {"backend_tls": "yes", "backend_asks": "yes", "needs": frozenset({"proxy-protocol"})}),
        ("mail", "smtp", {"backend_tls": "yes", "backend_asks": "no"}),
        ("box", "imap", {"role": "transport", "backend_tls": "yes"}),
        ("queue", "mqtt", {"needs": frozenset({"client-certificate-at-edge"})}),
        ("cache", "redis", {"backend_tls": "no", "same_host": "yes"}),
    ]
    services = []
    for name, protocol, answers in asked:
        it = Requirements(protocol=protocol, several="no", **answers)  # type: ignore[arg-type]
        services.append((Service(name, f"{name}.example.com", ("127.0.0.1:7000",), it), advise(it)))
    plan = compile_file("advised.toml", files="skip", text=configuration(services)).plan
    bound = {it.name: (it.bind, it.speaks) for it in plan.listeners}
    assert sorted(bound) == ["imap", "mqtt", "postgres", "public", "redis", "smtp"]
    assert {name: at for name, (at, _) in bound.items()} == {
        name: [f"[::]:{443 if name == 'public' else SPOKEN[name].port}"] for name in bound
    }
    ways = {it.name: it.way for it in plan.routes}
    assert {name: way.ends for name, way in ways.items()} == {
        **dict.fromkeys(["web", "db", "mail", "queue", "cache"], "at_edge"),
        "box": "at_backend",
    }
    assert {it.name: (it.protocol, it.alpn) for it in plan.sites} == {
        "edge": ("http", ["h2", "http/1.1"]),
        "edge-postgres": ("tcp", ["postgresql"]),
        "edge-smtp": ("tcp", []),
        "edge-mqtt-demanding": ("tcp", []),
        "edge-redis": ("tcp", []),
    }
