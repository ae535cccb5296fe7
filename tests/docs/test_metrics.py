"""The page of metrics says what a running edge emits, no more and no less, and how it behaves."""

from __future__ import annotations

import re
from pathlib import Path

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.kit import EdgeKit, Pki, exchange, tls
from tests.kit.edge import until
from tools.metrics import APART, CHECKED, LIMITED, ONLY_THERE, OTHERS, families, read

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROUTE = '[[route]]\nname = "a"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{}"]\n'


def documented() -> dict[str, tuple[str, list[str]]]:
    """Type and labels, by name."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {name: (kind, re.findall(r"`(\w+)`", labels)) for name, kind, labels in rows}


def test_the_page_names_what_a_running_edge_emits_and_a_reload_keeps_counters(pki: Pki) -> None:
    status = free_port()
    with_status = f'[status]\nbind = "127.0.0.1:{status}"\n'
    backend = Backend("plaintext")
    mutual = f"""[[route]]
name = "c"
host = "c.test"
tls = "mutual"
to = ["127.0.0.1:{backend.port}"]
verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}
present = "edge"
"""
    routes = ROUTE.format(backend.port)
    others = OTHERS.format(web=free_port()).replace("certificates/", f"{pki.folder}/")
    more = (with_status + CHECKED + LIMITED + others).replace("api.demo.test", "a.test")
    it = EdgeKit(pki, routes + mutual, engine=APART, more=more)
    try:
        for host, answered in (("a.test", 200), ("c.test", 502)):
            with tls(it.port, host, pki.public.file) as sock:
                assert exchange(sock, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").status == answered
        counted = 'everyhop_requests_total{route="a",pattern="plaintext"} 1'
        until(lambda: counted in read(status), told=lambda: read(status))
        emitted = families(read(status))
        assert not any(emitted[name].labels for name in ONLY_THERE), "counted beside what is run here, too"
        told = {name: (it.kind, ONLY_THERE.get(name, it.labels)) for name, it in emitted.items()}
        assert told == documented()
        assert it.reload(routes + mutual.replace('"c"', '"d"'))["reloaded"]
        assert counted in read(status)
        assert 'route="d"' in read(status) and 'route="c"' not in read(status)
    finally:
        it.close()
        backend.close()
