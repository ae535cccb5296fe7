"""What `explain` says, sentence by sentence: who reads, who gets what, until when, and what a capability needs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace

import pytest

from everyhop.compile import compile_file
from everyhop.explain.sentences import ENDS, about_capability, about_route, drawn, ends, parties, ways_in
from everyhop.trust import trust_map
from everyhop.trust.map import Reachable
from tests.unit.trust.test_trust import TABLE, VARIANTS, VERIFY, mapped

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
    unbuilt = about_capability("caching")
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


def test_the_line_and_the_words_below_it_stand_under_each_other(tmp_path: Path) -> None:
    def shown(variant: str) -> list[str]:
        it = mapped(tmp_path, variant)
        return [*drawn(it), parties(it)]

    assert shown("passthrough") == [
        "client ==[lock]== (edge) ==[lock]== 10.0.0.1:1",
        "reads              blind            reads",
    ]
    assert shown("plaintext") == [
        "client ==[lock]== edge --[eye! plaintext]-- 10.0.0.1:1",
        "reads             reads                     reads",
    ]
    assert shown("late") == [
        "client ==[lock]== edge --[eye! plaintext]-- 10.0.0.1:1",
        "                       --[eye! plaintext]-- 127.0.0.1:1",
        "                       ==[lock]==           10.0.0.2:1",
        "reads             reads                     reads",
    ]


def test_backends_of_several_patterns_are_told_by_pattern_and_the_rest_of_the_weakest(tmp_path: Path) -> None:
    assert ends(mapped(tmp_path, "plaintext")) == ENDS["plaintext"]
    assert ends(mapped(tmp_path, "late")) == (
        "TLS ends at the edge, which reads every request. Behind it: plaintext to "
        "10.0.0.1:1 and 127.0.0.1:1; mutual to 10.0.0.2:1. What follows is said of the weakest."
    )


def test_who_may_pass_and_who_signed_are_told_by_name(tmp_path: Path) -> None:
    ask = 'clients = { ca = "c.pem" }'
    some = mapped(tmp_path, "mutual", site=ask, more='allow = { clients = ["a", "b"] }\n')
    assert "Only clients that prove one of these names pass: a, b." in about_route(some, NOW)
    none = mapped(tmp_path, "mutual", site=ask, more="allow = { clients = [] }\n")
    assert "Only clients that prove one of these names pass: none." in about_route(none, NOW)
    assert not any(p.startswith("Only clients") for p in about_route(mapped(tmp_path, "mutual"), NOW))
    signed = about_route(mapped(tmp_path, "late"), NOW)
    assert any(p.startswith("o accepted the plaintext to 10.0.0.1:1; that ends in ") for p in signed)
    assert not any("accepted the plaintext" in p for p in about_route(mapped(tmp_path, "same-host"), NOW))


def test_a_site_by_which_nobody_can_pass_an_allow_list_is_said_to_let_none_in() -> None:
    ways = Reachable("strict", "required", "a.test/"), Reachable("open", "not asked", "b.test/")
    it = SimpleNamespace(way="mutual", stream=False, listeners=None, sites=ways, allowed=("a",))
    told = ways_in(it)  # type: ignore[arg-type]
    assert told == [
        "Reached as a.test/ through site 'strict': client certificates are required.",
        "Reached as b.test/ through site 'open': client certificates are not asked, and so none passes.",
    ]
    it.allowed = None
    assert "and so none passes" not in " ".join(ways_in(it))  # type: ignore[arg-type]
    it.sites = it.sites[:1]
    assert ways_in(it) == [], "where all demand the same, the hops say it"  # type: ignore[arg-type]
    it.sites = ()
    assert ways_in(it)[0].startswith("No request reaches it")  # type: ignore[arg-type]
    it.way = "passthrough"
    assert ways_in(it) == []  # type: ignore[arg-type]


PIN = f'verify = {{ pin = "sha256:{"0" * 64}" }}\n'


@pytest.mark.parametrize(
    ("pattern", "more", "verify", "said"),
    [
        (
            "mutual",
            "",
            VERIFY,
            "by chain and name; the edge to the backend, by its identity, if the backend asks for it.",
        ),
        ("mutual", "demand_asks = true\n", VERIFY, "by its identity; one that does not ask for it is sent nothing."),
        (
            "mutual",
            'data = "major-incident"\n',
            VERIFY,
            "by its identity; one that does not ask for it is sent nothing.",
        ),
        ("reencrypt", "", VERIFY, "Proven: the backend to the edge, by chain and name."),
        ("reencrypt", "", VERIFY.replace(" }", ', crl = "l" }'), "by chain and name, unless it was revoked."),
        ("reencrypt", "", PIN, "Proven: the backend to the edge, by the certificate or key that is pinned."),
        ("reencrypt", "", PIN.replace(" }", ', name = "n" }'), "the certificate or key that is pinned, and name."),
    ],
)
def test_by_what_a_backend_is_known_and_whether_it_must_ask_is_said(
    tmp_path: Path, pattern: str, more: str, verify: str, said: str
) -> None:
    text = (
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        'certs = [{ chain = "x", key = "file:y" }]\n[[identity]]\nname = "i"\nchain = "x"\nkey = "file:y"\n'
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "{pattern}"\nto = ["10.0.0.1:1"]\n{verify}'
    )
    text += more + ('present = "i"\n' if pattern == "mutual" else "")
    (it,) = trust_map(compile_file(tmp_path / "c.toml", files="skip", text=text).plan)
    (hop,) = [p for p in about_route(it, NOW) if p.startswith("Between edge and backend")]
    assert hop.endswith(said), hop


def test_what_the_edge_changes_on_the_way_and_how_much_it_lets_go_on_is_told(tmp_path: Path) -> None:
    text = (
        'version = 1\n[[listener]]\nname = "l"\nbind = ["127.0.0.1:8443"]\n[[site]]\nname = "s"\nhosts = ["a.test"]\n'
        'certs = [{ chain = "x", key = "file:y" }]\n[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\n'
        'to = ["127.0.0.1:1"]\nmost = { requests = 7, waiting = 3, wait_s = 2 }\n'
        'path = "/v1"\nstrip = "/v1"\nhost_header = "Shop.internal:443"\nrewrite = "/in{path}"\n'
        'request = { remove = ["x-one"], set = { x-who = "{client.name}" } }\nresponse = { add = { x-two = "<b>" } }\n'
        '[[route]]\nname = "bare"\nhost = "a.test"\npath = "/bare"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    )
    it, bare = trust_map(compile_file(tmp_path / "c.toml", files="skip", text=text).plan)
    told = [
        "At most 7 request(s) are under way at once, 3 more wait up to 2 s; others are refused with 503.",
        "Backends are asked for the host shop.internal:443, whichever a client asked for.",
        "A path goes to the backend without /v1 and behind /in; what is judged and logged is the path that was asked for.",
        'Of a request the edge removes "x-one"; it sets "x-who: {client.name}".',
        'Of an answer the edge adds "x-two: <b>".',
    ]
    assert [p for p in about_route(it, NOW) if p in told] == told
    assert bare.done == ()
