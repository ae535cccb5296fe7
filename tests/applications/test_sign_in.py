"""oauth2-proxy, built by Go from its module, signs a browser in at a provider of OpenID Connect, and is asked about each request of a
route from then on: who asks is told to the backend by it, and by nobody else."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from tests.applications import signs_in
from tests.applications.browser import Tab, needs_chromium, tab
from tests.kit import EdgeKit, Pki
from tests.kit.edge import leaf, until

HOP = 'tls = "reencrypt"\nverify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}'
EDGE = """
[[authorizer]]
name = "sso"
to = ["127.0.0.1:{sso}"]
{hop}
path = "/"
sends = ["cookie", "accept"]
takes = ["x-auth-request-user", "x-auth-request-email"]
deadline_ms = 10000
[[route]]
name = "wiki"
host = "a.test"
to = ["127.0.0.1:{backend}"]
{hop}
ask = "sso"
[[route]]
name = "sign-in"
host = "a.test"
path = "/oauth2"
to = ["127.0.0.1:{sso}"]
{hop}
"""


class Browser:
    """Follows each redirect, and keeps the cookies of each host."""

    def __init__(self, pki: Pki, edge: int) -> None:
        self.context, self.edge = ssl.create_default_context(cafile=str(pki.public.file)), edge
        self.cookies: dict[str, dict[str, str]] = {}
        self.seen: list[str] = []

    def once(
        self, url: str, form: dict[str, str] | None = None, more: dict[str, str] | None = None
    ) -> tuple[int, str, str]:
        """The status, where it leads, and the body."""
        to = urlsplit(url)
        assert to.hostname
        jar = self.cookies.setdefault(to.hostname, {})
        if to.scheme == "https":
            it: http.client.HTTPConnection = Secured(to.hostname, self.edge, self.context)
        else:
            it = http.client.HTTPConnection(to.hostname, to.port, timeout=30)
        head = {"Host": to.netloc, "Accept": "text/html", **(more or {})}
        if jar:
            head["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        body = urlencode(form) if form is not None else None
        if body is not None:
            head["Content-Type"] = "application/x-www-form-urlencoded"
        with contextlib.closing(it):
            it.request("GET" if body is None else "POST", f"{to.path or '/'}?{to.query}".removesuffix("?"), body, head)
            answer = it.getresponse()
            for text in answer.headers.get_all("Set-Cookie") or []:
                for name, morsel in SimpleCookie(text).items():
                    if (
                        morsel.value
                        and morsel["max-age"] != "0"
                        and "1970" not in morsel["expires"]
                        and "1969" not in morsel["expires"]
                    ):
                        jar[name] = morsel.value
                    else:
                        jar.pop(name, None)
            self.seen.append(f"{answer.status} {to.hostname}{to.path}")
            return answer.status, urljoin(url, answer.headers["Location"] or ""), answer.read().decode()

    def browse(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Until nothing leads further: the status, the address, and the page."""
        for _ in range(12):
            status, leads, page = self.once(url, form)
            if status not in (301, 302, 303, 307, 308):
                return status, url, page
            url, form = leads, None
        raise AssertionError(self.seen)


class Secured(http.client.HTTPSConnection):
    """To the edge, by another name than its address."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, port, context=context, timeout=30)
        self.own = context

    def connect(self) -> None:
        raw = socket.create_connection(("127.0.0.1", self.port), 30)
        self.sock = self.own.wrap_socket(raw, server_hostname=self.host)


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@dataclass(frozen=True)
class House:
    """An edge, the provider, oauth2-proxy and a backend."""

    edge: EdgeKit
    provider: int
    backend: Backend

    @property
    def site(self) -> str:
        return f"https://a.test:{self.edge.port}"


@pytest.fixture
def house(opened: contextlib.ExitStack, pki: Pki, tmp_path: Path) -> House:
    provider, sso = free_port(), free_port()
    backend = Backend("wiki", pki.backend)
    opened.callback(backend.close)
    text = EDGE.replace("{hop}", HOP).format(sso=sso, backend=backend.port, pki="{pki}")
    edge = EdgeKit(pki, text)
    opened.callback(edge.close)
    signs_in.provider(opened, tmp_path, provider)
    signs_in.proxy(opened, tmp_path, pki.backend, (sso, provider), ("a.test", edge.port))
    return House(edge, provider, backend)


def test_who_signs_in_is_known_to_the_backend_and_who_does_not_is_led_there(house: House, pki: Pki) -> None:
    edge, provider, backend, site = house.edge, house.provider, house.backend, house.site
    browser = Browser(pki, edge.port)
    status, at, page = browser.browse(f"{site}/page?x=1&y=%2f")
    assert (status, urlsplit(at).port) == (200, provider), browser.seen
    assert backend.seen == [], "nobody who has not signed in gets there"
    assert re.search(r"<form", page), page
    status, at, page = browser.browse(at, {"sub": "kim"})
    assert (status, at) == (200, f"{site}/page?x=1&y=%2f"), f"{browser.seen} {page}"
    (seen,) = backend.seen
    assert (seen["x-auth-request-user"], seen["x-auth-request-email"]) == ("kim", "kim@example.com")
    # From now on at once, and nobody else can say who it is.
    status, _, _ = browser.once(
        f"{site}/next", more={"X_Auth_Request_User": "root", "X-Auth-Request-Email": "root@example.com"}
    )
    assert status == 200 and backend.seen[1]["x-auth-request-user"] == "kim" and "root" not in str(backend.seen[1])
    # Who signs out is led to where one signs in.
    browser.once(f"{site}/oauth2/sign_out")
    status, leads, _ = browser.once(f"{site}/next")
    assert (status, urlsplit(leads).port) == (302, provider) and len(backend.seen) == 2
    # And who shows a session that nobody gave is, too.
    browser.cookies["a.test"] = {"_oauth2_proxy": "e30|1|x"}
    assert browser.once(f"{site}/next")[0] == 302 and len(backend.seen) == 2
    verdicts = [line["ask"]["verdict"] for line in edge.all_lines() if line["route"] == "wiki"]
    assert verdicts == ["led-elsewhere", "passed", "passed", "led-elsewhere", "led-elsewhere"]


def test_a_real_browser_is_led_to_the_provider_and_back_to_where_it_wanted(
    house: House, pki: Pki, tmp_path: Path
) -> None:
    needs_chromium()
    trusted = leaf(pki, "edge")
    wanted = f"{house.site}/page?x=1"

    def once(tab: Tab, of: str) -> Any:
        """As soon as the page is there."""
        return until(lambda: tab.value(of), 60, lambda: tab.value("location.href + document.body.innerText"))

    with tab(tmp_path / "profile", trusted) as browser:
        browser.opens(wanted)
        once(browser, f"location.port === '{house.provider}' && !!document.querySelector('form')")
        assert house.backend.seen == [], "nobody who has not signed in gets there"
        browser.value("document.querySelector('[name=sub]').value = 'kim'; document.querySelector('form').submit()")
        once(browser, f"location.href === '{wanted}' && document.readyState === 'complete'")
        assert {seen["x-auth-request-user"] for seen in house.backend.seen} == {"kim"}
        # Its session is a cookie of the edge's site, which no page of it can read.
        assert "_oauth2_proxy" not in browser.value("document.cookie")
        browser.opens(f"{house.site}/oauth2/sign_out?rd=%2Fpage")
        once(browser, f"location.port === '{house.provider}'")
