"""Whatever word stands for a setting of a route: it is taken or refused where it stands, and is nobody's fault but the file's."""

from __future__ import annotations

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.model import Route

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "x", key = "file:y" }]
"""
WORDS = (
    '"no such: word"',
    '""',
    '"*"',
    '":"',
    '"hash:"',
    '"/"',
    '"\\u0000"',
    '"é"',
    '[""]',
    '["no: such"]',
    '{ x = "" }',
)
KEYS = sorted({field.alias or name for name, field in Route.model_fields.items()} - {"name", "host", "tls", "to"})
WAYS = (
    'host = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1", "127.0.0.1:2"]\n',
    'host = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:1"]\n',
    'host = "a.test"\nanswer = { status = 200 }\n',
    'host = "a.test"\ntls = "plaintext"\nprotocol = "tcp"\nto = ["127.0.0.1:1"]\n',
)


@pytest.mark.parametrize("key", KEYS)
def test_a_setting_of_a_route_is_taken_or_refused_whatever_it_says(key: str) -> None:
    taken = 0
    for way in WAYS:
        for word in WORDS if f"\n{key} = " not in f"\n{way}" else ():
            text = f'{HEAD}[[route]]\nname = "r"\n{way}{key} = {word}\n'
            try:
                compile_file("any.toml", files="skip", text=text)
                taken += 1
            except Refused as e:
                assert {f.place.line for f in e.findings} <= {*range(1, text.count("\n") + 1)}, (word, e.findings)
    assert taken < len(WAYS) * len(WORDS), "not each word is one"
