"""Where keys are, whence certificates come and who can open tickets: what is said of it, held to who does it.

What a taken engine has in its memory is seen in `tests/wire/test_keys_apart.py`, and what a shared secret opens in `test_tickets.py`.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.acme.due import SHORT, renew_at
from everyhop.compile import compile_file
from everyhop.explain import about_route
from everyhop.plan import Plan
from everyhop.trust import Held, RouteTrust, trust_map

HEAD = 'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
FILES = 'certs = [{ chain = "site.pem", key = "env:KEY" }]\n'
SITE = '[[site]]\nname = "s"\nhosts = ["a.test"]\n'
HOP = 'to = ["10.0.0.1:1"]\nverify = { ca = "c.pem", name = "n" }\n'
ROUTE = f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "mutual"\npresent = "i"\n{HOP}'
IDENTITY = '[[identity]]\nname = "i"\n'
BY_FILES = f'{IDENTITY}chain = "i.pem"\nkey = "file:i.key"\n'
BY_CA = f'{IDENTITY}from = "ca"\nauthority = "ca.internal:7443"\n'
BY_SPIFFE = f'{IDENTITY}from = "spiffe"\nagent = "unix:/run/agent.sock"\nid = "spiffe://corp.example/edge"\n'
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "everyhop.toml"
    path.write_text(HEAD + text)
    return compile_file(path, files="skip").plan


def mapped(folder: Path, text: str) -> RouteTrust:
    return trust_map(plan_of(folder, text))[0]


def of(it: RouteTrust, whose: str) -> Held:
    (found,) = (key for key in it.keys if key.whose == whose)
    return found


@pytest.mark.parametrize(("engine", "at"), [("", "engine"), ('[engine]\nkeys = "apart"\n', "keyholder")])
def test_each_key_of_a_route_is_told_once_with_the_process_that_has_it(tmp_path: Path, engine: str, at: str) -> None:
    it = mapped(tmp_path, engine + SITE + FILES + BY_FILES + ROUTE)
    assert [(key.whose, key.at) for key in it.keys] == [("site 's'", at), ("identity 'i'", at)]
    for key in it.keys:
        assert ("takes it away" in key.sentence) == (at == "engine")
        assert ("does not take it away" in key.sentence) == (at == "keyholder")
        assert key.sentence in about_route(it, NOW)
    assert ("has the keys to go on" in it.attackers["edge"].why) == (at == "engine")
    assert it.attackers["edge"].why.endswith("takes no key away") == (at == "keyholder")


@pytest.mark.parametrize("key", ["file:site.key", "pkcs11:token=edge;object=shop?module-path=/m.so&pin-source=/pin"])
def test_what_a_taken_engine_takes_away_although_keys_are_apart_is_the_secret_of_tickets_that_edges_share(
    tmp_path: Path, key: str
) -> None:
    apart = '[engine]\nkeys = "apart"\n'
    rest = SITE + f'certs = [{{ chain = "site.pem", key = "{key}" }}]\n' + BY_FILES + ROUTE
    alone, shared = (mapped(tmp_path, apart + more + rest) for more in ("", '[tickets]\nkey = "file:tickets.key"\n'))
    assert alone.attackers["edge"].why.endswith("takes no key away")
    said = shared.attackers["edge"].why
    assert said.endswith("takes no key away, but for the secret of session tickets, which the engine has")


def test_a_key_in_a_token_is_told_as_that_and_in_no_process_of_ours(tmp_path: Path) -> None:
    uri = "pkcs11:token=edge;object=shop?module-path=/m.so&pin-source=/pin"
    site = f'certs = [{{ chain = "site.pem", key = "{uri}" }}]\n'
    it = mapped(tmp_path, '[engine]\nkeys = "apart"\n' + SITE + site + BY_FILES + ROUTE)
    key = of(it, "site 's'")
    assert (key.at, key.comes, key.origin) == ("token", "token", uri)
    assert (
        "does not give it to us" in key.sentence
        and f"It is {uri}, and its certificate comes from site.pem" in key.sentence
    )
    assert key.sentence in about_route(it, NOW)
    assert of(it, "identity 'i'").at == "keyholder"


@pytest.mark.parametrize(
    ("identity", "comes", "words"),
    [
        (BY_FILES, "files", "comes from file:i.key, and its certificate from i.pem: somebody else makes and renews both"),
        (BY_CA, "ca", "lies in identities/i. The authority at ca.internal:7443 issues the certificate, by a token at first"),
        (BY_SPIFFE, "spiffe", "The agent at unix:/run/agent.sock makes it, and so has it too, and gives it as spiffe://corp.example/edge"),
    ],
)  # fmt: skip
def test_whence_an_identity_comes_and_who_else_had_its_key(
    tmp_path: Path, identity: str, comes: str, words: str
) -> None:
    it = of(mapped(tmp_path, SITE + FILES + identity + ROUTE), "identity 'i'")
    assert it.comes == comes and words in it.sentence
    assert ("made here" in it.sentence) == (comes == "ca")


def test_a_site_that_shows_an_identity_says_whence_that_comes(tmp_path: Path) -> None:
    it = of(mapped(tmp_path, f'{SITE}certs = [{{ identity = "i" }}]\n{BY_CA}{ROUTE}'), "site 's'")
    assert it.comes == "ca" and "once half of its life is over" in it.sentence


def test_a_certificate_by_acme_is_renewed_when_it_is_said_to_be(tmp_path: Path) -> None:
    acme = '[acme]\nterms_agreed = true\nauthority = ["letsencrypt"]\n'
    it = of(
        mapped(tmp_path, f'{acme}{SITE}certs = "acme"\n{BY_FILES}{ROUTE}'.replace("a.test", "a.everyhop.dev")),
        "site 's'",
    )
    assert it.comes == it.origin == "acme" and "made here" in it.sentence
    assert "when the authority suggests it, or else with a third of its life left, of one that lives for less than ten days with half" in it.sentence  # fmt: skip
    for days, left in ((90, 30), (10, 10 / 3), (6, 3)):
        life = dt.timedelta(days=days)
        assert renew_at(NOW, NOW + life, None, 0.0) == NOW + life - dt.timedelta(days=left)
    assert dt.timedelta(days=10) == SHORT


def test_keys_of_whom_a_route_asks_are_its_keys_too_and_those_of_others_are_not(tmp_path: Path) -> None:
    secure = f'tls = "mutual"\npresent = "i"\n{HOP}'
    asked = f'[[authorizer]]\nname = "sso"\npath = "/auth"\nsends = ["cookie"]\n{secure}'
    told = f'[[collector]]\nname = "otel"\n{secure}[traces]\ncollector = "otel"\n'
    counted = f'[[store]]\nname = "x"\n{secure}[[limit]]\nname = "lim"\nrate = "1/s"\nstore = "x"\n'
    keyed = (
        '[[issuer]]\nname = "corp"\nissuer = "https://i.test"\naudience = "a"\nalgorithms = ["ES256"]\n'
        'keys = { from = "https://i.test/keys", verify = { ca = "c.pem" }, present = "i" }\n'
    )
    near = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    for beside, uses in ((asked, 'ask = "sso"\n'), (told, ""), (counted, 'limited_by = ["lim"]\n'), (keyed, 'jwt = { issuer = "corp" }\n')):  # fmt: skip
        it = mapped(tmp_path, SITE + FILES + BY_FILES + beside + near + uses)
        assert [key.whose for key in it.keys] == ["site 's'", "identity 'i'"], beside
        not_used = mapped(tmp_path, SITE + FILES + BY_FILES + beside + near + ("" if uses else "traces = false\n"))
        assert [key.whose for key in not_used.keys] == ["site 's'"], beside


def test_where_tls_passes_through_only_keys_that_are_good_for_it_are_told_and_no_tickets(tmp_path: Path) -> None:
    blind = '[[route]]\nname = "r"\nhost = "p.test"\ntls = "passthrough"\nto = ["10.0.0.1:1"]\n'
    it = mapped(tmp_path, SITE + FILES + blind)
    assert it.keys == () and it.tickets is None
    it = mapped(tmp_path, SITE.replace("a.test", "*.test") + FILES + blind)
    assert [key.whose for key in it.keys] == ["site 's'"] and it.tickets is None


def test_where_no_tls_comes_no_key_of_a_site_and_no_ticket_is_told(tmp_path: Path) -> None:
    serves = '[[listener]]\nname = "inner"\nbind = ["127.0.0.1:8080"]\nspeaks = "http"\nserve = true\n'
    it = mapped(tmp_path, serves + SITE + FILES + BY_FILES + ROUTE + 'listeners = ["inner"]\n')
    assert [key.whose for key in it.keys] == ["identity 'i'"] and it.tickets is None


@pytest.mark.parametrize(
    ("verify", "by"),
    [
        ('ca = "c.pem", name = "n"', "chain and name"),
        ('ca = "c.pem", name = "n", crl = "l"', "chain and name, unless it was revoked"),
        ('ca = "c.pem", spiffe = "spiffe://td/a"', "chain and SPIFFE ID spiffe://td/a"),
        ('ca = "c.pem", spiffe = "spiffe://td/a", name = "n"', "chain and SPIFFE ID spiffe://td/a, and name"),
        ('ca = "c.pem", spiffe = "spiffe://td/*", crl = "l"', "chain and SPIFFE ID spiffe://td/*, unless it was revoked"),
        (f'pin = "sha256:{"1" * 64}"', "the certificate or key that is pinned"),
        (f'pin = "sha256:{"1" * 64}", name = "n"', "the certificate or key that is pinned, and name"),
    ],
)  # fmt: skip
def test_by_what_a_backend_proves_who_it_is_is_told_as_it_is_verified(tmp_path: Path, verify: str, by: str) -> None:
    route = ROUTE.replace('ca = "c.pem", name = "n"', verify)
    (proof,) = (it for it in mapped(tmp_path, SITE + FILES + BY_FILES + route).hops[1].proofs if "backend to" in it)
    assert proof == f"the backend to the edge, by {by}"


@pytest.mark.parametrize("more", ["", 'clients = { ca = "c.pem" }\n'])
@pytest.mark.parametrize("policy", ["intermediate", "modern"])
def test_who_has_the_secret_of_tickets_is_told_of_the_sites_by_which_a_route_is_reached(
    tmp_path: Path, more: str, policy: str
) -> None:
    text = f'{SITE}{FILES}policy = "{policy}"\n{more}{BY_FILES}{ROUTE}'
    own = mapped(tmp_path, text).tickets
    assert own is not None and own.by == () and "each engine makes itself: nobody else has them" in own.sentence
    other = SITE.replace('"s"', '"t"').replace("a.test", "b.test") + FILES + 'clients = { ca = "c.pem" }\n'
    shared = mapped(tmp_path, f'[tickets]\nkey = ["file:new.key", "file:old.key"]\n{text}{other}').tickets
    assert shared is not None and shared.by == ("file:new.key", "file:old.key")
    assert "made of file:new.key, which edges share, and those of file:old.key are opened too" in shared.sentence
    assert ("can read what is recorded of sessions by TLS 1.2" in shared.sentence) == (policy == "intermediate")
    assert ("can come as any client" in shared.sentence) == bool(more)
    one = mapped(tmp_path, f'[tickets]\nkey = "file:new.key"\n{text}').tickets
    assert one is not None and "made of file:new.key, which edges share: whoever has that secret" in one.sentence
