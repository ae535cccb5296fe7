"""Orders at Pebble, from nothing to a certificate in force, by each challenge."""

from __future__ import annotations

import datetime as dt
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from everyhop.acme import ExternalAccount, Keeper, Site
from tests.acme.edge import Clock, Edge, drive, only, settled
from tests.acme.pebble import Pebble

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]


@pytest.mark.parametrize("kind", ["http-01", "tls-alpn-01"])
def test_a_site_gets_a_certificate_for_all_its_names(
    kind: str, pebble: Pebbles, keeper: Start, clock: Clock, answering: Edge
) -> None:
    by = pebble().authority()
    it = keeper(by)
    it.configure([Site("shop", ("a.test", "b.test"), challenges=(kind,))])
    assert drive(it, clock, lambda: settled(it)) == ["shop"]
    (found,) = it.in_force()
    (leaf, *above) = x509.load_pem_x509_certificates(found.chain_pem)
    assert set(found.names) == {"a.test", "b.test"}
    assert set(answering.ever) == {(kind, "a.test"), (kind, "b.test")}
    assert above, "what leads up from it is there"
    key = load_pem_private_key(found.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == leaf.public_key()
    assert not answering.tokens and not answering.contexts, "what was published is withdrawn"
    told = only(it)
    assert (told.problem, told.authority, told.pending) == (None, by.name, False)
    assert told.until == found.ends and told.next_try < found.ends


def test_both_kinds_of_keys_are_had_side_by_side(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",), keys=("ecdsa-p256", "rsa-2048"))])
    drive(it, clock, lambda: settled(it))
    keys = {found.kind: load_pem_private_key(found.key_pem, None) for found in it.in_force()}
    assert isinstance(keys["ecdsa-p256"], ec.EllipticCurvePrivateKey)
    assert isinstance(keys["rsa-2048"], rsa.RSAPrivateKey) and keys["rsa-2048"].key_size == 2048


def test_a_profile_is_had_as_it_was_named(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",), profile="shortlived")])
    drive(it, clock, lambda: settled(it))
    (found,) = it.in_force()
    assert dt.timedelta(days=5, hours=23) < found.ends - found.begins <= dt.timedelta(days=6)


def test_a_profile_that_the_authority_does_not_have_is_told_with_those_that_it_has(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",), profile="weekly")])
    drive(it, clock, lambda: only(it).problem is not None)
    assert "has no profile 'weekly', but default, shortlived" in str(only(it).problem)


def test_every_second_nonce_may_be_refused(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    it = keeper(pebble(bad_nonces=50).authority())
    it.configure([Site("shop", ("a.test", "b.test", "c.test"))])
    drive(it, clock, lambda: settled(it))
    assert only(it).problem is None


def test_an_account_that_others_know_is_tied_to_theirs(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    it = pebble(external={"kid-1": secret})
    without = keeper(it.authority())
    without.configure([Site("shop", ("a.test",))])
    drive(without, clock, lambda: only(without).problem is not None)
    assert "only with an external account" in str(only(without).problem)
    tied = keeper(it.authority(ExternalAccount("kid-1", secret)))
    tied.configure([Site("shop", ("a.test",))])
    drive(tied, clock, lambda: settled(tied))


def test_terms_that_nobody_agreed_to_are_told_with_where_they_stand(
    pebble: Pebbles, keeper: Start, clock: Clock
) -> None:
    it = keeper(pebble().authority(), terms_agreed=False)
    it.configure([Site("shop", ("a.test",))])
    drive(it, clock, lambda: only(it).problem is not None)
    assert "its terms are not agreed to: data:text/plain" in str(only(it).problem)


def test_a_restart_finds_what_is_in_force_and_the_account(
    pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    authority = pebble()
    first = keeper(authority.authority())
    first.configure([Site("shop", ("a.test",))])
    drive(first, clock, lambda: settled(first))
    before = sorted((path, path.read_bytes()) for path in (tmp_path / "state").rglob("*.pem"))
    again = keeper(authority.authority())
    again.configure([Site("shop", ("a.test",))])
    found = again.step()
    assert (found.changed, found.is_new) == (("shop",), False)
    assert again.in_force() == first.in_force()
    again.configure([Site("shop", ("a.test",)), Site("wiki", ("w.test",))])
    drive(again, clock, lambda: settled(again))
    assert authority.said().count("There are now 1 accounts") == 1 and "now 2 accounts" not in authority.said()
    assert all(path.read_bytes() == data for path, data in before)


def test_nobody_else_reads_the_store(pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path) -> None:
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",))])
    drive(it, clock, lambda: settled(it))
    for path in [tmp_path / "state", *(tmp_path / "state").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
