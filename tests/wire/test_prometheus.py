"""What is shipped for Prometheus and Grafana speaks of metrics that there are: judged by Prometheus itself, beside an edge."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.kit.otlp import Collector
from tests.kit.prometheus import RULES, watching
from tests.wire.test_metrics import Told

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/everyhop.json"
Edges = Callable[..., EdgeKit]
METRIC = re.compile(r"\beveryhop_[a-z0-9_]+")
TRACES = '[[collector]]\nname = "otel"\ntls = "plaintext"\nto = ["127.0.0.1:{}"]\n[traces]\ncollector = "otel"\n'
ROUTE = '[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:1", "127.0.0.1:2"]\nmost = { requests = 5 }\n'


def promtool(*words: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *words], input=given, capture_output=True, text=True, timeout=120, check=False, cwd=RULES.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_alert_is_one_and_fires_at_what_it_is_for_and_at_nothing_else() -> None:
    found = int(re.findall(r"SUCCESS: (\d+) rules", promtool("check", "rules", RULES.name))[0])
    assert found == RULES.read_text().count("- alert:")
    promtool("test", "rules", "everyhop.rules.test.yml")
    tried = set(re.findall(r'alertname="(\w+)"', (RULES.parent / "everyhop.rules.test.yml").read_text()))
    assert tried == set(re.findall(r"- alert: (\w+)", RULES.read_text())), "each is seen firing"


def expressions(of: str = "everyhop_") -> list[str]:
    """Of the dashboard, with what Grafana puts in: those that speak of that."""
    board = json.loads(DASHBOARD.read_text())
    found = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
    found += [it["expr"] for it in board["annotations"]["list"]]
    found = [it for it in found if of in it]
    known = {"$instance": ".*", "$route": ".*", "$__rate_interval": "5m"}
    for name, value in known.items():
        found = [it.replace(name, value) for it in found]
    assert len(found) > 2 and not [it for it in found if "$" in it]
    return found


def test_what_an_edge_tells_is_read_by_prometheus_and_is_what_the_dashboard_and_the_alerts_ask_for(
    edge: Edges, pki: Pki, tmp_path: Path
) -> None:
    documented = (ROOT / "docs/reference/metrics.md").read_text()
    for name in METRIC.findall("\n".join([*expressions(), RULES.read_text()])):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert f"`{family}`" in documented, name
    it = Told(edge, ROUTE)
    assert [it.ask(pki) for _ in range(8)] == [502] * 8  # One of the two is left alone by now.
    it.comes(backend_up=1)
    with watching(it.port, tmp_path) as prometheus:
        for expression in expressions():
            prometheus(expression)  # An expression that is none is answered 400.
        assert prometheus("sum(everyhop_requests_total) > 0")
        until(lambda: bool(prometheus('ALERTS{alertname="EveryhopBackendDown"}')), 60)


def test_spans_that_a_collector_takes_and_those_that_it_does_not_are_on_the_dashboard_and_an_alert_tells_of_these(
    edge: Edges, pki: Pki, tmp_path: Path
) -> None:
    collector = Collector()
    try:
        it = Told(edge, ROUTE + TRACES.format(collector.port))
        with watching(it.port, tmp_path) as prometheus:
            assert it.ask(pki) == 502  # What failed is told whatever the share: itself, and the try at each backend.
            it.comes(traces_sent_total=3, traces_waiting=0)
            assert not prometheus('ALERTS{alertname="EveryhopSpansDropped"}')
            collector.status = 400
            assert it.ask(pki) == 502
            it.comes(traces_sent_total=3, traces_dropped_total=3)
            (alert,) = until(lambda: prometheus('ALERTS{alertname="EveryhopSpansDropped"}'), 60)
            assert "'reason': 'refused'" in str(alert)
            shown = expressions("everyhop_traces_")
            assert {name for it in shown for name in METRIC.findall(it)} == set(
                re.findall(r"`(everyhop_traces_\w+)`", (ROOT / "docs/reference/metrics.md").read_text())
            )
            for expression in shown:
                assert until(partial(prometheus, expression), 60), expression
    finally:
        collector.close()


def test_what_an_edge_tells_has_no_fault_that_promtool_knows(edge: Edges, pki: Pki) -> None:
    it = Told(edge, ROUTE)
    assert it.ask(pki) == 502
    with urllib.request.urlopen(f"http://127.0.0.1:{it.port}/metrics", timeout=20) as answer:
        promtool("check", "metrics", given=answer.read().decode())
