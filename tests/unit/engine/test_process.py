"""What the engine's process is started with."""

from __future__ import annotations

import os
import pwd

import pytest

from everyhop import _door
from everyhop.engine.process import environment, few, whom, without_keys
from everyhop.errors import Surroundings


def test_tunables_that_were_set_by_hand_stay_and_win() -> None:
    assert environment({"A": "b"}) == {"A": "b", "GLIBC_TUNABLES": _door.LIBC_TUNABLES}
    both = environment({"GLIBC_TUNABLES": "glibc.malloc.check=3"})["GLIBC_TUNABLES"]
    assert both == _door.LIBC_TUNABLES + ":glibc.malloc.check=3"


PEM = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"


def test_no_secret_of_our_environment_goes_to_an_engine_and_no_key_to_a_module() -> None:
    ours = {
        "KEY": PEM,
        "EVERYHOP_PIN": "4711",
        "SOFTHSM2_CONF": "/etc/x",
        "LD_LIBRARY_PATH": "/x",
        "LC_ALL": "C",
        "PATH": "/bin",
    }
    assert few(ours) == {"LD_LIBRARY_PATH": "/x", "LC_ALL": "C"}
    assert without_keys(ours) == {name: value for name, value in ours.items() if name != "KEY"}


def test_whoever_has_no_name_is_compared_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that run by a number of their own."""
    users = {it.pw_uid for it in pwd.getpwall()}
    nameless = next(it for it in range(40_000, 60_000) if it not in users)
    root = pwd.getpwuid(0).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: nameless)
    assert whom(None) is None
    with pytest.raises(Surroundings, match="needs root to become it"):
        whom(root)
    with pytest.raises(Surroundings, match="this machine has no user 'nobody-at-all'"):
        whom("nobody-at-all")
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    assert whom("nobody") is None
