"""An authority, an edge that answers its challenges, and keepers of certificates between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from everyhop.acme import Authority, Keeper, Publisher, Store
from tests.acme.edge import Clock, Edge
from tests.acme.pebble import Names, Pebble
from tests.kit import Pki


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    with closing(Names(tmp_path_factory.mktemp("names"))) as it:
        yield it


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Edge]:
    (tmp_path / "edge").mkdir()
    with closing(Edge(tmp_path / "edge")) as it:
        yield it


@pytest.fixture
def pebble(pki: Pki, tmp_path: Path, names: Names, answering: Edge) -> Iterator[Callable[..., Pebble]]:
    """Starts one."""
    with ExitStack() as stack:

        def start(**more: object) -> Pebble:
            ports = {"resolver": names.port, "http_port": answering.http_port, "tls_port": answering.tls_port}
            return stack.enter_context(closing(Pebble(pki, tmp_path, **{**ports, **more})))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def keeper(tmp_path: Path, clock: Clock, answering: Edge) -> Iterator[Callable[..., Keeper]]:
    """Makes one over the store of the test, as a start does and a restart."""
    with ExitStack() as stack:

        def start(*authorities: Authority, publisher: Publisher | None = None, **more: object) -> Keeper:
            by = publisher or answering
            settings: dict[str, object] = {"terms_agreed": True, "clock": clock, **more}
            it = Keeper(Store(tmp_path / "state"), authorities, by, **settings)  # type: ignore[arg-type]
            return stack.enter_context(closing(it))

        yield start
