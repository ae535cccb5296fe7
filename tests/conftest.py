"""Fixtures of all tests: certificates made once, edges and backends closed and judged after each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everyhop.demo.relay import Relay
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.clients import OPENED
from tests.kit.raw import Script


def pytest_configure() -> None:
    """Each process of tests has ports of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % APART
    each = (32_768 - 10_240) // APART
    os.environ["EVERYHOP_PORTS"] = f"{10_240 + worker * each}-{10_239 + (worker + 1) * each}"


APART = 12

LONG = (
    *("applications/test_promises.py", "wire/test_keys_apart.py", "docs/test_commands.py", "docs/test_install.py"),
    *("wire/test_migrate.py", "wire/test_capabilities.py", "wire/test_health_kept.py", "wire/test_guard_enrol.py"),
    *("threats/test_http1.py", "wire/test_key_servers.py", "acme/test_renewals.py", "wire/test_supervisor.py"),
    *("threats/test_differential.py", "threats/test_configuration.py", "wire/test_waf.py"),
)
"""Files whose tests wait for minutes together: what begins last should be short."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those begin first, whatever order they are named in; pytest has one of its own. All others keep theirs."""
    turn = {f"tests/{name}": n for n, name in enumerate(LONG)}
    items.sort(key=lambda it: turn.get(it.nodeid.partition("::")[0], len(turn)))


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def closed() -> Iterator[Callable[[], None]]:
    """Connections that a test opened end with it, wherever it ends; those of wider fixtures stay. Called, it ends them now."""
    before = len(OPENED)

    def close() -> None:
        while len(OPENED) > before:
            OPENED.pop().close()

    yield close
    close()


@pytest.fixture
def edge(pki: Pki, closed: Callable[[], None]) -> Iterator[Callable[..., EdgeKit]]:
    """Starts an edge; at the end it must stop in order and must not have panicked."""
    opened: list[EdgeKit] = []

    def start(routes: str, **more: object) -> EdgeKit:
        kit = EdgeKit(pki, routes, **more)  # type: ignore[arg-type]
        opened.append(kit)
        return kit

    yield start
    # A drain waits for whoever is still there.
    closed()
    for kit in opened:
        kit.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    """Starts a recording backend with a script."""
    opened: list[Raw] = []

    def start(script: Script, *args: object, **more: object) -> Raw:
        it = Raw(script, *args, **more)  # type: ignore[arg-type]
        opened.append(it)
        return it

    yield start
    for it in opened:
        it.close()


@pytest.fixture
def relay() -> Iterator[Callable[[int], Relay]]:
    opened: list[Relay] = []

    def start(port: int) -> Relay:
        it = Relay(("127.0.0.1", port))
        opened.append(it)
        return it

    yield start
    for it in opened:
        it.close()


@pytest.fixture
def data() -> Path:
    return Path(__file__).parent
