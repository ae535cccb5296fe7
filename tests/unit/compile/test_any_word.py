"""Whatever word stands for a setting of a route, or of anything that is beside one: it is taken or refused where it stands, and is nobody's fault but the file's."""

from __future__ import annotations

from typing import get_args, get_origin

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.model import (
    Authorizer,
    CaIdentity,
    Collector,
    Config,
    FileIdentity,
    Issuer,
    Limit,
    Listener,
    Route,
    Site,
    Store,
    Waf,
)
from everyhop.model.base import Section

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
    "[502]",
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
                assert len({(f.place, f.what) for f in e.findings}) == len(e.findings), "each is told once"
    assert taken < len(WAYS) * len(WORDS), "not each word is one"


OTHERS: dict[str, tuple[type[Section], dict[str, str]]] = {
    "listener": (Listener, {"name": '"x"', "bind": '["127.0.0.1:8444"]'}),
    "site": (Site, {"name": '"x"', "hosts": '["x.test"]', "certs": '[{ chain = "c", key = "file:k" }]'}),
    "identity": (FileIdentity, {"name": '"x"', "chain": '"c"', "key": '"file:k"'}),
    "identity by ca": (CaIdentity, {"name": '"x"', "from": '"ca"', "authority": '"ca.test:1"'}),
    "issuer": (
        Issuer,
        {
            "name": '"x"',
            "issuer": '"i"',
            "audience": '"a"',
            "algorithms": '["ES256"]',
            "keys": '{ from = "https://k.test/k", verify = { ca = "c" } }',
        },
    ),
    "store": (Store, {"name": '"x"', "tls": '"plaintext"', "to": '["127.0.0.1:2"]'}),
    "limit": (Limit, {"name": '"x"', "rate": '"1/s"', "by": '["client-address"]'}),
    "collector": (Collector, {"name": '"x"', "tls": '"plaintext"', "to": '["127.0.0.1:3"]'}),
    "authorizer": (Authorizer, {"name": '"x"', "path": '"/x"', "tls": '"plaintext"', "to": '["127.0.0.1:4"]'}),
    "waf": (Waf, {"name": '"x"'}),
}


@pytest.mark.parametrize(
    ("kind", "key"),
    [(kind, field.alias or name) for kind, (of, _) in OTHERS.items() for name, field in of.model_fields.items()],
)
def test_a_setting_of_what_is_beside_a_route_is_taken_or_refused_whatever_it_says(kind: str, key: str) -> None:
    taken = 0
    for word in WORDS:
        given = {**OTHERS[kind][1], key: word}
        lines = "".join(f"{name} = {value}\n" for name, value in given.items())
        text = f'{HEAD}[[{kind.split()[0]}]]\n{lines}[[route]]\nname = "r"\n{WAYS[0]}'
        try:
            compile_file("any.toml", files="skip", text=text)
            taken += 1
        except Refused as e:
            assert e.findings and all(f.place.line for f in e.findings), word
            assert len({(f.place, f.what) for f in e.findings}) == len(e.findings), "each is told once"
    assert taken < len(WORDS), "not each word is one"


TABLES = {
    name: of
    for name, field in Config.model_fields.items()
    for of in (field.annotation, *get_args(field.annotation))
    if get_origin(field.annotation) is not list and isinstance(of, type) and issubclass(of, Section)
}


@pytest.mark.parametrize(
    ("table", "key"),
    [(table, field.alias or name) for table, of in TABLES.items() for name, field in of.model_fields.items()],
)
def test_a_setting_of_the_whole_is_taken_or_refused_whatever_it_says(table: str, key: str) -> None:
    taken = 0
    for word in WORDS:
        text = f'{HEAD}[[route]]\nname = "r"\n{WAYS[0]}[{table}]\n{key} = {word}\n'
        try:
            compile_file("any.toml", files="skip", text=text)
            taken += 1
        except Refused as e:
            assert e.findings and all(f.place.line for f in e.findings), word
            assert len({(f.place, f.what) for f in e.findings}) == len(e.findings), "each is told once"
    assert taken < len(WORDS), "not each word is one"
