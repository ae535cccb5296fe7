"""What the engine's process is started with."""

from __future__ import annotations

from everyhop import _door
from everyhop.engine.process import environment, few, without_keys


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
