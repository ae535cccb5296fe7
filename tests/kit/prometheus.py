"""Prometheus of Debian, with the alerts that are shipped, beside an edge."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from everyhop.demo.stage import free_port
from tests.kit.edge import until

RULES = Path(__file__).parents[2] / "deploy/prometheus/everyhop.rules.yml"
Asks = Callable[[str], list[dict[str, object]]]


@contextmanager
def watching(metrics: int, folder: Path) -> Iterator[Asks]:
    """Prometheus, which has heard of the edge whose `/metrics` are at that port; asks it."""
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{ scrape_interval: 250ms, evaluation_interval: 250ms }}\nrule_files: [{RULES}]\n"
        f"scrape_configs: [{{ job_name: edge, static_configs: [{{ targets: ['127.0.0.1:{metrics}'] }}] }}]\n"
    )
    words = [
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as out, subprocess.Popen(["prometheus", *words], stdout=out, stderr=out) as running:

        def ask(expression: str) -> list[dict[str, object]]:
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                found: list[dict[str, object]] = json.load(answer)["data"]["result"]
                return found

        def heard() -> bool:
            try:
                return bool(ask('up{job="edge"} == 1'))
            except OSError:
                return False

        try:
            until(heard, 60, log.read_text)
            yield ask
        finally:
            running.terminate()
