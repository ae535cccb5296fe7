"""Chromium and answers shaped for it: a page of another origin reads what CORS lets it, compressed, and nothing else; and who was
answered by one backend comes back to it."""

from __future__ import annotations

import json
import queue
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from everyhop.demo.stage import free_port
from tests.applications.browser import browsing, needs_chromium
from tests.kit import EdgeKit, Pki, Raw
from tests.kit.raw import OK, Record, answering, head

TEXT = " ".join(random.Random(3).choices(["one", "two", "three", "four"], k=20_000))
PAGE = """<!doctype html><meta charset="utf-8"><script>
const api = `https://b.test:${location.port}`, told = { host: location.hostname };
const attempt = async (name, f) => { try { told[name] = await f(); } catch (e) { told[name] = e.name; } };
(async () => {
  await attempt('simple', async () => (await (await fetch(api + '/one')).text()).length);
  await attempt('asked', async () => {
    const it = await fetch(api + '/put', { method: 'PUT', headers: { 'x-tenant': 'blue' }, credentials: 'include' });
    return [it.status, it.headers.get('x-total'), it.headers.get('x-hidden'), (await it.text()).length];
  });
  await attempt('method', async () => (await fetch(api + '/delete', { method: 'DELETE' })).status);
  await attempt('field', async () => (await fetch(api + '/field', { headers: { 'x-other': '1' } })).status);
  await attempt('why', async () => (await (await fetch(api + '/gone/x')).text()).includes('hop/connect-failed'));
  await attempt('held', async () => {
    const by = [];
    for (let n = 0; n < 6; n++) by.push(await (await fetch('/held')).text());
    return [by, document.cookie];
  });
  await attempt('own', async () => (await (await fetch('/own')).text()).length);
  await fetch('/told?' + encodeURIComponent(JSON.stringify(told)));
})();
</script>
"""
CORS = (
    'cors = { origins = ["https://a.test:PORT"], methods = ["GET", "PUT"], headers = ["x-tenant"], '
    'expose = ["x-total"], credentials = true }\n'
)


def route(name: str, host: str, port: int, more: str) -> str:
    return f'[[route]]\nname = "{name}"\nhost = {host}\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\n{more}'


@pytest.fixture(scope="module")
def found(
    pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, dict[str, Any]], Any, dict[str, Any]]]:
    """What a page of each host could do, and the edge's lines."""
    needs_chromium()
    pages: dict[str, dict[str, Any]] = {}
    stays: dict[str, Any] = {}
    folder = tmp_path_factory.mktemp("shapes")
    came: queue.Queue[dict[str, Any]] = queue.Queue()

    def script(sock: socket.socket, record: Record) -> None:
        while (asked := head(sock, record)) is not None:
            target = asked.split(b" ")[1].decode()
            if target.startswith("/told?"):
                came.put(json.loads(unquote(target.partition("?")[2])))
            kind, body = ("text/html", PAGE) if target == "/" else ("text/plain", TEXT)
            more = "Access-Control-Allow-Origin: *\r\nX-Total: 3\r\nX-Hidden: 4\r\n"
            told = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
            sock.sendall(told.encode())

    def one_of(number: int) -> Callable[[socket.socket, Record], None]:
        return answering(*[OK.replace(b"\r\n\r\nok", b"\r\n\r\n%d" % number)] * 20)

    backend = Raw(script)
    several = [Raw(one_of(number)) for number in range(10, 13)]
    try:
        compress = 'compress = ["zstd", "br", "gzip"]\n'
        both = route("pages", '["a.test", "c.test"]', backend.port, compress)
        api = route("api", '"b.test"', backend.port, compress + CORS)
        gone = route("gone", '"b.test"', free_port(), 'path = "/gone"\n' + CORS)
        held = route("held", '["a.test", "c.test"]', several[0].port, 'path = "/held"\nsticky = { cookie = "edge" }\n')
        to = ", ".join(f'"127.0.0.1:{it.port}"' for it in several)
        held = held.replace(f'["127.0.0.1:{several[0].port}"]', f"[{to}]")
        front = EdgeKit(pki, (both + api + gone + held).replace("PORT", "1"), threads=2)
        try:
            text = (both + api + gone + held).replace("PORT", str(front.port))
            assert front.reload(text)["reloaded"]
            for host in ("a.test", "c.test"):
                with browsing(f"https://{host}:{front.port}/", folder / host, pki.site):
                    told = came.get(timeout=120)
                    assert told.pop("host") == host
                    stays[host] = told.pop("held")
                    pages[host] = told
            lines = front.all_lines()
            yield pages, lines, {"answers": stays, "asked": b"".join(it.received for it in several)}
        finally:
            front.close()
    finally:
        for it in (backend, *several):
            it.close()


def test_a_listed_page_reads_what_it_may_and_sees_why_it_was_refused(found: Any) -> None:
    told, _, _ = found
    assert told["a.test"] == {
        "simple": len(TEXT),
        "asked": [200, "3", None, len(TEXT)],
        "method": "TypeError",
        "field": "TypeError",
        "why": True,
        "own": len(TEXT),
    }


def test_a_page_that_is_not_listed_reads_nothing_of_another_origin(found: Any) -> None:
    told, _, _ = found
    refused = dict.fromkeys(("simple", "asked", "method", "field", "why"), "TypeError")
    assert told["c.test"] == {**refused, "own": len(TEXT)}


def test_what_it_read_came_compressed_and_what_it_was_refused_reached_no_backend(found: Any) -> None:
    _, lines, _ = found
    asked = {line["path"]: line for line in lines if line["method"] != "OPTIONS" and line["route"] == "api"}
    assert set(asked) == {"/one", "/put"}
    assert all(0 < line["bytes_out"] < len(TEXT) / 3 for line in asked.values())
    preflights = [(line["path"], line["status"]) for line in lines if line["method"] == "OPTIONS"]
    assert sorted(preflights) == sorted(
        [("/put", 204), ("/delete", 204), ("/field", 204), ("/put", 403), ("/delete", 403), ("/field", 403)]
    )


def test_a_browser_comes_back_to_its_backend_by_a_cookie_that_no_script_and_no_backend_sees(found: Any) -> None:
    _, lines, several = found
    for by, cookies in several["answers"].values():
        assert len(by) == 6 and len(set(by)) == 1 and by[0] in {"10", "11", "12"} and cookies == ""
    assert several["asked"].count(b"GET /held") == 12 and b"__Host-edge" not in several["asked"]
    assert [line["status"] for line in lines if line["route"] == "held"] == [200] * 12
