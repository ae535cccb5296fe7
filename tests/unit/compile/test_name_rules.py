"""The rules of names at their bounds: how long a name may be, how wide a network that is believed, who answers hellos."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.compile import compile_file
from everyhop.errors import Refused

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
TEXT = """version = 1
[[listener]]
name = "LISTENER"
bind = ["127.0.0.1:8443"]
{listener}
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{{ chain = "x", key = "{key}" }}]
[[identity]]
name = "i"
chain = "x"
key = "file:i"
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
[[route]]
name = "p"
host = "p.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
"""


def found(listener: str = "", *, name: str = "l", key: str = "file:y") -> list[tuple[str, str]]:
    """Slug and sentence, and what to do."""
    text = TEXT.format(listener=listener, key=key).replace("LISTENER", name)
    try:
        compile_file("names.toml", now=NOW, files="skip", text=text)
    except Refused as e:
        return [(f.slug, " ".join((f.what, *f.mend))) for f in e.findings]
    return []


def test_a_name_is_there_and_printable_and_128_letters_at_most() -> None:
    for good in ("x", "x" * 128):
        assert found(name=good) == []
    for bad in ("", "x" * 129, "a\\u0007b"):
        (told,) = found(name=bad)
        assert told[0] == "config/wrong-value" and told[1].startswith("listener 1 has the name")


@pytest.mark.parametrize("field", ["accept_proxy", "trusted_proxies"])
@pytest.mark.parametrize(
    ("network", "taken"),
    [
        ("10.0.0.0/8", True),
        ("11.0.0.0/8", True),
        ("10.1.2.3", True),
        ("172.16.0.0/12", True),
        ("203.0.113.0/24", True),
        ("12.0.0.0/7", False),
        ("10.0.0.0/7", False),
        ("172.0.0.0/8", False),
        ("0.0.0.0/0", False),
        ("2001::/16", True),
        ("2000::/15", False),
        ("fc00::/7", True),
        ("fe80::/10", True),
        ("fe80::/9", False),
        ("::/0", False),
    ],
)
def test_a_network_that_is_believed_is_no_wider_than_its_own_house(field: str, network: str, taken: bool) -> None:
    assert [slug for slug, _ in found(f'{field} = ["{network}"]')] == ([] if taken else ["trust/too-wide"])
    if field == "trusted_proxies":
        table = found(f'{field} = {{ networks = ["{network}"], believe = ["host"] }}')
        assert [slug for slug, _ in table] == ([] if taken else ["trust/too-wide"])


@pytest.mark.parametrize("field", ["accept_proxy", "trusted_proxies"])
@pytest.mark.parametrize("network", ["10.1.2.3/8", "10.0.0.1/24", "2001:db8::1/32", "::ffff:10.1.2.3/104", "0.0.0.1/0"])
def test_an_address_that_stands_for_its_network_is_not_believed_to_mean_it(field: str, network: str) -> None:
    """More would be believed than somebody wrote, or less."""
    for given in (f'["{network}"]', f'{{ networks = ["{network}"], believe = ["host"] }}'):
        if field == "accept_proxy" and given.startswith("{"):
            continue
        ((slug, what),) = found(f"{field} = {given}")
        assert slug == "config/wrong-value" and "an address with bits beyond the first" in what
    for alone in ("10.1.2.3", "10.1.2.3/32", "2001:db8::1/128"):
        assert found(f'{field} = ["{alone}"]') == []


def test_the_mend_of_a_network_that_is_too_wide_says_how_narrow_it_must_be() -> None:
    assert "no wider than /8" in found('accept_proxy = ["0.0.0.0/0"]')[0][1]
    assert "no wider than /16" in found('accept_proxy = ["::/0"]')[0][1]
    assert "172.0.0.0/8 holds private (172.16.0.0/12) and" in found('accept_proxy = ["172.0.0.0/8"]')[0][1]


@pytest.mark.parametrize("field", ["no_sni", "unknown_sni"])
def test_a_hello_is_answered_by_a_site_or_a_passthrough_route_or_refused(field: str) -> None:
    for answer in ("refuse", "s", "p"):
        assert found(f'{field} = "{answer}"') == []
    for answer in ("r", "i", "nobody"):
        assert [slug for slug, _ in found(f'{field} = "{answer}"')] == ["config/unknown-name"]


def test_a_key_that_is_no_reference_is_said_again_only_if_it_is_plainly_a_files_name() -> None:
    for named in ("site.key", "/etc/site.pem"):
        ((slug, told),) = found(key=named)
        assert slug == "secret/inline" and f"file:{named}" in told
    for secret in ("hunter2", "site.key2", "a\\u0007.key"):
        ((slug, told),) = found(key=secret)
        assert slug == "secret/inline" and secret[:6] not in told and "file:/path/to/key.pem" in told


def test_a_key_that_stands_in_the_file_itself_is_told_apart_from_what_is_no_reference() -> None:
    pem = "-----BEGIN PRIVATE KEY-----"
    assert found(key=pem)[0][1].startswith("a key's PEM stands in the file ")
    assert found(key="hunter2")[0][1].startswith("a key is not a reference ")


def judged(text: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    whole = TEXT.format(listener="", key="file:y")
    for old, new in more:
        assert old in whole
        whole = whole.replace(old, new, 1)
    try:
        compile_file("names.toml", now=NOW, files="skip", text=whole + text)
    except Refused as e:
        return [(f.slug, " ".join((f.what, *f.mend))) for f in e.findings]
    return []


@pytest.mark.parametrize(
    "bind", ["[fe80::1%eth0]:8443", "[fe80::1]:8443", "[ff02::1%1]:8443", "[febf::%lo]:8443", "[::1%lo]:8443"]
)
def test_an_address_of_one_link_is_refused_with_its_reason_wherever_it_stands(bind: str) -> None:
    """A scope names a link of one machine; a socket without it is refused by the kernel, with no word of why."""
    why = "one link"
    for old, slug in (('bind = ["127.0.0.1:8443"]', "listener/bind"), ('to = ["127.0.0.1:1"]', "hop/address")):
        new = f'{old.partition("=")[0]}= ["{bind}"]'
        ((_, said),) = [it for it in judged("", (old, new)) if it[0] == slug]
        assert why in said and bind in said, said
    ((_, said),) = judged(f'[status]\nbind = "{bind}"\n')
    assert why in said
    assert judged("", ('bind = ["127.0.0.1:8443"]', 'bind = ["[fec0::1]:8443", "[::1]:8443"]')) == []


def test_an_ipv6_address_without_brackets_is_told_so() -> None:
    ((_, said),) = judged("", ('bind = ["127.0.0.1:8443"]', 'bind = ["::1:8443"]'))
    assert "in brackets" in said


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("b\u00fccher.test", "xn--bcher-kva.test"),
        ("*.b\u00fccher.test", "*.xn--bcher-kva.test"),
        ("B\u00dcCHER.test", "xn--bcher-kva.test"),
        ("\u4f8b\u3048.test", "xn--r8jz45g.test"),
    ],
)
def test_a_name_of_other_letters_is_refused_with_what_dns_calls_it(name: str, wire: str) -> None:
    for old, new in (
        ('hosts = ["a.test"]', f'hosts = ["{name}"]'),
        ('host = "a.test"', f'host = "{name}"'),
        ('to = ["127.0.0.1:1"]', f'to = ["{name}:1"]'),
        ('tls = "plaintext"', f'tls = "reencrypt"\nverify = {{ ca = "x", name = "{name}" }}'),
    ):
        said = [text for slug, text in judged("", (old, new)) if slug in {"route/host", "hop/address", "hop/no-name"}]
        assert said and wire in said[0], (old, said)
    written = judged("", ('hosts = ["a.test"]', f'hosts = ["{wire}"]'), ('host = "a.test"', f'host = "{wire}"'))
    assert written == [], "as it is offered it is taken"


def test_a_name_whose_form_has_changed_over_the_years_is_not_guessed() -> None:
    """What DNS called ss in 2003 has a form of its own since 2010."""
    ((_, said),) = [
        it for it in judged("", ('hosts = ["a.test"]', 'hosts = ["stra\u00dfe.test"]')) if it[0] == "route/host"
    ]
    assert "xn-- form" in said and "strasse" not in said
