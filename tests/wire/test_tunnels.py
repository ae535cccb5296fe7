"""Many open tunnels while the configuration changes again and again; `bench/many_tunnels.py` does the same with a thousand."""

from __future__ import annotations

from bench.many_tunnels import main


def test_tunnels_of_every_kind_outlive_twenty_reloads_of_what_is_not_theirs() -> None:
    """F06. Passthrough, WebSockets and streams of gRPC."""
    assert main(30, 20) == 0
