"""At most seven questions in plain words. Each can be skipped, each says why it is asked, and there is a way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer

from everyhop.screen import line, lines


@dataclass(frozen=True)
class Question:
    key: str
    text: str
    why: str
    choices: dict[str, Any]


NEEDS = {
    "1": ("path-routing",),
    "2": ("waf",),
    "3": ("jwt",),
    "4": ("http-metrics", "request-log"),
    "5": ("end-to-end-confidentiality",),
    "6": ("client-certificate-at-backend",),
    "7": ("backend-knows-edge",),
}

QUESTIONS = (
    Question(
        "role",
        "Is the edge a transport device or a control point for this service?",
        "a control point reads every request; a transport device reads none",
        {"t": "transport", "c": "control"},
    ),
    Question(
        "needs",
        "What must it be able to do? (several: 1,4)\n   1 route by path   2 WAF   3 check tokens (JWT)\n   4 HTTP metrics and request log\n   5 nobody in between may read   6 the backend sees the client's certificate\n   7 the backend knows that it is us",
        "some of these need a reader at the edge, some forbid one",
        {},
    ),
    Question(
        "data",
        "What would a leak of its data be?",
        "what would be a major incident does not travel unencrypted, not even inside",
        {"p": "public", "i": "internal", "c": "confidential", "m": "major-incident"},
    ),
    Question(
        "backend_tls",
        "Can the backend hold a certificate and speak TLS?",
        "it decides whether the hop can be encrypted at all",
        {"y": "yes", "n": "no"},
    ),
    Question(
        "backend_asks",
        "Can it demand a certificate from us?",
        "then it knows that it is the edge who calls, and refuses everyone else",
        {"y": "yes", "n": "no"},
    ),
    Question(
        "same_host",
        "Is it on the edge's own host, on loopback or a Unix socket?",
        "a hop that never leaves the host needs no acceptance",
        {"y": "yes", "n": "no"},
    ),
    Question("to", "Where is it? (host:port)", "the configuration needs an address", {}),
)


def ask_all() -> dict[str, Any]:
    """The answers. Enter skips, `b` goes back; nothing is written anywhere."""
    found: dict[str, Any] = {}
    at = 0
    line("Seven questions; Enter for not sure, b for back.")
    line()
    while at < len(QUESTIONS):
        question = QUESTIONS[at]
        choices = " ".join(f"[{k}]{v.removeprefix(k)}" for k, v in question.choices.items())
        lines(f"{at + 1}. {question.text}\n   (why: {question.why})")
        given = (
            typer.prompt(f"   {choices}".rstrip() or "  ", default="", show_default=False, prompt_suffix=" > ")
            .strip()
            .lower()
        )
        if given == "b":
            at = max(0, at - 1)
            continue
        if given and not take(question, given, found):
            line("   that is none of the answers")
            line()
            continue
        if not given:
            found.pop(question.key, None)
        at += 1
        line()
    return found


def take(question: Question, given: str, found: dict[str, Any]) -> bool:
    if question.key == "needs":
        numbers = [n.strip() for n in given.split(",")]
        if not all(n in NEEDS for n in numbers):
            return False
        found["needs"] = [need for n in numbers for need in NEEDS[n]]
    elif question.key == "to":
        found["to"] = [given]
    elif given[0] in question.choices:
        found[question.key] = question.choices[given[0]]
    else:
        return False
    return True
