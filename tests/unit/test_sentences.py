"""What `explain` says, sentence by sentence: who reads, who gets what, until when, and what a capability needs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.explain.sentences import about_capability, about_route, parties, ways_in
from everyhop.trust import trust_map
from tests.unit.test_trust import TABLE, VARIANTS, mapped

NOW = dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_the_line_the_edge_is_blind_where_tls_passes_through_and_reads_where_it_ends(
    tmp_path: Path, variant: str
) -> None:
    assert parties(mapped(tmp_path, variant)).split() == [
        "reads",
        "blind" if variant == "passthrough" else "reads",
        "reads",
    ]


@pytest.mark.parametrize("variant", TABLE)
def test_what_each_attacker_gets_is_written_out(tmp_path: Path, variant: str) -> None:
    it = mapped(tmp_path, variant)
    told = about_route(it, NOW)
    words = {"r": "reads", "c": "changes", "p": "pretends"}
    for sentence, gets in zip(told[-len(it.attackers) :], TABLE[variant], strict=True):
        named = ", ".join(words[c] for c in gets if c != "-") or "nothing"
        assert f": {named}; " in sentence


def test_an_acceptance_is_told_by_the_days_that_are_left_and_as_ended_from_its_second_on(tmp_path: Path) -> None:
    it = mapped(tmp_path, "plaintext")
    assert it.closes_at_s is not None
    end = dt.datetime.fromtimestamp(it.closes_at_s, dt.UTC)
    assert any("; that ends in 3 days." in p for p in about_route(it, end - dt.timedelta(days=3)))
    assert any("; that has ended: the route is closed." in p for p in about_route(it, end))


def test_sites_of_one_route_that_demand_different_things_are_told_each(tmp_path: Path) -> None:
    path = tmp_path / "everyhop.toml"
    path.write_text(
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n'
        '[[site]]\nname = "strict"\nhosts = ["a.test"]\ncerts = [{ chain = "x", key = "file:y" }]\nclients = { ca = "c.pem" }\n'
        '[[site]]\nname = "open"\nhosts = ["b.test"]\ncerts = [{ chain = "x", key = "file:y" }]\n'
        '[[route]]\nname = "r"\nhost = ["a.test", "b.test"]\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    )
    ways = ways_in(trust_map(compile_file(path, files="skip").plan)[0])
    assert [w.partition("client certificates are ")[2] for w in ways] == ["required.", "not asked."]


def test_a_capability_is_told_with_who_gives_it_and_what_it_needs() -> None:
    assert "Given by every pattern." in about_capability("host-routing")
    some = about_capability("grpc")
    assert "Given by: mutual, reencrypt and plaintext." in some and any(
        p.startswith("Not by the others: ") for p in some
    )
    assert any(p.startswith("What must be configured: `upstream_protocol") for p in some)
    assert "Settings: upstream_protocol." in some
    unbuilt = about_capability("waf")
    assert "Everyhop does not have it yet; the pattern would allow it." in unbuilt
    assert not any(p.startswith("What must be configured") for p in unbuilt)
    assert not any(p.startswith(("Not by", "There instead")) for p in about_capability("sni-routing"))


def test_each_hop_is_told_with_its_version_and_what_is_proven_on_it(tmp_path: Path) -> None:
    def hops(variant: str) -> list[str]:
        return [p for p in about_route(mapped(tmp_path, variant), NOW) if p.startswith("Between ")]

    front, back = hops("reencrypt")
    assert front.startswith("Between client and edge: encrypted, TLS 1.2 or newer. Proven: the edge to the client")
    assert back.startswith("Between edge and backend: encrypted, TLS 1.2 or newer. Proven: the backend to the edge")
    assert hops("plaintext")[1] == "Between edge and backend: in the clear. Nobody proves anything."
    (through,) = hops("passthrough")
    assert through.startswith("Between client and backend: encrypted. Proven: the backend to the client")
