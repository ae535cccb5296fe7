"""Who is told of a route's requests, or says whose pass, beside those who carry them; and by which way requests come."""

from __future__ import annotations

from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.explain.sentences import ends
from everyhop.trust import RouteTrust, trust_map
from everyhop.trust.stores import Counting
from tests.unit.trust.test_trust import ACCEPTANCE, VARIANTS, VERIFY, mapped, mapped_route

OTEL = '[[collector]]\nname = "otel"\nto = ["{at}:4318"]\ntls = "{tls}"\n{more}[traces]\ncollector = "otel"\n'
ISSUER = '[[issuer]]\nname = "corp"\nissuer = "https://login.test"\naudience = "api"\nalgorithms = ["ES256"]\nkeys = {{ from = "{url}"{more} }}\n'
STREAM = 'host = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\nprotocol = "tcp"\n'
STORE = '[[store]]\nname = "{name}"\nto = ["{at}:6379"]\n{hop}'
LIMIT = '[[limit]]\nname = "{name}"\nrate = "9/s"\n{store}'
JWT = 'jwt = { issuer = "corp" }\n'
SERVES = 'speaks = "http"\nserve = true\n'


def test_a_collector_is_told_of_requests_alone_and_not_of_what_is_carried_unread(tmp_path: Path) -> None:
    told = OTEL.format(at="127.0.0.1", tls="plaintext", more="")
    assert mapped(tmp_path, "same-host", listener=told).collector is not None
    assert mapped_route(tmp_path, STREAM, listener=told).collector is None
    assert mapped(tmp_path, "passthrough", listener=told).collector is None


def test_somebody_answers_for_what_goes_to_a_collector_in_plaintext_unless_it_stays_on_this_host(
    tmp_path: Path,
) -> None:
    here = mapped(tmp_path, "same-host", listener=OTEL.format(at="127.0.0.1", tls="plaintext", more=""))
    assert here.collector is not None and here.collector.accepted is None
    away = mapped(tmp_path, "same-host", listener=OTEL.format(at="10.0.0.9", tls="plaintext", more=ACCEPTANCE))
    assert away.collector is not None and away.collector.accepted is not None and away.collector.accepted[0] == "o"


@pytest.mark.parametrize(
    ("url", "more", "says"),
    [
        (
            "https://login.test/keys",
            ', verify = { ca = "c.pem" }',
            "known by chain and name login.test: who proves that",
        ),
        (
            "https://login.test/keys",
            f', verify = {{ pin = "sha256:{"00" * 32}" }}',
            "known by its pinned certificate or key: who proves that",
        ),
        ("http://127.0.0.1:9/keys", "", "in plaintext that stays on this host"),
    ],
)
def test_who_answers_for_an_issuers_keys_is_told_by_how_it_is_known(
    tmp_path: Path, url: str, more: str, says: str
) -> None:
    it = mapped(tmp_path, "same-host", more=JWT, listener=ISSUER.format(url=url, more=more))
    (key,) = it.keyed
    assert key.name == "corp" and says in key.sentence


def test_nobody_says_whose_tokens_pass_a_route_that_asks_for_none(tmp_path: Path) -> None:
    issuer = ISSUER.format(url="https://login.test/keys", more=', verify = { ca = "c.pem" }')
    assert mapped(tmp_path, "same-host", listener=issuer).keyed == ()


def test_who_counts_requests_is_told_once_by_the_store_of_a_routes_own_limits_and_nobody_where_an_edge_counts_alone(
    tmp_path: Path,
) -> None:
    proved, signed = f'tls = "reencrypt"\n{VERIFY}', f'tls = "plaintext"\n{ACCEPTANCE}'
    listener = STORE.format(name="counters", at="10.0.0.9", hop=proved)
    listener += STORE.format(name="others", at="10.0.0.8", hop=signed)
    for name, store in (("few", "counters"), ("many", "counters"), ("rest", "others"), ("own", "")):
        listener += LIMIT.format(name=name, store=f'store = "{store}"\n' if store else "")

    def stores(*limits: str) -> tuple[Counting, ...]:
        named = ", ".join(f'"{it}"' for it in limits)
        return mapped(tmp_path, "same-host", more=f"limited_by = [{named}]\n", listener=listener).stores

    (one,) = stores("few", "own", "many")
    assert (one.name, one.hops, one.accepted) == ("counters", (("10.0.0.9:6379", "reencrypt"),), None)
    assert (
        "for limit few and many: it is told" in one.sentence and "at 10.0.0.9:6379 (reencrypt) counts" in one.sentence
    )
    (other,) = stores("rest")
    assert (other.name, other.hops) == ("others", (("10.0.0.8:6379", "plaintext"),))
    assert other.accepted is not None and other.accepted[0] == "o"
    assert [it.name for it in stores("rest", "few")] == ["others", "counters"]
    assert (one.kind, one.does) == ("Valkey or Redis", "counts who comes")
    listener = listener.replace('name = "others"', 'name = "others"\nspeaks = "envoy"\ndomain = "shop"')
    (service,) = stores("rest")
    assert (service.kind, service.does) == ("rate limits of Envoy's kind", "says who passes")
    assert "says of each by its own configuration of domain shop whether it passes" in service.sentence
    assert stores("own") == () and mapped(tmp_path, "passthrough", listener=listener).stores == ()


def test_a_body_that_a_check_looks_for_is_told_as_it_is_written(tmp_path: Path) -> None:
    it = mapped(tmp_path, "same-host", more='health = { path = "/up", body = "läuft" }\n')
    assert any('"läuft"' in sentence for sentence in it.done)


@pytest.mark.parametrize(
    "more", ['host_header = "b.test"\n', "cookies = { secure = true }\n", 'request = { remove = ["x-a"] }\n']
)
def test_one_edit_is_enough_for_the_promise_that_fields_are_edited(tmp_path: Path, more: str) -> None:
    assert mapped(tmp_path, "same-host", more=f'requires = ["field-edits"]\n{more}').way == "plaintext"


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_where_requests_come_in_the_clear_is_it_said_that_they_do(tmp_path: Path, variant: str) -> None:
    it = mapped(tmp_path, variant)
    assert it.encrypted_too and "No TLS comes" not in ends(it)
    assert "mirror" not in it.attackers and "front" not in it.attackers


def in_the_clear(folder: Path, route: str, accepted: str) -> RouteTrust:
    path = folder / "everyhop.toml"
    path.write_text(
        f'version = 1\n[[listener]]\nname = "l"\nbind = ["{"10.0.0.1" if accepted else "127.0.0.1"}:8080"]\n{SERVES}{accepted}'
        f'[[site]]\nname = "s"\nhosts = ["a.test"]\ncerts = [{{ chain = "x", key = "file:y" }}]\n[[route]]\nname = "r"\n{route}'
    )
    return trust_map(compile_file(path, files="skip").plan)[0]


def test_readers_before_the_edge_are_told_beside_those_behind_it_and_each_once(tmp_path: Path) -> None:
    isolated = ACCEPTANCE.replace("legacy", "isolated-network")
    behind = f'host = "a.test"\ntls = "reencrypt"\nto = ["10.0.0.2:1"]\n{VERIFY}'
    both = in_the_clear(tmp_path, VARIANTS["same-host"], isolated)
    assert {"this host", "the clients' network"} <= set(both.readers)
    assert "whoever is on the edge's host" in in_the_clear(tmp_path, behind, "").readers
    # Who reads on this host is told already.
    once = in_the_clear(tmp_path, VARIANTS["same-host"], "")
    assert "this host" in once.readers and "whoever is on the edge's host" not in once.readers
