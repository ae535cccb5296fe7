"""What is refused of a case is refused of it beside things of every kind that are fine, whether they stand before it or behind:
none hides another, and none is told of."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from tests.refusals.test_cases import ALL, PRELUDE

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
TO = 'tls = "plaintext"\nto = ["127.0.0.1:7001", "127.0.0.1:7002"]\n'
EACH = {
    "plain": TO + 'headers = { x-tenant = "a" }\ncookie = { canary = "1" }\n',
    "answered": 'answer = { status = 200, text = "well" }\n',
    "redirected": 'redirect = { to = "https://elsewhere.test{path}" }\n',
    "full": TO + 'method = ["GET", "PUT", "OPTIONS"]\npath = "/v1"\n'
    'strip = "/v1"\nhost_header = "shop.internal"\ncors = { origins = ["https://a.example"], methods = ["PUT"] }\n'
    'cookies = { secure = true }\nrequest = { set = { x-a = "1" }, remove = ["x-b"] }\nresponse = { add = { x-c = "2" } }\n'
    'health = { path = "/healthz" }\nretries = { on = [502] }\nmost = { requests = 100, waiting = 10 }\n'
    'eject_on = ["timeouts", { slow_ms = 500 }]\nlimited_by = ["fine"]\nask = "fine"\npaths = "strict"\n'
    'mirror = { to = ["127.0.0.1:7003"] }\nlog = "/var/log/everyhop/fine.log"\n',
    "signed": TO + 'basic = { file = "fine.users", forward = "x-user" }\nsticky = { cookie = "fine" }\n',
    "token": TO + 'jwt = { issuer = "fine", forward = { sub = "x-user" } }\nupgrades = ["websocket"]\n'
    'rewrite = "/to{path}"\nbalance = "least-requests"\n',
    "passed": 'tls = "passthrough"\nto = ["127.0.0.1:7004"]\nhealth = { connect = true }\nbalance = "least-connections"\n',
    "carried": TO + 'protocol = "tcp"\n',
}


def fine() -> str:
    """One thing of every kind but a listener, and routes of every kind, all in use."""
    hosts = ", ".join(f'"{name}.fine.test"' for name in EACH if name not in ("passed", "carried"))
    certs = 'certs = [{ chain = "fine.pem", key = "file:fine.key" }]\n'
    text = f'[[site]]\nname = "fine"\nhosts = [{hosts}]\n{certs}hsts = {{ max_age_s = 3600 }}\n'
    text += f'[[site]]\nname = "fine-tcp"\nhosts = ["carried.fine.test"]\n{certs}'
    text += '[[identity]]\nname = "fine"\nchain = "fine-id.pem"\nkey = "file:fine-id.key"\n'
    text += '[[issuer]]\nname = "fine"\nissuer = "https://fine.test"\naudience = "api"\nalgorithms = ["ES256"]\n'
    text += 'keys = { file = "fine.json" }\n'
    text += '[[store]]\nname = "fine"\ntls = "plaintext"\nto = ["127.0.0.1:6379"]\n'
    text += '[[limit]]\nname = "fine"\nrate = "10/s"\nby = ["client-address"]\nstore = "fine"\n'
    text += '[[authorizer]]\nname = "fine"\npath = "/auth"\ntls = "plaintext"\nto = ["127.0.0.1:4180"]\n'
    for name, more in EACH.items():
        text += f'[[route]]\nname = "fine-{name}"\nhost = "{name}.fine.test"\n{more}'
    return text


FINE = fine()
# What is fine at one listener is not at another, and tickets are of use where a site is.
OF_LISTENERS = re.compile(r"^(?:serve = |listeners = |starttls = |\[tickets\])", re.M)


def found(text: str) -> Counter[tuple[str, str, str]]:
    try:
        findings = compile_file("beside.toml", now=NOW, files="skip", text=text).findings
    except Refused as e:
        findings = e.findings
    return Counter((it.severity, it.slug, it.what) for it in findings)


def whole(wrong: str) -> str:
    today = NOW.date()
    for mark, day in (
        ("@today", today),
        ("@later", today + dt.timedelta(60)),
        ("@too-late", today + dt.timedelta(400)),
    ):
        wrong = wrong.replace(mark, str(day))
    return wrong.replace("# !whole\n", "") if "!whole" in wrong else PRELUDE + wrong


CASES = [
    (head, text)
    for _, head, wrong, _ in ALL
    if "yaml" not in head and "[[" in (text := whole(wrong)) and not OF_LISTENERS.search(text)
]


def test_what_is_to_stand_beside_is_fine() -> None:
    assert found(PRELUDE + FINE) == Counter()


@pytest.mark.parametrize(("head", "text"), CASES, ids=[head for head, _ in CASES])
def test_what_is_wrong_is_told_alike_behind_what_is_fine_and_before_it(head: str, text: str) -> None:
    alone = found(text)
    at = re.search(r"^\[\[", text, re.M)
    assert at is not None
    for beside in (text[: at.start()] + FINE + text[at.start() :], f"{text}\n{FINE}"):
        assert found(beside) == alone
