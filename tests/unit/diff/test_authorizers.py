"""Who is asked about requests reads of them, and says who gets in: each way in which an edit lets somebody in who was not, shows
more, or asks over less, is refused until somebody allows it."""

from __future__ import annotations

from everyhop.diff import compare
from tests.unit.diff.test_gate import plan, refused, route, told

MUTUAL = 'tls = "mutual"\nverify = { ca = "c", name = "n" }\npresent = "i"\n'
REENCRYPT = 'tls = "reencrypt"\nverify = { ca = "c", name = "n" }\n'
SIGNED = 'tls = "plaintext"\nacceptance = { owner = "o", why = "w", context = "legacy", since = 2026-11-01, until = 2027-02-01 }\n'
PASSES = 'when_down = "pass"\npass_acceptance = { owner = "{}", why = "w", since = 2026-11-01, until = {} }\n'
ASKS = 'ask = "sso"\n'


def authorizer(
    hop: str = MUTUAL, *, to: str = "10.0.0.9:4180", path: str = "/auth", more: str = "", name: str = "sso"
) -> str:
    return f'[[authorizer]]\nname = "{name}"\nto = ["{to}"]\n{hop}path = "{path}"\n{more}'


def passes(owner: str = "o", until: str = "2027-02-01") -> str:
    return PASSES.replace("{}", owner, 1).replace("{}", until)


def asked(by: str) -> object:
    return plan(route("r", more=ASKS), more=by)


NONE, ONE = plan(route("r")), plan(route("r", more=ASKS), more=authorizer())


def test_who_is_asked_reads_and_who_is_asked_no_more_lets_everybody_pass() -> None:
    assert refused(NONE, ONE) == {"authorizer-added:r"} and told(NONE, ONE, "ask-begun")
    assert refused(ONE, NONE) == {"ask-ended:r"} and told(ONE, NONE, "authorizer-removed")


def test_one_that_nobody_asks_is_nothing() -> None:
    assert compare(NONE, plan(route("r"), more=authorizer())) == []


def test_a_name_is_only_a_name() -> None:
    renamed = plan(route("r", more='ask = "other"\n'), more=authorizer(name="other"))
    assert compare(ONE, renamed) == []


def test_another_place_or_another_question_is_another_word() -> None:
    assert refused(ONE, plan(route("r", more=ASKS), more=authorizer(to="10.0.0.8:4180"))) == {
        "ask-changed:r",
        "authorizer-added:authorizer/sso",
    }
    assert refused(ONE, plan(route("r", more=ASKS), more=authorizer(path="/auth?group=all"))) == {"ask-changed:r"}


def test_another_way_of_asking_is_told_in_the_words_of_both() -> None:
    grpc = plan(route("r", more=ASKS), more=authorizer().replace('path = "/auth"', 'speaks = "envoy"'))
    at = "10.0.0.9:4180 (mutual)"
    for old, new, was, now in (
        (ONE, grpc, "for /auth", "by gRPC, as Envoy asks"),
        (grpc, ONE, "by gRPC, as Envoy asks", "for /auth"),
    ):
        (change,) = told(old, new, "ask-changed")
        assert change.what == f"{at} was asked {was}, now {at} {now}"


def test_a_weaker_hop_is_told_and_another_proof_too() -> None:
    assert refused(ONE, plan(route("r", more=ASKS), more=authorizer(REENCRYPT))) == {
        "authorizer-hop-weakened:authorizer/sso"
    }
    wide = plan(route("r", more=ASKS), more=authorizer(SIGNED))
    assert refused(ONE, wide) == {"authorizer-hop-weakened:authorizer/sso", "acceptance-added:authorizer/sso"}
    assert refused(NONE, wide) == {"authorizer-added:r", "acceptance-added:authorizer/sso"}
    for a, b in (('name = "n"', 'name = "m"'), ('ca = "c"', 'ca = "d"')):
        other = plan(route("r", more=ASKS), more=authorizer(MUTUAL.replace(a, b)))
        assert refused(ONE, other) == {"verification-changed:authorizer/sso"}, b


def test_what_it_is_shown_is_read_and_what_it_says_no_more_clients_may_say() -> None:
    shown = plan(route("r", more=ASKS), more=authorizer(more='sends = ["cookie"]\n'))
    assert refused(ONE, shown) == {"authorizer-told-more:authorizer/sso"}
    assert refused(shown, ONE) == set() and told(shown, ONE, "authorizer-told-less")
    says = plan(route("r", more=ASKS), more=authorizer(more='takes = ["x-user"]\n'))
    assert refused(ONE, says) == set() and told(ONE, says, "authorizer-says-more")
    assert refused(says, ONE) == {"authorizer-says-less:authorizer/sso"}


def test_what_passes_unasked_is_somebodys_word_as_plaintext_is() -> None:
    passing = plan(route("r", more=ASKS), more=authorizer(more=passes()))
    assert refused(ONE, passing) == {"acceptance-added:authorizer/sso"}
    assert refused(NONE, passing) == {"authorizer-added:r", "acceptance-added:authorizer/sso"}
    assert refused(passing, ONE) == set() and told(passing, ONE, "acceptance-gone")
    longer = plan(route("r", more=ASKS), more=authorizer(more=passes(until="2027-03-01")))
    assert refused(passing, longer) == {"acceptance-lengthened:authorizer/sso"}
    assert refused(longer, passing) == set() and told(longer, passing, "acceptance-shortened")
    other = plan(route("r", more=ASKS), more=authorizer(more=passes(owner="p")))
    assert refused(passing, other) == set() and told(passing, other, "acceptance-owner-changed")


def test_patience_is_no_trust() -> None:
    for more in ("deadline_ms = 5000\n", "at_once = 7\n"):
        assert compare(ONE, plan(route("r", more=ASKS), more=authorizer(more=more))) == []


def test_a_backend_that_only_those_who_are_asked_about_reached_is_opened_by_a_way_around() -> None:
    around = plan(route("r", more=ASKS) + route("s", host="b.test"), more=authorizer())
    before = plan(route("r", more=ASKS) + route("s", host="b.test").replace(":1", ":2"), more=authorizer())
    assert "backend-opened:s" in refused(before, around)
