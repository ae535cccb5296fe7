"""A file that cannot be used keeps no other from being read: of several that are wrong each is told, whatever stands before it, and
what is read elsewhere or later ends nothing either."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.compile import Compiled, compile_file
from everyhop.errors import Refused
from tests.kit import Pki

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "edge.pem", key = "file:edge.key" }]
"""
ROUTE = (
    '[[route]]\nname = "{name}"\nhost = "a.test"\npath = "/{name}"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n{more}\n'
)
ISSUER = '[[issuer]]\nname = "{name}"\nissuer = "https://{name}.test"\naudience = "api"\nkeys = {keys}\nalgorithms = ["ES256"]\n'
STORE = '[[store]]\nname = "{name}"\nto = ["127.0.0.1:6379"]\ntls = "plaintext"\n{more}\n'
LIMIT = '[[limit]]\nname = "{name}"\nrate = "100/s"\nstore = "{name}"\n'
GONE = 'file = "gone.json"'
FETCHED = 'from = "https://keys.test/", verify = { ca = "public-ca.pem", name = "keys.test" }'


def refused(pki: Pki, *parts: str) -> list[tuple[str, tuple[str | int, ...]]]:
    with pytest.raises(Refused) as caught:
        compiled(pki, *parts)
    return [(it.slug, it.identity[1:4]) for it in caught.value.findings if it.severity == "refused"]


def compiled(pki: Pki, *parts: str, environ: dict[str, str] | None = None) -> Compiled:
    return compile_file(pki.folder / "everyhop.toml", text=HEAD + "".join(parts), environ=environ or {})


@pytest.mark.parametrize("first", [FETCHED, GONE], ids=["one that is fetched later", "one that is not there"])
def test_the_keys_of_an_issuer_are_read_whatever_stands_before_it(pki: Pki, first: str) -> None:
    parts = [ISSUER.format(name=name, keys=f"{{ {keys} }}") for name, keys in (("a", first), ("b", GONE))]
    parts += [ROUTE.format(name=name, more=f'jwt = {{ issuer = "{name}" }}') for name in "ab"]
    told = [it for it in refused(pki, *parts) if it[0] == "issuer/keys"]
    assert [whose for _, (_, whose, _) in told] == (["b"] if first is FETCHED else ["a", "b"])


def test_who_may_sign_in_is_read_of_each_route_though_one_asks_nobody_and_another_names_the_same_file(
    pki: Pki, tmp_path: Path
) -> None:
    (tmp_path / "one.users").write_text("nonsense\n")
    files = {"b": tmp_path / "one.users", "c": tmp_path / "one.users", "d": tmp_path / "gone.users"}
    asks = {name: f'basic = {{ file = "{file}" }}' for name, file in files.items()}
    parts = [ROUTE.format(name=name, more=asks.get(name, "")) for name in "abcd"]
    told = [it for it in refused(pki, *parts) if it[0].startswith("users/")]
    assert [whose for _, (_, whose, _) in told] == ["b", "d"], "what is wrong with one file is told once"


@pytest.mark.parametrize("first", ["", 'password = "inline"', 'password = "file:gone"'])
def test_the_password_of_a_store_is_read_whatever_stands_before_it(pki: Pki, first: str) -> None:
    parts = [STORE.format(name="a", more=first), STORE.format(name="b", more='password = "file:gone"')]
    parts += [LIMIT.format(name=name) for name in "ab"]
    parts += [ROUTE.format(name=name, more=f'limited_by = ["{name}"]') for name in "ab"]
    told = [it for it in refused(pki, *parts) if it[0] == "store/password"]
    assert [whose for _, (_, whose, _) in told] == (["a", "b"] if "gone" in first else ["b"])


@pytest.mark.parametrize("first", ["inline", "file:gone"])
def test_a_secret_of_tickets_is_read_whatever_stands_before_it(pki: Pki, first: str) -> None:
    route = ROUTE.format(name="a", more="")
    with pytest.raises(Refused) as caught:
        compiled(pki, route, f'[tickets]\nkey = ["{first}", "file:also-gone"]\n')
    told = [it for it in caught.value.findings if it.slug == "tickets/key"]
    assert ["also-gone" in it.what for it in told] == ([True] if first == "inline" else [False, True])


def test_of_two_sites_whose_certificates_cannot_be_read_both_are_told(pki: Pki) -> None:
    second = '[[site]]\nname = "t"\nhosts = ["t.test"]\ncerts = [{ chain = "gone.pem", key = "file:edge.key" }]\n'
    text = HEAD.replace("edge.pem", "gone.pem") + second + ROUTE.format(name="a", more="")
    with pytest.raises(Refused) as caught:
        compile_file(pki.folder / "everyhop.toml", text=text)
    told = [it.identity[2] for it in caught.value.findings if it.slug == "certificate/unreadable"]
    assert told == ["s", "t"]
