"""Where edges count together somebody sees who comes and says who passes: each way in which an edit lets another do so, or over
less, is refused until somebody allows it."""

from __future__ import annotations

from everyhop.diff import compare
from everyhop.plan import Plan
from tests.unit.diff.test_collectors import MUTUAL, REENCRYPT, signed
from tests.unit.diff.test_gate import plan, refused, route, told

ALONE = '[[limit]]\nname = "few"\nrate = "100/s"\n'
TOGETHER = ALONE + 'store = "counters"\n'
LIMITED = 'limited_by = ["few"]\n'


def store(hop: str = MUTUAL, *, to: str = "10.0.0.9:6379", limit: str = TOGETHER, name: str = "counters") -> str:
    return f'[[store]]\nname = "{name}"\nto = ["{to}"]\n{hop}{limit.replace("counters", name)}'


def service(domain: str = "shop", **more: str) -> str:
    return store(f'speaks = "envoy"\ndomain = "{domain}"\n{MUTUAL}', **more)


def of(more: str) -> Plan:
    return plan(route("r", more=LIMITED), more=more)


def test_a_store_that_comes_sees_who_comes_and_one_that_goes_sees_nobody() -> None:
    alone, one = of(ALONE), of(store())
    assert refused(alone, one) == {"store-added:store/counters"}
    (change,) = told(alone, one, "store-added")
    assert change.what == "requests are counted at 10.0.0.9:6379 (mutual)"
    assert refused(one, alone) == {"limit-loosened:r"} and told(one, alone, "store-removed")


def test_one_elsewhere_is_another_and_another_name_is_the_same() -> None:
    assert refused(of(store()), of(store(to="10.0.0.8:6379"))) == {"store-added:store/counters"}
    assert refused(of(store()), of(store(name="others"))) == set()


def test_one_that_nothing_is_counted_in_is_nobody() -> None:
    assert refused(of(ALONE), of(store(limit=ALONE))) == set()


def test_a_weaker_hop_is_told_and_a_stronger_one_passes() -> None:
    one, weaker = of(store()), of(store(REENCRYPT))
    assert refused(one, weaker) == {"store-hop-weakened:store/counters"}
    assert refused(weaker, one) == set()
    wide = of(store(signed()))
    assert refused(one, wide) == {"store-hop-weakened:store/counters", "acceptance-added:store/counters"}


def test_who_refuses_while_it_is_silent_lets_no_more_pass_than_who_counts_alone() -> None:
    strict = of(store(limit=TOGETHER + 'when_store_down = "refuse"\n'))
    assert refused(strict, of(store())) == {"limit-loosened:r"}
    assert refused(of(store()), strict) == set()


def test_whose_word_it_is_how_many_pass_is_told_whichever_way_it_changes() -> None:
    valkey, envoy = of(store()), of(service())
    assert refused(valkey, envoy) == refused(envoy, valkey) == {"store-says-otherwise:store/counters"}
    (change,) = told(valkey, envoy, "store-says-otherwise")
    assert change.what == (
        "how many pass was said by the limits of this file, counted in a Valkey or Redis, now by the configuration of a "
        "service of rate limits, in its domain 'shop'"
    )
    elsewhere = of(service(to="10.0.0.8:8081"))
    assert refused(valkey, elsewhere) == {"store-says-otherwise:store/counters", "store-added:store/counters"}


def test_another_domain_is_another_word_and_another_name_of_the_store_is_none() -> None:
    shop, lax = of(service()), of(service("lax"))
    assert refused(shop, lax) == {"store-says-otherwise:store/counters"}
    assert "in its domain 'shop', now by" in told(shop, lax, "store-says-otherwise")[0].what
    assert refused(shop, of(service(name="others"))) == set()
    assert refused(shop, of(service("lax", name="others"))) == {"store-says-otherwise:store/others"}
    # The domain of another service says nothing of the one before.
    assert refused(shop, of(service("lax", to="10.0.0.8:8081"))) == {"store-added:store/counters"}


def test_another_database_is_told_since_edges_count_apart_until_all_have_it() -> None:
    one, other = of(store()), of(store(f"database = 1\n{MUTUAL}"))
    assert refused(one, other) == set()
    (change,) = told(one, other, "store-counts-apart")
    assert change.what == "requests were counted in its database 0, now in 1"
    # The database of another store says nothing of the one before.
    elsewhere = of(store(f"database = 1\n{MUTUAL}", to="10.0.0.8:6379"))
    assert told(one, elsewhere, "store-counts-apart") == []


def test_two_at_one_address_are_known_again_by_what_they_are_asked_where_both_are_called_anew() -> None:
    def two(*names: str) -> Plan:
        few, many = (
            service(domain, name=name, limit=f'[[limit]]\nname = "{domain}"\nrate = "1/s"\nstore = "counters"\n')
            for domain, name in zip(("few", "many"), names, strict=True)
        )
        return plan(route("r", more='limited_by = ["few", "many"]\n'), more=few + many)

    assert compare(two("a", "b"), two("d", "c")) == []


def test_other_ciphers_towards_a_store_are_told_and_there_are_none_where_it_is_plaintext() -> None:
    demanded = of(store(f"{MUTUAL}require_post_quantum = true\n"))
    assert refused(demanded, of(store())) == {"tls-weakened:store/counters"}
    assert refused(of(store()), demanded) == set()
    plain = of(store(signed()))
    assert told(plain, demanded, "tls-strengthened") == told(demanded, plain, "tls-weakened") == []


def test_what_is_asked_where_nothing_is_counted_is_silence() -> None:
    assert compare(of(store(limit=ALONE)), of(service(limit=ALONE))) == []


def test_a_limit_that_goes_from_one_store_to_another_is_told_though_both_stay() -> None:
    def in_which(one: str, other: str, *, envoy: bool) -> Plan:
        stores = "".join(
            (service(name, name=name, limit="") if envoy else store(name=name, to=f"10.0.0.{n}:1", limit=""))
            for n, name in enumerate(("a", "b"))
        )
        limits = "".join(
            f'[[limit]]\nname = "{n}"\nrate = "{k}/s"\nstore = "{s}"\n'
            for k, (n, s) in enumerate({"few": one, "many": other, "ever": "a", "y": "b"}.items(), 1)
        )
        return plan(route("r", more='limited_by = ["ever", "few", "many", "y"]\n'), more=stores + limits)

    for envoy, kind in ((False, "store-counts-apart"), (True, "store-says-otherwise")):
        before, after = in_which("a", "b", envoy=envoy), in_which("b", "b", envoy=envoy)
        (change,) = compare(before, after)
        assert (change.kind, change.about) == (kind, "limit/few")
        assert change.what == "it was counted in store a, now in b"
        assert compare(before, in_which("a", "b", envoy=envoy)) == []
        # Of two that go each is told, and none of those that stay before and after them.
        changes = compare(before, in_which("b", "a", envoy=envoy))
        assert [it.about for it in changes] == ["limit/few", "limit/many"]


def test_a_limit_that_goes_to_a_store_where_another_word_counts_is_by_another_word() -> None:
    def in_which(name: str) -> Plan:
        stores = service("b", name="b", limit="") + store(name="a", to="10.0.0.8:1", limit="")
        limits = "".join(
            f'[[limit]]\nname = "{n}"\nrate = "1/s"\nstore = "{s}"\n'
            for n, s in {"few": name, "x": "a", "y": "b"}.items()
        )
        return plan(route("r", more='limited_by = ["few", "x", "y"]\n'), more=stores + limits)

    for was, now in (("a", "b"), ("b", "a")):
        assert refused(in_which(was), in_which(now)) == {"store-says-otherwise:limit/few"}
