"""Where the keys of an issuer come from: who can answer there says who gets in, so each weaker way there is told."""

from __future__ import annotations

from everyhop.plan import Plan
from tests.unit.diff.test_gate import plan, refused, route, told

HOP = 'verify = { ca = "c", name = "n" }, present = "i"'


def issuer(keys: str) -> str:
    return (
        '[[issuer]]\nname = "corp"\nissuer = "https://login.test"\naudience = "api"\nalgorithms = ["ES256"]\n'
        f"keys = {{ {keys} }}\n"
    )


def asked(keys: str) -> Plan:
    return plan(route("r", more='jwt = { issuer = "corp" }\n'), more=issuer(keys))


FILE, ONE = asked('file = "k.json"'), asked(f'from = "https://login.test/keys", {HOP}')


def test_keys_from_elsewhere_are_another_word_on_who_gets_in() -> None:
    assert refused(FILE, ONE) == refused(ONE, FILE) == {"issuer-keys-moved:r"}
    for other in ("https://login.test/other", "https://other.test/keys", "https://login.test:8443/keys"):
        assert refused(ONE, asked(f'from = "{other}", {HOP}')) == {"issuer-keys-moved:r"}
    assert refused(ONE, ONE) == set()


def test_a_weaker_hop_to_them_is_told_and_a_stronger_one_passes() -> None:
    weaker = asked('from = "https://login.test/keys", verify = { ca = "c", name = "n" }')
    assert refused(ONE, weaker) == {"issuer-hop-weakened:issuer/https://login.test"}
    assert refused(weaker, ONE) == set()
    (change,) = told(ONE, weaker, "issuer-hop-weakened")
    assert change.what == "the hop to https://login.test/keys was mutual, now reencrypt"
    here, tls = (asked(f'from = "{it}') for it in ('http://127.0.0.1:1/keys"', f'https://127.0.0.1:1/keys", {HOP}'))
    assert refused(tls, here) == {"issuer-hop-weakened:issuer/https://login.test"} and refused(here, tls) == set()
    clear = asked('from = "http://127.0.0.1:1/keys"')
    assert refused(ONE, clear) == {"issuer-keys-moved:r"}


def test_post_quantum_key_exchange_that_is_demanded_there_no_more_is_a_weakening_told_once() -> None:
    demanded = asked(f'from = "https://login.test/keys", {HOP}, require_post_quantum = true')
    assert len(refused(demanded, ONE)) == 1 and refused(ONE, demanded) == set()


def test_another_name_or_authority_lets_another_say_who_gets_in() -> None:
    for a, b in (('name = "n"', 'name = "m"'), ('ca = "c"', 'ca = "d"')):
        other = asked(f'from = "https://login.test/keys", {HOP.replace(a, b)}')
        assert refused(ONE, other) == {"verification-changed:issuer/https://login.test"}, b
