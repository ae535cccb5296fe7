"""A secret that stands in the configuration is refused with what has to stand there, and said nowhere: not to people, and not to
programs, which keep what they are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused
from everyhop.refusals import Finding, render, to_json
from tests.kit.findings import findings

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = {certs}
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
limited_by = ["one"]
[[limit]]
name = "one"
rate = "100/s"
store = "counters"
[[store]]
name = "counters"
to = ["127.0.0.1:6379"]
tls = "plaintext"
{store}
{more}
"""
FILES = '[{ chain = "x", key = "file:y" }]'
ACME = '[acme]\nauthority = ["https://ca.internal/dir"]\nterms_agreed = true\n'
SECRET = "hunter2-of-the-edge"
NUMBER = 271828182845


def text(certs: str = FILES, store: str = "", more: str = "") -> str:
    return HEAD.format(certs=certs, store=store, more=more)


def own(more: str) -> str:
    return text(more=f'[[identity]]\nname = "own"\nfrom = "ca"\nauthority = "ca.internal:7443"\n{more}\n')


WHERE = {
    "a site's key": (text(f'[{{ chain = "x", key = "{SECRET}" }}]'), 'key = "file:'),
    "an identity's key": (text(more=f'[[identity]]\nname = "i"\nchain = "x"\nkey = "{SECRET}"\n'), 'key = "file:'),
    "an identity's token": (own(f'token = "{SECRET}"'), 'token = "file:'),
    "the key of updates": (
        text('"acme"', more=f'{ACME}dns_update = {{ server = "10.0.0.53", key = "edge", secret = "{SECRET}" }}'),
        'secret = "file:',
    ),
    "the token of who changes a zone": (
        text('"acme"', more=f'{ACME}dns_http = {{ url = "https://dns.internal/x", token = "{SECRET}" }}'),
        'token = "file:',
    ),
    "a store's password": (text(store=f'password = "{SECRET}"'), 'password = "file:'),
    "the secret of tickets": (text(more=f'[tickets]\nkey = "{SECRET}"'), 'key = "file:'),
    "one of several secrets of tickets, each on a line": (
        text(more=f'[tickets]\nkey = [\n  "file:one",\n  "{SECRET}",\n]'),
        'key = "file:',
    ),
    "one of two secrets of tickets": (text(more=f'[tickets]\nkey = ["file:one", "{SECRET}"]'), 'key = "file:'),
}


def everything(found: list[Finding], given: str, file: str = "everyhop.toml") -> str:
    return f"{found!r}\n{json.dumps(to_json(found))}\n{render(found, {file: given})}"


@pytest.mark.parametrize("where", WHERE)
def test_a_secret_that_stands_in_the_file_is_said_nowhere_and_its_own_setting_is_offered(where: str) -> None:
    given, mend = WHERE[where]
    found = findings(given)
    (it,) = [f for f in found if f.slug == "secret/inline"]
    assert it.mend[0].startswith(mend)
    offered = mend.partition(" ")[0]
    assert {f"{offered} ="} == {m.partition("=")[0] + "=" for m in it.mend}, "each mend is of the setting itself"
    assert SECRET not in everything(found, given)


@pytest.mark.parametrize("where", WHERE)
def test_a_secret_that_is_a_number_for_want_of_quotes_is_said_nowhere_either(where: str) -> None:
    given = WHERE[where][0].replace(f'"{SECRET}"', str(NUMBER))
    found = findings(given)
    assert {f.slug for f in found} == {"config/wrong-type"}
    assert str(NUMBER) not in everything(found, given)


@pytest.mark.parametrize("url", ["https://me:{}@dns.internal/x", "https://dns.internal/x?token={}"])
def test_a_secret_within_a_url_is_said_nowhere(url: str) -> None:
    given = text('"acme"', more=f'{ACME}dns_http = {{ url = "{url.format(SECRET)}" }}')
    found = findings(given)
    assert "acme/dns" in {f.slug for f in found}
    assert SECRET not in everything(found, given)


@pytest.mark.parametrize(
    "key", ["\n  hunter2-of-the-edge", "\n  - file:one\n  - hunter2-of-the-edge", " 'hunter2-of-the-edge'"]
)
def test_a_secret_in_yaml_is_said_nowhere_whichever_line_it_stands_on(tmp_path: Path, key: str) -> None:
    given = f"""version: 1
listener: [{{ name: l, bind: ["127.0.0.1:8443"] }}]
site: [{{ name: s, hosts: [a.test], certs: [{{ chain: x, key: "file:y" }}] }}]
route: [{{ name: r, host: a.test, tls: plaintext, to: ["127.0.0.1:1"] }}]
tickets:
  key:{key.replace(chr(10), chr(10) + "  ")}
"""
    path = tmp_path / "everyhop.yaml"
    path.write_text(given)
    with pytest.raises(Refused) as caught:
        compile_file(path, files="skip")
    found = list(caught.value.findings)
    assert [f.slug for f in found] == ["secret/inline"]
    said = everything(found, given, str(path))
    assert SECRET not in said and "*" * len(SECRET) in said, "its line is shown"


@pytest.mark.parametrize(
    ("more", "file"),
    [("token = 't'", "token"), ("key = '-----BEGIN PRIVATE KEY-----'", "key.pem")],
)
def test_what_is_offered_for_a_secret_is_a_file_or_a_credential_by_the_name_of_its_setting(
    more: str, file: str
) -> None:
    setting = more.partition(" ")[0]
    given = own(more) if setting == "token" else text(more=f"[[identity]]\nname = 'i'\nchain = 'x'\n{more}\n")
    (it,) = [f for f in findings(given) if f.slug == "secret/inline"]
    assert it.mend == (f'{setting} = "file:/path/to/{file}"', f'{setting} = "cred:NAME" with systemd')
