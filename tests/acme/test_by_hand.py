"""What somebody asks for by hand, at Pebble: another certificate, one that is taken back, another key of the account."""

from __future__ import annotations

import datetime as dt
import json
import stat
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from everyhop.acme import Keeper, Site, authority, client
from everyhop.acme.backoff import MOST_ISSUED
from everyhop.acme.by_hand import Asked
from tests.acme.between import Between, Said
from tests.acme.edge import Clock, Edge, drive, only, settled
from tests.acme.pebble import Pebble
from tests.kit import Pki

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
SHOP = Site("shop", ("a.test",))


def serial(keeper: Keeper, kind: str = "ecdsa-p256") -> str:
    found = next(it.serial for it in only(keeper).certificates if it.kind == kind)
    assert found is not None
    return found


def asks(keeper: Keeper, clock: Clock, asked: Asked) -> dict[str, Any]:
    """What came of it, once that is known."""
    number = keeper.by_hand.ask(asked)

    def seen() -> dict[str, Any]:
        told = keeper.by_hand.seen(number)
        assert told is not None
        return told

    drive(keeper, clock, lambda: seen()["is"] not in {"asked", "waiting"})
    return seen()


def begun(keeper: Keeper, clock: Clock, *sites: Site) -> str:
    keeper.configure(sites or (SHOP,))
    drive(keeper, clock, lambda: settled(keeper))
    return keeper.status()[0].certificates[0].serial or ""


# Renewed.


def test_another_certificate_has_another_key_and_says_what_it_replaces(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, placed = pebble(), list[str | None]()
    with closing(Between(pki, real.port)) as front:
        it = keeper(authority(front.url, pki.public.file))
        first = begun(it, clock)
        (before,) = it.in_force()
        leaf = x509.load_pem_x509_certificate(before.chain_pem)
        talk = it.work.talk(it.authorities[0], it.now())[0]
        place = talk.place

        def placing(names: Sequence[str], profile: str | None, replaces: str | None) -> client.Placed:
            placed.append(replaces)
            return place(names, profile, replaces)

        monkeypatch.setattr(talk, "place", placing)
        told = asks(it, clock, Asked("renew", "shop"))
        assert told == {"is": "done", "serials": [serial(it)]} and serial(it) != first
        (after,) = it.in_force()
        assert after.key_pem != before.key_pem and settled(it)
        assert placed == [client.identity_of(leaf)]


def test_one_is_ordered_for_each_kind_of_key(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    it = keeper(pebble().authority())
    begun(it, clock, Site("shop", ("a.test",), keys=("ecdsa-p256", "rsa-2048")))
    before = {one.serial for one in only(it).certificates}
    told = asks(it, clock, Asked("renew", "shop"))
    assert told["is"] == "done" and not before & set(told["serials"]) and len(told["serials"]) == 2


def test_renewing_again_and_again_comes_to_no_limit_and_leaves_one_for_what_must_be(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    real = pebble()
    it = keeper(real.authority())
    begun(it, clock)
    for _ in range(10):
        told = asks(it, clock, Asked("renew", "shop"))
    assert real.said().count("POST /finalize-order") == MOST_ISSUED - 1
    assert told["is"] == "refused" and "another certificate may be asked for at 20" in told["why"]
    clock.go_to(dt.datetime.fromisoformat(told["why"].rpartition(" ")[2]))
    assert asks(it, clock, Asked("renew", "shop"))["is"] == "done", "it was the truth"


def test_while_an_authority_wants_peace_it_is_not_asked_and_when_it_may_be_is_told(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    full = [False]

    def limited(method: str, path: str, said: Said) -> Said:
        if method == "POST" and path.startswith("/order-plz") and full[0]:
            body = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many of yours"}
            return Said(
                429, {"Content-Type": "application/problem+json", "Retry-After": "7200"}, json.dumps(body).encode()
            )
        return said

    with closing(Between(pki, pebble().port, limited)) as front:
        it = keeper(authority(front.url, pki.public.file))
        first, full[0] = begun(it, clock), True
        told = asks(it, clock, Asked("renew", "shop"))
        assert told["is"] == "stopped" and "too many of yours" in told["why"] and told["next_try"]
        posts = len(front.asked)
        told = asks(it, clock, Asked("renew", "shop"))
        assert told["is"] == "refused" and "too many of yours" in told["why"], told
        assert len(front.asked) == posts and serial(it) == first
        full[0] = False
        drive(it, clock, lambda: serial(it) != first)


def test_a_site_that_is_none_is_refused_with_those_that_are(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    it = keeper(pebble().authority())
    begun(it, clock)
    told = asks(it, clock, Asked("renew", "shp"))
    assert told == {
        "is": "refused",
        "why": "no site 'shp' has its certificates by ACME; those that have: shop",
    }


def test_what_was_asked_for_is_remembered_by_who_comes_after(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    real = pebble()
    it = keeper(real.authority())
    first = begun(it, clock)
    it.by_hand.ask(Asked("renew", "shop"))
    it.step()
    it.close()
    again = keeper(real.authority())
    again.configure([SHOP])
    again.step()
    assert "asked for by hand" in only(again).certificates[0].why
    drive(again, clock, lambda: settled(again) and serial(again) != first)


def test_why_a_certificate_is_renewed_when_it_is_is_told(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    def without(method: str, path: str, said: Said) -> Said:
        if path == "/dir":
            found = json.loads(said.body)
            found.pop("renewalInfo", None)
            return Said(200, said.fields, json.dumps(found).encode())
        return said

    real = pebble()
    with closing(Between(pki, real.port, without)) as front:
        it = keeper(authority(front.url, pki.public.file))
        it.configure([Site("long", ("a.test",), profile="default"), Site("short", ("b.test",), profile="shortlived")])
        drive(it, clock, lambda: settled(it))
        long, short = (one.certificates[0].why for one in it.status())
        assert (long, short) == ("a third of its life is left", "half of its life is left")


# Taken back.


@pytest.mark.parametrize(("reason", "code"), [("unspecified", 0), ("key-compromise", 1), ("superseded", 4)])
def test_another_one_is_shown_before_one_is_taken_back(
    reason: str, code: int, pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    real, shown = pebble(), set[str]()
    it = keeper(real.authority(), is_shown=lambda mark: mark in shown)
    first = begun(it, clock)
    (before,) = it.in_force()
    old = only(it).certificates[0].mark
    assert old is not None
    shown.add(old)
    number = it.by_hand.ask(Asked("revoke", "shop", reason=reason))
    drive(it, clock, lambda: settled(it) and serial(it) != first)
    new = only(it).certificates[0].mark
    assert new is not None
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert any(path.parent.name == "revocations" for path in files)
    for now_shown in ({old}, {old, new}, set[str]()):
        shown.clear()
        shown.update(now_shown)
        for _ in range(5):
            clock.wait(it.step().wait_s)
        assert not real.is_revoked(first), "it may be served yet"
    shown.add(new)
    drive(it, clock, lambda: it.by_hand.seen(number) == {"is": "done", "serials": [first]})
    assert real.of_serial(first)["Reason"] == code if code else real.is_revoked(first)
    assert not real.is_revoked(serial(it))
    secret = before.key_pem
    assert not any(secret in path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())


def test_one_that_is_taken_back_already_is_taken_back(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    real = pebble()
    it = keeper(real.authority())
    first = begun(it, clock)
    leaf = it.wanted["shop", "ecdsa-p256"].chain
    assert leaf is not None
    it.work.talk(it.authorities[0], it.now())[0].take_back(leaf.leaf, 0)
    assert real.is_revoked(first)
    assert asks(it, clock, Asked("revoke", "shop"))["is"] == "done"
    assert asks(it, clock, Asked("revoke", serial=first)) == {"is": "done", "serials": [first]}


def test_only_takes_it_back_at_once_and_it_is_not_in_force_any_more(
    pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    real = pebble()
    it = keeper(real.authority())
    first = begun(it, clock)
    before = (tmp_path / "state/sites/shop/ecdsa-p256.pem").read_bytes()
    number = it.by_hand.ask(Asked("revoke", "shop", only=True))
    drive(it, clock, lambda: real.is_revoked(first))
    assert it.in_force() == [] and it.by_hand.seen(number) == {"is": "done", "serials": [first]}
    drive(it, clock, lambda: settled(it))
    assert serial(it) != first
    it.close()
    # From a copy of the store.
    (tmp_path / "state/sites/shop/ecdsa-p256.pem").write_bytes(before)
    again = keeper(real.authority())
    again.configure([SHOP])
    drive(again, clock, lambda: settled(again))
    assert serial(again) != first, "neither it nor its key is used again"


def without_account(kind: str, real: Pebble, keeper: Start, clock: Clock, state: Path) -> tuple[Keeper, str]:
    """What was issued is there, the account that it was issued for is not. Gives the certificate's serial number as well."""
    it = keeper(real.authority())
    begun(it, clock, Site("shop", ("a.test",), keys=(kind,)))
    first = serial(it, kind)
    it.close()
    for path in (state / "accounts").rglob("*.*"):
        path.unlink()
    again = keeper(real.authority())
    again.configure([])
    again.step()
    return again, first


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
def test_another_account_takes_no_certificate_back_and_a_key_that_was_not_kept_for_it_neither(
    kind: str, pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    real = pebble()
    again, first = without_account(kind, real, keeper, clock, tmp_path / "state")
    told = asks(again, clock, Asked("revoke", "shop", reason="superseded"))
    assert told["is"] == "stopped" and not real.is_revoked(first), "another account has no right to it"
    told = asks(again, clock, Asked("revoke", "shop", reason="key-compromise"))
    assert told["is"] == "stopped", "the key was not kept for that"


@pytest.mark.parametrize("kind", ["ecdsa-p256", "rsa-2048"])
def test_a_key_that_others_have_takes_its_certificate_back_itself_where_the_account_is_gone(
    kind: str, pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    real = pebble()
    again, first = without_account(kind, real, keeper, clock, tmp_path / "state")
    told = asks(again, clock, Asked("revoke", "shop", reason="key-compromise"))
    assert told == {"is": "done", "serials": [first]} and real.of_serial(first)["Reason"] == 1
    assert not list((tmp_path / "state/accounts").rglob("*.*")), "no account was made for it"


def test_a_site_that_is_gone_has_its_certificate_taken_back_by_its_serial_number(
    pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    real = pebble()
    it = keeper(real.authority())
    first = begun(it, clock)
    it.configure([Site("other", ("b.test",))])
    drive(it, clock, lambda: settled(it))
    told = asks(it, clock, Asked("revoke", serial=first, reason="cessation-of-operation"))
    assert told == {"is": "done", "serials": [first]} and real.of_serial(first)["Reason"] == 5
    assert not (tmp_path / "state/sites/shop/ecdsa-p256.pem").exists() and not real.is_revoked(serial(it))
    told = asks(it, clock, Asked("revoke", serial="abcd"))
    assert told["is"] == "refused" and "no certificate of the serial number abcd" in told["why"]


def test_an_answer_that_is_lost_is_told_and_asked_for_again(
    pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki
) -> None:
    down = [False]

    def lost(method: str, path: str, said: Said) -> Said:
        return Said(503) if down[0] and path.startswith("/revoke-cert") else said

    real = pebble()
    with closing(Between(pki, real.port, lost)) as front:
        it = keeper(authority(front.url, pki.public.file))
        first, down[0] = begun(it, clock), True
        told = asks(it, clock, Asked("revoke", "shop"))
        assert told["is"] == "stopped" and "503" in told["why"] and told["next_try"] and serial(it) != first
        second = serial(it)
        number = it.by_hand.ask(Asked("revoke", "shop"))
        it.step()
        down[0] = False
        drive(it, clock, lambda: it.by_hand.seen(number) == {"is": "done", "serials": [first]})
        assert real.is_revoked(first)
        assert serial(it) == second and not real.is_revoked(second), "the one that was meant, and no other"


def test_what_cannot_be_replaced_now_is_not_taken_back_and_a_key_that_others_have_may_use_the_last_one(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    real = pebble()
    it = keeper(real.authority())
    begun(it, clock)
    for _ in range(MOST_ISSUED - 2):
        assert asks(it, clock, Asked("renew", "shop"))["is"] == "done"
    last = serial(it)
    told = asks(it, clock, Asked("revoke", "shop"))
    assert told["is"] == "refused" and f"--only takes {last} back without another one" in told["why"]
    assert not real.is_revoked(last) and serial(it) == last
    assert asks(it, clock, Asked("revoke", "shop", reason="key-compromise"))["is"] == "done"
    assert real.is_revoked(last) and settled(it) and serial(it) != last


def test_what_another_site_serves_from_the_same_file_is_not_taken_back_unless_it_is_said(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    shown = set[str]()
    real = pebble()
    it = keeper(real.authority(), is_shown=lambda mark: mark in shown)
    first = begun(it, clock)
    shown.add(only(it).certificates[0].mark or "")
    it.configure([])
    it.step()
    told = asks(it, clock, Asked("revoke", serial=first))
    assert told["is"] == "refused" and f"{first} is served" in told["why"] and not real.is_revoked(first)
    assert asks(it, clock, Asked("revoke", serial=first, only=True))["is"] == "done" and real.is_revoked(first)


def test_an_authority_that_is_configured_no_more_is_to_be_named_again(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    real, other = pebble(), pebble()
    it = keeper(real.authority())
    first = begun(it, clock)
    it.close()
    again = keeper(other.authority())
    again.configure([SHOP])
    again.step()
    told = asks(again, clock, Asked("revoke", "shop", only=True))
    assert told["is"] == "refused" and f"issued by {real.authority().url}" in told["why"], told
    both = keeper(other.authority(), real.authority())
    both.configure([SHOP])
    both.step()
    assert asks(both, clock, Asked("revoke", "shop"))["is"] == "done"
    assert real.is_revoked(first) and only(both).authority == other.authority().url


# The account's key.


def test_the_account_has_another_key_and_the_old_one_is_gone(
    pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    """K03: nobody else reads the new one, and the old one is on no disk."""
    real = pebble()
    it = keeper(real.authority())
    begun(it, clock)
    (path,) = (tmp_path / "state/accounts").rglob("key.pem")
    before, where = path.read_bytes(), (path.parent / "account.json").read_bytes()
    told = asks(it, clock, Asked("rollover"))
    assert told["is"] == "done", told
    assert told["accounts"][0]["said"] == "has a new key"
    assert path.read_bytes() != before and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not any(before in one.read_bytes() for one in (tmp_path / "state").rglob("*") if one.is_file())
    assert sorted(one.name for one in path.parent.iterdir()) == ["account.json", "key.pem"]
    assert (path.parent / "account.json").read_bytes() == where, "the account is the same"
    first = serial(it)
    assert asks(it, clock, Asked("renew", "shop"))["is"] == "done" and serial(it) != first
    assert asks(it, clock, Asked("revoke", "shop"))["is"] == "done"
    assert "There are now 2 accounts" not in real.said()
    it.close()
    path.write_bytes(before)
    path.with_name("account.json").unlink()
    old = keeper(real.authority())
    begun(old, clock, Site("other", ("b.test",)))
    assert "There are now 2 accounts" in real.said(), "the old key is nobody's there any more"


@pytest.mark.parametrize("reaches", [True, False])
def test_a_change_whose_answer_is_lost_keeps_the_key_that_the_authority_knows(
    reaches: bool, pebble: Pebbles, keeper: Start, clock: Clock, pki: Pki, tmp_path: Path
) -> None:
    down = [False]
    real = pebble()

    def lost(method: str, path: str, said: Said) -> Said:
        if path == "/dir" and not reaches:
            return Said(200, said.fields, said.body.replace(b"/rollover-account-key", b"/nowhere"))
        if path.startswith(("/rollover-account-key", "/nowhere")):
            down[0] = True
        return Said(503) if down[0] else said

    with closing(Between(pki, real.port, lost)) as front:
        it = keeper(authority(front.url, pki.public.file))
        begun(it, clock)
        (path,) = (tmp_path / "state/accounts").rglob("key.pem")
        before = path.read_bytes()
        told = asks(it, clock, Asked("rollover"))
        assert told["is"] == "stopped" and "both are kept" in told["accounts"][0]["said"], told
        after = path.with_name("key.next.pem").read_bytes()
        assert path.read_bytes() == before and stat.S_IMODE(path.with_name("key.next.pem").stat().st_mode) == 0o600
        down[0] = False
        clock.wait(4000)
        first = serial(it)
        drive(it, clock, lambda: it.standings.free_at(it.authorities[0].url, it.now()) <= it.now())
        assert asks(it, clock, Asked("renew", "shop"))["is"] == "done" and serial(it) != first
        assert path.read_bytes() == (after if reaches else before)
        assert not path.with_name("key.next.pem").exists() and "There are now 2 accounts" not in real.said()


def test_no_key_is_changed_while_an_order_is_under_way_nor_where_there_is_no_account(
    pebble: Pebbles, keeper: Start, clock: Clock, answering: Edge
) -> None:
    it = keeper(pebble().authority())
    it.configure([])
    it.step()
    assert "there is no account" in asks(it, clock, Asked("rollover"))["why"]
    it.configure([SHOP])
    drive(it, clock, lambda: bool(it.status()) and only(it).pending)
    assert "an order of site 'shop' is under way" in asks(it, clock, Asked("rollover"))["why"]
    drive(it, clock, lambda: settled(it))
    told = asks(it, clock, Asked("rollover"))
    assert told["is"] == "done", told
