"""The engine takes the questions of `engine/messages.py` and no others, and what it answers has their forms."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.engine import messages as m
from everyhop.engine.control import Control, EngineRefused
from everyhop.engine.frames import framed, listening, receive, send
from everyhop.engine.process import start
from tests.contract.test_plan import objects

DIGEST = "0" * 64
ONE = {"id": "ca/x", "chain_sha256": DIGEST, "key_sha256": None, "not_after_s": None}
QUESTIONS: list[tuple[m.Ask, type[m.Answer], str | None]] = [
    (m.Hello(), m.Welcome, None),
    (m.Listen(threads=1, sockets=[], status=None), m.Listening, None),
    (
        m.Listen(threads=1, sockets=[m.Socket(listener="l", bind="127.0.0.1:1", thread=0)], status="127.0.0.1:2"),
        m.Listening,
        "control/descriptor",
    ),
    (
        m.Apply(
            plan="{}",
            plan_digest=DIGEST,
            material=[m.Material.model_validate(ONE)],
            material_digest=DIGEST,
            names={},
            logs=[],
            zone="a",
            inspector="a",
        ),
        m.Applied,
        "engine/material",
    ),
    (m.Inspector(id="a", at_once=2), m.Heard, "control/descriptor"),
    (m.Signers(), m.Heard, None),
    (m.Challenges(challenges=[]), m.Heard, None),
    (m.Challenges(challenges=[m.SaidInTheClear(name="a.test", token="t", text="t.k")]), m.Heard, None),
    (
        m.Challenges(challenges=[m.ShownInTls(name="a.test", certificate=m.Shown(chain="", key=""))]),
        m.Heard,
        "plan/unusable",
    ),
    (m.Names(names={}), m.Named, None),
    (m.Log(logs=["stdout"]), m.Reopened, "control/descriptor"),
    (m.Log(logs=[]), m.Reopened, None),
    (m.Adopt(), m.Sockets, None),
    (m.Status(), m.Seen, None),
    (m.Troubles(troubles=[m.Trouble(kind="reload-refused", about="a", why="b")]), m.Troubled, None),
    (m.Plan(), m.Running, None),
    (m.Wanted(wait_ms=1), m.WantedKeys, None),
    (m.Keys(issuers=[m.Asked(issuer="corp", question=1, failed=False, fetched_s=None)]), m.Heard, None),
    (
        m.Where(
            listener=None,
            sni=None,
            host="a.test",
            path="/",
            method="GET",
            headers=[("a", "b")],
            client=None,
            token=None,
        ),
        m.Judged,
        "engine/no-plan",
    ),
    (m.Reach(), m.Listening, "control/descriptor"),
    (m.Retire(retire_s=60), m.Draining, None),
    (m.Drain(drain_s=60), m.Draining, None),
    (m.Stop(), m.Stopping, None),
]
IDS = [f"{n}-{question.ask}" for n, (question, _, _) in enumerate(QUESTIONS)]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Control]:
    """An engine that was told nothing yet."""
    path = folder / "engine.sock"
    with listening(path) as sock:
        started = start(sock, "off")
    control = Control.connect(path)
    try:
        yield control
    finally:
        control.close()
        started.process.kill()
        started.process.wait()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with running(tmp_path_factory.mktemp("engine")) as control:
        yield control


def told(control: Control, body: str) -> dict[str, object]:
    send(control.sock, framed(body.encode()))
    got = receive(control.sock)
    assert got is not None
    for fd in got[1]:
        os.close(fd)
    return got[0]


def test_every_question_is_asked_here() -> None:
    union = typing.get_args(typing.get_args(m.Question)[0])
    assert {type(question) for question, _, _ in QUESTIONS} == set(union)


@pytest.mark.parametrize(("question", "of", "slug"), QUESTIONS, ids=IDS)
def test_the_engine_takes_the_question_and_answers_in_its_form(
    question: m.Ask, of: type[m.Answer], slug: str | None, tmp_path: Path
) -> None:
    with running(tmp_path) as control:
        try:
            answer: m.Answer | None = control.must(question, of)
        except EngineRefused as e:
            answer = None
            assert e.slug == slug
        assert (answer is None) == (slug is not None)


def test_an_engine_that_has_nothing_to_end_says_that_it_leaves_before_it_does(tmp_path: Path) -> None:
    """Others ask it meanwhile, who are answered sooner."""
    for n in range(10):
        (folder := tmp_path / str(n)).mkdir()
        with running(folder) as control, contextlib.closing(Control.connect(folder / "engine.sock")) as other:
            send(other.sock, framed(m.Status().model_dump_json().encode()))
            assert control.must(m.Drain(drain_s=60), m.Draining)


@pytest.mark.parametrize("question", [question for question, _, _ in QUESTIONS], ids=IDS)
def test_a_stray_or_dropped_key_is_refused_everywhere(question: m.Ask, engine: Control) -> None:
    whole: dict[str, Any] = json.loads(question.model_dump_json())
    for index, found in enumerate(objects(whole)):
        for key in [*found, None]:
            changed = copy.deepcopy(whole)
            at = next(o for i, o in enumerate(objects(changed)) if i == index)
            if key is None:
                at["stray"] = None
            else:
                del at[key]
            answer = told(engine, json.dumps(changed))
            assert answer.get("slug") == "control/malformed", (key, changed, answer)


def test_another_protocol_is_told_as_such_whatever_else_it_says(engine: Control) -> None:
    for body in ('{"protocol":2,"ask":"hello"}', '{"protocol":2,"question":"who"}'):
        assert told(engine, body).get("slug") == "control/protocol"
    for body in ("[]", "{", "null", '{"protocol":1}', '{"protocol":1,"ask":"dance"}'):
        assert told(engine, body).get("slug") == "control/malformed"
