"""The rules of identities and keys, and of revocation lists by URL: each that is wrong is told where it stands, and no other."""

from __future__ import annotations

import pytest

from everyhop.refusals import Finding
from tests.kit.findings import findings

HEAD = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test", "b.test"]
certs = [{ chain = "x", key = "file:y" }]
"""
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'


def found(text: str, head: str = HEAD) -> tuple[list[Finding], list[str]]:
    whole = head + text
    return findings(whole), whole.splitlines()


def told(text: str, head: str = HEAD) -> list[tuple[str, str]]:
    """What is found, and what it points at, to the end of the line."""
    findings, lines = found(text, head)
    return [(f.slug, lines[f.place.line - 1][f.place.column - 1 :]) for f in findings]


def identity(name: str, more: str) -> str:
    return f'[[identity]]\nname = "{name}"\n{more}\n'


@pytest.mark.parametrize(
    ("at", "fine"),
    [
        ("ca.internal:7443", True),
        ("10.0.0.1:7443", True),
        ("ca.internal", False),
        ("unix:/run/ca", False),
        ("srv:_ca._tcp.internal", False),
    ],
)
def test_an_authority_of_our_own_is_a_host_and_a_port(at: str, fine: bool) -> None:
    it = identity("i", f'from = "ca"\nauthority = "{at}"')
    assert told(ROUTE + it) == ([] if fine else [("identity/authority", f'"{at}"')])


@pytest.mark.parametrize(
    ("agent", "id_", "wrong"),
    [
        ("unix:/run/a.sock", "spiffe://td/edge", None),
        ("10.0.0.1:1", "spiffe://td/edge", ("identity/agent", '"10.0.0.1:1"')),
        ("/run/a.sock", "spiffe://td/edge", ("identity/agent", '"/run/a.sock"')),
        ("unix:/run/a.sock", "spiffe://td/*", ("identity/spiffe-id", '"spiffe://td/*"')),
        ("unix:/run/a.sock", "td/edge", ("identity/spiffe-id", '"td/edge"')),
    ],
)
def test_an_agent_is_a_socket_of_this_machine_and_gives_one_workload(
    agent: str, id_: str, wrong: tuple[str, str] | None
) -> None:
    it = identity("i", f'from = "spiffe"\nagent = "{agent}"\nid = "{id_}"')
    assert told(ROUTE + it) == ([wrong] if wrong else [])


def test_of_identities_in_one_folder_each_but_the_first_is_told_and_points_at_it() -> None:
    come = 'from = "ca"\nauthority = "ca.internal:1"\n'
    two = identity("one", come) + identity("two", f'{come}state = "identities/one"')
    three = two + identity("three", f'{come}state = "identities/one"')
    findings, lines = found(ROUTE + three)
    assert [(f.slug, lines[f.place.line - 1], lines[f.also[0].line - 1]) for f in findings] == [
        ("identity/folder", 'state = "identities/one"', 'name = "one"')
    ] * 2
    named = identity("one", f'{come}state = "identities/two"') + identity("two", come)
    assert told(ROUTE + named) == [("identity/folder", '"two"')]
    files = identity("files", 'chain = "c"\nkey = "file:k"') + identity("one", come)
    assert told(ROUTE + files) == []


def test_a_site_shows_an_identity_that_is_there_for_hosts_that_it_names() -> None:
    shows = HEAD.replace('certs = [{ chain = "x", key = "file:y" }]', 'certs = [{ identity = "i" }]')
    it = identity("other", 'chain = "c"\nkey = "file:k"') + identity("i", 'from = "ca"\nauthority = "ca.internal:1"')
    assert told(ROUTE + it, shows) == []
    findings, _ = found(ROUTE + it, shows.replace('identity = "i"', 'identity = "k"'))
    assert [(f.slug, f.mend) for f in findings] == [("config/unknown-name", ("one of: other, i",))]
    nameless = shows.replace('hosts = ["a.test", "b.test"]\n', "")
    assert ("identity/hosts", '"i" }]') in told(ROUTE + it, nameless)


TOKEN = "pkcs11:token=edge;object=two?module-path=/usr/lib/m.so&pin-source=file:p"


def test_a_key_in_a_token_is_told_wherever_it_stands_where_no_module_is_loaded() -> None:
    certs = f'certs = [{{ chain = "x", key = "file:y" }},\n{{ chain = "z", key = "{TOKEN}" }}]'
    both = HEAD.replace('certs = [{ chain = "x", key = "file:y" }]', certs)
    it = identity("f", 'chain = "c"\nkey = "file:k"') + identity("i", f'chain = "c"\nkey = "{TOKEN}"')
    assert [slug for slug, _ in told(ROUTE + it, both)] == ["key/needs-apart"] * 2
    apart = both.replace("version = 1\n", 'version = 1\n[engine]\nkeys = "apart"\n')
    assert told(ROUTE + it, apart) == []
    assert [slug for slug, _ in told(ROUTE + it, apart.replace("token=edge;", ""))] == ["key/uri"]


def test_an_issuer_is_shown_a_certificate_whose_key_the_supervisor_has() -> None:
    apart = HEAD.replace("version = 1\n", 'version = 1\n[engine]\nkeys = "apart"\n')
    two = identity("f", 'chain = "c"\nkey = "file:k"') + identity("t", f'chain = "c"\nkey = "{TOKEN}"')

    def shown(name: str) -> list[tuple[str, str]]:
        keys = f'{{ from = "https://k.test/k", verify = {{ ca = "c" }}, present = "{name}" }}'
        issuer = f'[[issuer]]\nname = "c"\nissuer = "i"\naudience = "a"\nalgorithms = ["ES256"]\nkeys = {keys}\n'
        return told(two + issuer + ROUTE + 'jwt = { issuer = "c" }\n', apart)

    assert shown("f") == [] and [slug for slug, _ in shown("t")] == ["key/not-there"]


BAD = "ldap://ca.test/l"
VERIFY = f'verify = {{ ca = "c", name = "n", crl = "{BAD}" }}'
CRL_AT = {
    "clients": (HEAD.replace("certs = ", f'clients = {{ ca = "c", crl = "{BAD}" }}\ncerts = '), ""),
    "a route": (HEAD, f'[[route]]\nname = "q"\nhost = "b.test"\ntls = "reencrypt"\nto = ["n.test:1"]\n{VERIFY}\n'),
    "a backend": (
        HEAD,
        f'[[route]]\nname = "q"\nhost = "b.test"\ntls = "reencrypt"\nto = [{{ at = "n.test:1", {VERIFY} }}]\n',
    ),
    "a mirror": (
        HEAD,
        '[[route]]\nname = "q"\nhost = "b.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
        f'mirror = {{ to = ["n.test:1"], tls = "reencrypt", {VERIFY} }}\n',
    ),
    "a collector": (HEAD, f'[[collector]]\nname = "x"\ntls = "reencrypt"\nto = ["n.test:1"]\n{VERIFY}\n'),
    "an authorizer": (
        HEAD,
        f'[[authorizer]]\nname = "x"\npath = "/x"\ntls = "reencrypt"\nto = ["n.test:1"]\n{VERIFY}\n',
    ),
    "a store": (HEAD, f'[[store]]\nname = "x"\ntls = "reencrypt"\nto = ["n.test:1"]\n{VERIFY}\n'),
    "an issuer": (
        HEAD,
        '[[issuer]]\nname = "x"\nissuer = "i"\naudience = "a"\nalgorithms = ["ES256"]\n'
        f'keys = {{ from = "https://n.test/k", {VERIFY} }}\n',
    ),
}


@pytest.mark.parametrize("where", CRL_AT)
def test_a_list_that_cannot_be_asked_for_is_told_wherever_it_is_named(where: str) -> None:
    head, text = CRL_AT[where]
    at = [points for slug, points in told(ROUTE + text, head) if slug == "crl/url"]
    assert len(at) == 1 and at[0].startswith(f'"{BAD}"')
    fine = [slug for slug, _ in told(*(it.replace(BAD, "http://ca.test/l") for it in (ROUTE + text, head)))]
    assert "crl/url" not in fine and "crl/unused" not in fine


def test_settings_of_lists_that_nobody_fetches_are_told_once_at_the_first() -> None:
    ((slug, at),) = told('[crl]\nstate = "s"\nrefresh_s = 60\n' + ROUTE)
    assert slug == "crl/unused" and at.startswith("refresh_s")


@pytest.mark.parametrize(
    ("policy", "more", "slug"),
    [
        ("intermediate", "", None),
        ("intermediate-5.7", "", "site/policy-outdated"),
        ("modern-5.7", "", "site/policy-outdated"),
        ("intermediate-5.7", "require_post_quantum = true\n", None),
    ],
)
def test_a_policy_that_has_aged_is_told_with_the_word_that_does_not(policy: str, more: str, slug: str | None) -> None:
    findings, _ = found(ROUTE, HEAD.replace("certs = ", f'policy = "{policy}"\n{more}certs = '))
    assert [f.slug for f in findings] == ([slug] if slug else [])
    assert all(f'policy = "{policy.partition("-")[0]}"' in f.mend[0] for f in findings)
