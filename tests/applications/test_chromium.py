"""Chromium, headless, with a page that fetches, uploads, talks and listens, and goes on to the next pattern when it is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.applications import peer
from tests.applications.browser import browsing, needs_chromium
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import Peer
from tests.kit import EdgeKit, Pki
from tests.kit.edge import leaf


def tunnels(lines: list[dict[str, Any]], host: str) -> set[str]:
    """In which protocols it opened its WebSockets."""
    return {
        line["protocol"] for line in lines if line["path"] == "/ws" and line["host"] == host and line["status"] == 101
    }


@pytest.fixture(scope="module")
def reports(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """What the page found, by host: one browser for all."""
    needs_chromium()
    folder, application = tmp_path_factory.mktemp("page"), application_leaf(pki)
    server = Peer(peer.python("page.py", application.chain, application.key, pki.internal.file), folder)
    try:
        front = EdgeKit(pki, SITE + routes("page", server.read()["ports"], patterns=PATTERNS), threads=2)
        try:
            hosts = [f"page.{pattern}.test:{front.port}" for pattern in PATTERNS]
            url = f"https://{hosts[0]}/#{','.join(hosts[1:])}"
            with browsing(url, folder / "profile", application, leaf(pki, "applications")):
                found = [server.read() for _ in PATTERNS]
            lines = front.all_lines()
            yield {one["host"]: {**one, "tunnels": tunnels(lines, one["host"])} for one in found}
        finally:
            front.close()
    finally:
        server.close()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_page_fetches_uploads_talks_and_listens(reports: dict[str, dict[str, Any]], pattern: str) -> None:
    told = reports[f"page.{pattern}.test"]
    assert told["sent"] is True and told["many"] is True, told
    assert told["socket"] == [[5, 100_000], 4001, "because of this"], told
    assert told["events"] == ["one", "two"], told
    # By itself it opens them over HTTP/2 where that is offered (RFC 8441).
    assert told["tunnels"] == (set() if pattern == "passthrough" else {"h2"}), told
    # aiohttp speaks no HTTP/2; where TLS ends at the edge the browser does.
    assert told["protocols"] == ["http/1.1" if pattern == "passthrough" else "h2"], told
