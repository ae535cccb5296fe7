"""`everyhop acme` at an edge that runs: what is ordered is served before anything is said to be done, and what is revoked is not."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acme.pebble import Names
from tests.acme.test_served import Ground, site
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.edge import until
from tests.kit.halt import halt

Edges = Callable[..., EdgeKit]


@pytest.fixture
def ground(edge: Edges, raw: Callable[..., Raw], pki: Pki, names: Names, tmp_path: Path) -> Iterator[Ground]:
    it = Ground(edge, raw, pki, names, tmp_path)
    yield it
    it.pebble.close()


def begun(ground: Ground) -> EdgeKit:
    it = ground.start(site("new", "new.test") + ground.route("new.test"))
    until(lambda: ground.shown("new.test") is not None, 60)
    return it


def shown(ground: Ground) -> str | None:
    found = ground.shown("new.test")
    return None if found is None else f"{found.serial_number:x}"


def acme(it: EdgeKit, *words: str) -> subprocess.CompletedProcess[str]:
    return it.cli("acme", *words, "--config", str(it.config))


def test_all_there_is_to_know_is_listed(ground: Ground) -> None:
    it = begun(ground)
    done = acme(it, "list")
    assert done.returncode == 0 and "site new  ecdsa-p256: new.test by https://127.0.0.1:" in done.stdout, done
    assert f"serial {shown(ground)}; renewed at 20" in done.stdout
    found = json.loads(acme(it, "list", "--json").stdout)
    (one,) = found["sites"][0]["certificates"]
    assert one["serial"] == shown(ground) and one["served"] and one["until"] and one["why"]
    assert found["sites"][0]["problem"] is None and found["revocations"] == []


def test_what_is_renewed_is_served_when_the_command_returns(ground: Ground) -> None:
    it = begun(ground)
    first = shown(ground)
    done = acme(it, "renew", "new")
    assert done.returncode == 0, done
    assert done.stdout == f"site new serves {shown(ground)}\n" and shown(ground) != first
    assert not ground.pebble.is_revoked(str(first)), "it is replaced, not taken back"


def test_who_does_not_wait_gets_it_all_the_same(ground: Ground) -> None:
    it = begun(ground)
    first = shown(ground)
    done = acme(it, "renew", "new", "--no-wait")
    assert done.returncode == 0 and "the one in force is served until then" in done.stdout, done
    until(lambda: shown(ground) != first, 60)


def test_what_cannot_be_had_is_told_with_its_exit_code(ground: Ground) -> None:
    it = ground.start(site("bad", "blocked.test") + ground.route("blocked.test"))
    it.edge.wait_for("no certificate for site 'bad'")
    done = acme(it, "renew", "bad")
    assert done.returncode == 1 and "nothing is begun" in done.stderr, done
    assert "blocked.test" in done.stderr and "another certificate may be asked for at 20" in done.stderr
    done = acme(it, "renew", "bda")
    assert done.returncode == 1 and "those that have: bad" in done.stderr
    assert acme(it, "revoke", "bad", "--serial", "12").returncode == 2
    assert acme(it, "revoke", "--serial", "xyz").returncode == 2
    assert "no certificate of site 'bad' is here" in acme(it, "revoke", "bad").stderr
    listed = acme(it, "list").stdout
    assert "ecdsa-p256: no certificate yet" in listed and "in the way: " in listed and "blocked.test" in listed


def test_what_is_revoked_is_served_no_more_when_the_authority_hears_of_it(ground: Ground) -> None:
    it = begun(ground)
    first = shown(ground)
    assert first is not None
    done = acme(it, "revoke", "new", "--reason", "key-compromise")
    assert done.returncode == 0 and done.stdout == f"revoked: {first}\n", done
    assert ground.pebble.of_serial(first)["Reason"] == 1
    second = shown(ground)
    assert second not in {None, first} and not ground.pebble.is_revoked(str(second))
    it.edge.wait_for(f"the certificate {first} of site 'new' is revoked (key-compromise)")
    assert f"{first}, revoked (key-compromise)" in acme(it, "list").stdout
    again = acme(it, "revoke", "--serial", ":".join(first[i : i + 2] for i in range(0, len(first), 2)))
    assert again.returncode == 0 and shown(ground) == second, again


def test_only_ends_what_is_served_and_the_site_shows_nothing_until_there_is_another_one(ground: Ground) -> None:
    it = begun(ground)
    first = shown(ground)
    assert first is not None
    assert acme(it, "revoke", "new", "--only").returncode == 0
    assert ground.pebble.is_revoked(first)
    until(lambda: shown(ground) not in {None, first}, 60)


def test_a_supervisor_that_dies_before_the_authority_is_told_goes_on_when_it_comes_again(ground: Ground) -> None:
    it = begun(ground)
    first = shown(ground)
    assert first is not None
    halt(ground.pebble.process.process.pid)
    try:
        done = acme(it, "revoke", "new", "--no-wait")
        assert done.returncode == 0, done
        told = it.cli("status", "--config", str(it.config)).stdout
        assert f"site new: certificate {first} is to be revoked (unspecified)" in told
    finally:
        it.edge.process.kill()
        it.edge.process.wait(10)
        ground.pebble.process.process.send_signal(signal.SIGCONT)
    it.edge = type(it.edge)(it.config)
    it.edge.wait_for("ready:", 60)
    until(lambda: ground.pebble.is_revoked(first), 90)
    assert shown(ground) not in {None, first}


def test_an_account_gets_another_key_and_certificates_go_on(ground: Ground) -> None:
    it = begun(ground)
    (path,) = it.folder.rglob("accounts/*/key.pem")
    before = path.read_bytes()
    done = acme(it, "rollover")
    assert done.returncode == 0 and "has a new key" in done.stdout, done
    assert path.read_bytes() != before and path.stat().st_mode & 0o077 == 0
    assert acme(it, "renew", "new").returncode == 0
    assert "There are now 2 accounts" not in ground.pebble.said()


def test_where_no_site_has_one_there_is_nothing_to_do(edge: Edges, raw: Callable[..., Raw], pki: Pki) -> None:
    it = edge('[[route]]\nname = "r"\nhost = "p.test"\ntls = "passthrough"\nto = ["127.0.0.1:9"]\n')
    done = acme(it, "list")
    assert done.returncode == 0 and "no site has its certificates by ACME" in done.stdout
    done = acme(it, "renew", "r")
    assert done.returncode == 1 and 'certs = "acme"' in done.stderr
