"""The edge of a small company, `examples/company`, whole: its own text with other addresses and files, and real clients before it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import Edge, free_port
from everyhop.errors import Surroundings
from everyhop.source.toml_form import formed
from everyhop.waf import found
from tests.applications import curl, peer, signs_in
from tests.applications.catalogue import SOCKETS
from tests.applications.lab import Lab
from tests.kit import Pki, tls
from tests.kit.edge import leaf, until
from tests.kit.grpc_peer import SERVICE, Echo, channel
from tests.kit.inspector import built
from tests.kit.key_server import KeyServer
from tests.kit.logs import whole_lines
from tests.kit.prometheus import watching
from tests.kit.tokens import ISSUER, Issuer

EXAMPLE = Path(__file__).parents[2] / "examples/company/everyhop.toml"
BALANCER = "127.0.0.9"
CLIENT = "203.0.113.7"
TLS_ENDED = {35, 55, 56}
"""curl's words for a handshake that was refused; in TLS 1.3 it learns of it only as it sends or reads."""


@dataclass(frozen=True)
class Company:
    port: int
    web: int
    status: int
    log: Path
    pki: Pki
    lab: Lab
    edge: Edge
    login: Issuer
    has_sso: bool
    """oauth2-proxy could be built here."""

    def customer(self, sub: str = "kim", **more: Any) -> tuple[str, str]:
        """For curl: a token of the customer's."""
        return "-H", f"Authorization: Bearer {self.login.token(sub=sub, **{'scope': 'api', **more})}"

    def ask(self, host: str, path: str = "/", *more: str, client: str = "curl-h2") -> dict[str, Any]:
        """As curl has it."""
        url = f"https://{host}:{self.port}{path}"
        line = [*curl.command(client, self.pki.public.file, url), "-i", *more, url]
        done = subprocess.run(line, capture_output=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr.decode()
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        return curl.parsed(head.decode("latin-1"), body)

    def page(self, host: str, path: str = "/", *more: str) -> tuple[dict[str, Any], dict[str, str]]:
        """What the application says that it saw, and the answer's fields."""
        answer = self.ask(host, path, *more)
        assert answer["status"] == 200, answer
        return json.loads(answer["body"]), answer["fields"]


def shown(lab: Lab) -> bytes:
    """The certificate of all backends."""
    first = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", lab.pair[1].decode(), re.S)[0]
    return ssl.PEM_cert_to_DER_cert(first)


def moved(text: str, folder: Path, pki: Pki, ports: dict[str, int], shown: bytes) -> str:
    """The example, here: every address, name and file of it is replaced, and nothing else."""
    for name, hosts in {
        "shop": ("company.test", "www.company.test"),
        "api": ("api.company.test",),
        "staff": ("grafana.company.test", "printer.company.test"),
    }.items():
        pki.public.leaf(name, *hosts)
    for old, new in {
        "company.example": "company.test",
        '"[::]:443"': f'"127.0.0.1:{ports["public"]}"',
        '"[::]:80"': f'"127.0.0.1:{ports["web"]}"',
        "https_port   = 443": f"https_port   = {ports['public']}",
        "127.0.0.1:9180": f"127.0.0.1:{ports['status']}",
        "10.0.0.0/24": f"{BALANCER}/32",
        "/var/log/everyhop": str(folder),
        "/etc/everyhop/internal-ca.pem": str(pki.public.file),
        "/etc/everyhop/staff-ca.pem": str(pki.public.file),
        "/etc/everyhop": str(pki.folder),
        "10.0.1.11:8443": f"127.0.0.1:{ports['node']}",
        "10.0.1.12:8443": f"127.0.0.1:{ports['aiohttp']}",
        "10.0.1.21:8443": f"127.0.0.1:{ports['node']}",
        "10.0.1.22:8443": f"127.0.0.1:{ports['second']}",
        "10.0.1.31:8443": f"127.0.0.1:{ports['grpc']}",
        "127.0.0.1:3000": f"127.0.0.1:{ports['grafana']}",
        "10.0.5.9:443": f"127.0.0.1:{ports['printer']}",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": hashlib.sha256(shown).hexdigest(),
        "10.0.7.5:8443": f"127.0.0.1:{ports['pay']}",
        "https://login.company.test/keys": f"https://127.0.0.1:{ports['keys']}/keys",
        'verify = { ca = "system" }': f'verify = {{ ca = "{pki.internal.file}", name = "backend.internal" }}',
        "https://login.company.test": ISSUER,
        "10.0.1.41:4180": f"127.0.0.1:{ports['sso']}",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    text = re.sub(r'name = "\w+\.internal"', 'name = "backend.internal"', text)
    assert not re.search(r"\b10\.|/etc/|\.example\b", text)
    if not has_rules():
        text, changes = re.subn(r'\[\[waf\]\].*\nname = "crs"\n|waf +=.*\n', "", text)
        assert changes == 2
    return text + f'\n[admin]\nsocket = "{folder}/admin.sock"\n'


def has_rules() -> bool:
    """Somebody is there who inspects requests."""
    try:
        return found().exists()
    except Surroundings:
        return False


def second_node(lab: Lab, folder: Path) -> dict[str, int]:
    """Another process of the same program: the company has two."""
    its = leaf(lab.pki, "application")
    command = peer.node("servers.mjs", its.chain, its.key, lab.pki.internal.file)
    ports: dict[str, int] = lab.keep(peer.Peer(command, folder)).read()["ports"]["node"]
    return ports


@pytest.fixture(scope="module")
def company(lab: Lab, pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    login = Issuer()
    keys = KeyServer(login, leaf=pki.backend)
    orders = grpc.server(ThreadPoolExecutor(4), handlers=(Echo(),))
    asked = grpc.ssl_server_credentials([lab.pair], pki.internal.file.read_bytes(), require_client_auth=True)
    first = "node" if "node" in lab.ports else "uvicorn"
    ports = {
        **{name: free_port() for name in ("public", "web", "status", "sso", "provider")},
        "keys": keys.raw.port,
        "grpc": orders.add_secure_port("127.0.0.1:0", asked),
        "node": lab.ports[first]["mutual"],
        "aiohttp": lab.ports["aiohttp"]["mutual"],
        "second": second_node(lab, folder)["mutual"] if peer.NODE else lab.ports["hypercorn"]["mutual"],
        "grafana": lab.ports["uvicorn"]["plain"],
        "printer": lab.ports["aiohttp"]["tls"],
        "pay": lab.ports["go"]["tls"],
    }
    orders.start()
    config = folder / "everyhop.toml"
    config.write_text(moved(EXAMPLE.read_text(), folder, pki, ports, shown(lab)))
    with contextlib.ExitStack() as opened:
        opened.callback(keys.close)
        opened.callback(lambda: orders.stop(None).wait())
        if has_sso := peer.has_sign_in():
            signs_in.provider(opened, folder, ports["provider"])
            its = leaf(pki, "application")
            signs_in.proxy(
                opened, folder, its, (ports["sso"], ports["provider"]), ("grafana.company.test", ports["public"])
            )
        edge = Edge(config)
        opened.callback(edge.stop)
        edge.wait_for("ready:", 60)
        yield Company(
            ports["public"], ports["web"], ports["status"], folder / "access.log", pki, lab, edge, login, has_sso
        )


def test_the_example_is_in_its_one_form() -> None:
    assert formed(EXAMPLE.read_text()) == EXAMPLE.read_text()


def test_port_80_leads_to_https_and_knows_no_other_name(company: Company) -> None:
    def plain(host: str) -> dict[str, Any]:
        line = [peer.found("curl"), "-sS", "-i", "--noproxy", "*", "-H", f"Host: {host}"]
        done = subprocess.run([*line, f"http://127.0.0.1:{company.web}/a?b=c"], capture_output=True, check=True)
        return curl.parsed(done.stdout.partition(b"\r\n\r\n")[0].decode(), b"")

    for host in ("company.test", "www.company.test", "api.company.test", "pay.company.test"):
        told = plain(host)
        assert told["status"] == 308 and told["fields"]["location"] == f"https://{host}:{company.port}/a?b=c"
    assert plain("other.test")["status"] == 421


def test_www_leads_to_the_one_name_with_path_and_query(company: Company) -> None:
    told = company.ask("www.company.test", "/a%2Fb?c=d")
    assert told["status"] == 308 and told["fields"]["location"] == "https://company.test/a%2Fb?c=d"


def test_a_page_of_the_shop_comes_with_what_browsers_are_to_hold_to(company: Company) -> None:
    seen, fields = company.page("company.test", "/cart?x=1")
    assert seen["target"] == "/cart?x=1"
    assert fields["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert fields["x-frame-options"] == "DENY" and not {"server", "x-powered-by"} & fields.keys()
    robots = company.ask("company.test", "/robots.txt")
    assert robots["status"] == 200 and "Disallow: /cart" in robots["body"]


def test_a_long_page_of_the_shop_comes_compressed_but_not_to_who_is_logged_in(company: Company) -> None:
    path = "/search?q=" + "shoe+" * 400
    seen, fields = company.page("company.test", path, "--compressed")
    assert seen["target"] == path and fields["content-encoding"] in {"zstd", "br", "gzip"}
    assert "content-encoding" not in company.page("company.test", path, "--compressed", "-b", "session=1")[1]


def test_what_looks_like_an_attack_does_not_come_to_the_shop(company: Company) -> None:
    built()
    attack = "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"
    told = company.ask("company.test", attack)
    assert told["status"] == 403 and "waf/denied" in told["body"]
    form = "-d", "comment=1' OR '1'='1"
    assert company.ask("company.test", "/review", *form)["status"] == 403
    seen, _ = company.page("company.test", "/review", "-d", "comment=it's fine, isn't it?")
    assert seen["target"] == "/review"
    assert company.page("api.company.test", "/api" + attack, *company.customer())[0], "a route without rules asks none"


def test_tabs_of_customers_hold_their_websockets(company: Company) -> None:
    for client, it in SOCKETS.items():
        if it.needs == "node" and peer.NODE is None:
            continue
        job = {"sizes": [5, 70_000], "say": "grüße", "close": [4001, "done"]}
        for _ in range(2):  # At each of the two backends.
            told = company.lab.do(client, "talk", f"wss://company.test:{company.port}/ws", **job)
            assert told == {"echoed": job["sizes"], "said": "grüße", "closed": [4001, "done"]}, client


def test_what_programs_call_is_asked_without_the_prefix_of_the_edge(company: Company) -> None:
    for path, target in (("/api/orders/7?x=%2F", "/orders/7?x=%2F"), ("/api", "/"), ("/api/", "/")):
        for _ in range(2):
            assert company.page("api.company.test", path, *company.customer())[0]["target"] == target
    assert company.ask("api.company.test", "/other")["status"] == 404


def test_programs_show_a_token_and_the_services_are_told_whose(company: Company) -> None:
    for more, status in {
        (): 401,
        ("-H", "Authorization: Bearer " + Issuer().token(scope="api")): 401,
        company.customer(scope="shop"): 403,
    }.items():
        assert company.ask("api.company.test", "/api/x", *more)["status"] == status
    seen, _ = company.page("api.company.test", "/api/x", *company.customer(), "-H", "X-Customer: root")
    fields = [(name.lower(), value) for name, value in seen["fields"]]
    assert [value for name, value in fields if name == "x-customer"] == ["kim"]
    assert "authorization" not in dict(fields), "the services have no use for it"


def test_staff_signs_in_at_the_provider_and_grafana_is_told_who_it_is(company: Company) -> None:
    peer.sign_in()
    key = "--cert", str(company.pki.client.chain), "--key", str(company.pki.client.key)
    jar = company.log.parent / "cookies"
    keeps = "-b", str(jar), "-c", str(jar)
    leads = company.ask("grafana.company.test", "/d/1", *key, *keeps)["fields"]["location"]
    line = [peer.found("curl"), "-sS", "-o", "/dev/null", "-w", "%{redirect_url}", *keeps, "-d", "sub=kim", leads]
    back = subprocess.run(line, capture_output=True, check=True, timeout=60).stdout.decode()
    url = urlsplit(back)
    assert url.hostname == "grafana.company.test" and url.path == "/oauth2/callback", back
    again = company.ask("grafana.company.test", f"{url.path}?{url.query}", *key, *keeps)
    assert (again["status"], urlsplit(again["fields"]["location"]).path) == (302, "/d/1")
    seen, _ = company.page("grafana.company.test", "/d/1", *key, *keeps, "-H", "X-Auth-Request-User: root")
    assert [value for name, value in seen["fields"] if name.lower() == "x-auth-request-user"] == ["kim"]


def test_orders_are_called_by_grpc(company: Company) -> None:
    with channel(company.port, "api.company.test", company.pki.public.file) as it:
        with pytest.raises(grpc.RpcError) as elsewhere:
            it.unary_unary(f"/{SERVICE}/One")(b"x", timeout=30)
        assert elsewhere.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert it.unary_unary("/shop.Orders/One")(b"x", timeout=30) == b"X"


def test_only_staff_gets_a_word_with_what_only_staff_opens(company: Company) -> None:
    key = Leaf(company.pki.client.chain, company.pki.client.key)
    for host in ("grafana.company.test", "printer.company.test"):
        answer = company.ask(host, "/d/1", "--cert", str(key.chain), "--key", str(key.key))
        # Whoever has a certificate is still asked who it is, where somebody is there to ask.
        assert answer["status"] == (200 if host.startswith("printer") else 302 if company.has_sso else 503)
        line = [*curl.command("curl-h2", company.pki.public.file, f"https://{host}:{company.port}/"), "-f"]
        refused = subprocess.run(
            [*line, f"https://{host}:{company.port}/"], capture_output=True, timeout=60, check=False
        )
        assert refused.returncode in TLS_ENDED, refused.stderr.decode()


def test_payments_are_the_providers_own_tls(company: Company) -> None:
    with tls(company.port, "pay.company.test", company.pki.public.file) as sock:
        theirs = sock.getpeercert(binary_form=True)
    with tls(company.port, "company.test", company.pki.public.file) as sock:
        ours = sock.getpeercert(binary_form=True)
    assert theirs == shown(company.lab) and ours != theirs


def test_a_client_behind_the_load_balancer_is_known_by_its_own_address(company: Company) -> None:
    context = ssl.create_default_context(cafile=str(company.pki.public.file))
    with socket.create_connection(("127.0.0.1", company.port), 20, source_address=(BALANCER, 0)) as raw:
        raw.sendall(f"PROXY TCP4 {CLIENT} 10.0.0.1 4711 443\r\n".encode())
        with context.wrap_socket(raw, server_hostname="company.test") as sock:
            sock.sendall(b"GET /who HTTP/1.1\r\nHost: company.test\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
    forwarded = dict(json.loads(answer.partition(b"\r\n\r\n")[2])["fields"])
    assert {k.lower(): v for k, v in forwarded.items()}["x-forwarded-for"] == CLIENT

    def told() -> list[dict[str, Any]]:
        return [line for line in map(json.loads, whole_lines(company.log)) if line["path"] == "/who"]

    until(lambda: bool(told()), 20)
    (line,) = told()
    assert (line["client"], line["route"], line["status"]) == (CLIENT, "shop", 200)
    assert line["backend_hop"]["tls"] == "mutual" and line["backend_hop"]["identity"] == "demanded"


def test_the_shop_is_closed_for_a_while_and_the_rest_goes_on(company: Company, tmp_path: Path) -> None:
    page = tmp_path / "closed.html"
    page.write_text("<h1>back in the morning</h1>")

    def maintenance(*words: str) -> None:
        line = [
            sys.executable,
            "-m",
            "everyhop",
            "maintenance",
            "shop",
            *words,
            "--config",
            str(company.log.parent / "everyhop.toml"),
        ]
        subprocess.run(line, check=True, capture_output=True, timeout=60)

    maintenance("--until", "2h", "--page", str(page))
    until(lambda: company.ask("company.test")["status"] == 503, 30)
    told = company.ask("company.test", "/cart", "-H", "Accept: text/html")
    assert told["body"] == page.read_text() and told["fields"]["content-type"].startswith("text/html")
    assert "retry-after" in told["fields"] and "strict-transport-security" in told["fields"]
    assert company.ask("company.test", "/robots.txt")["status"] == 200
    assert company.page("api.company.test", "/api/x", *company.customer())[0]["target"] == "/x"
    maintenance("--off")
    until(lambda: company.ask("company.test")["status"] == 200, 30)


def test_what_went_on_is_counted_by_route(company: Company) -> None:
    company.page("company.test", "/counted")
    with urllib.request.urlopen(f"http://127.0.0.1:{company.status}/metrics", timeout=20) as answer:
        figures = answer.read().decode()
    found = re.findall(r'^everyhop_requests_total{route="(\w+)",pattern="\w+"} \d+$', figures, re.M)
    assert found == re.findall(r'^name += "(\w+)"$', EXAMPLE.read_text().partition("# The shop.")[2], re.M)


def test_the_services_are_asked_whether_they_are_well(company: Company) -> None:
    def passed() -> set[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{company.status}/metrics", timeout=20) as answer:
            rows = answer.read().decode()
        good = r'^everyhop_backend_checks_total\{route="api",backend="([^"]+)"[^}]*result="passed"[^}]*\} [1-9]'
        return set(re.findall(good, rows, re.M))

    until(lambda: len(passed()) == 2, 30)


def test_prometheus_hears_of_every_route_and_no_alert_of_those_that_are_shipped_tells_of_a_fault(
    company: Company, tmp_path: Path
) -> None:
    company.page("company.test", "/heard")
    with watching(company.status, tmp_path) as prometheus:
        found: list[Any] = prometheus("everyhop_requests_total")
        routes = {it["metric"]["route"] for it in found}
        names = re.findall(r'^name += "(\w+)"$', EXAMPLE.read_text().partition("# The shop.")[2], re.M)
        assert routes == set(names)
        # All four patterns and the edge's own answers, by their names.
        patterns = {it["metric"]["pattern"] for it in found}
        assert patterns == {"passthrough", "mutual", "reencrypt", "plaintext", "answered"}
        assert prometheus('everyhop_backend_up{route="api"} == 1') and not prometheus(
            "everyhop_identity_not_demanded == 1"
        )
        # The certificates of these tests last for days.
        assert not prometheus('ALERTS{alertstate="firing",alertname!~"EveryhopEnds.*"}')


def test_the_log_is_turned_over_as_logrotate_does_and_no_line_is_lost(company: Company) -> None:
    old = company.log.with_name("access.log.1")
    asked: list[str] = []

    def ask() -> None:
        asked.append(f"/turned/{len(asked):03}")
        company.page("company.test", asked[-1])

    def asked_once_more() -> list[str]:
        ask()
        return told(company.log)

    def told(log: Path) -> list[str]:
        lines = [json.loads(line)["path"] for line in whole_lines(log)] if log.exists() else []
        return [path for path in lines if path and path.startswith("/turned/")]

    ask()
    until(lambda: told(company.log), 30)
    company.log.rename(old)
    ask()
    company.edge.process.send_signal(signal.SIGUSR1)
    until(asked_once_more, 30)
    # Each thread writes its lines as it comes to it: a later one may be in front, none is missing or there twice.
    until(lambda: len(told(old) + told(company.log)) == len(asked) or None, 30)
    assert sorted(told(old) + told(company.log)) == asked and told(old)
