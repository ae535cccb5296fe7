"""A route that is refused keeps no other from being judged, and of several things that are wrong each is told."""

from __future__ import annotations

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test", "b.test", "c.test"]
certs = [{ chain = "x", key = "file:y" }]
[[issuer]]
name = "corp"
issuer = "https://login.test"
audience = "api"
keys = { file = "keys.json" }
algorithms = ["ES256"]
"""


def refused(*routes: str) -> list[Finding]:
    text = HEAD
    for name, more in zip("abc", routes, strict=False):
        text += f'[[route]]\nname = "{name}"\nhost = "{name}.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n{more}\n'
    with pytest.raises(Refused) as caught:
        compile_file("x.toml", files="skip", text=text)
    return [it for it in caught.value.findings if it.severity == "refused"]


@pytest.mark.parametrize(
    "wrong",
    ['log = "off"', "health = {}", 'health = { path = "/healthz", connect = true }'],
    ids=["where lines go", "a check that asks nothing", "a check that asks two things"],
)
def test_of_two_routes_that_are_wrong_alike_both_are_told(wrong: str) -> None:
    found = refused(wrong, "", wrong)
    assert {it.identity[2] for it in found} >= {"a", "c"}, found
    assert len({it.slug for it in found}) == 1


def test_what_a_mirror_is_told_names_nothing_of_a_token() -> None:
    jwt = 'jwt = { issuer = "corp" }\nrequest = { set = { x-user = "{claim.sub}" } }\n'
    mirror = 'mirror = { to = ["127.0.0.1:2"], request = { set = { x-user = "{claim.sub}" } } }'
    assert [(it.slug, it.identity[3:5]) for it in refused(jwt + mirror)] == [("route/variable", ("mirror", "request"))]


def test_of_fields_that_no_line_can_have_the_first_is_named() -> None:
    log = 'log = { to = "/var/log/x.log", fields = ["time", "header:x-first", "header:x-second"] }\nprotocol = "tcp"\n'
    (found,) = [it for it in refused(log) if it.slug == "log/fields"]
    assert "header:x-first" in found.what and "x-second" not in found.what
