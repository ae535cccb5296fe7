"""`everyhop check --online`: what the DNS has of the names of a configuration, asked of a real server. Each of its sentences is said where
it is true, and not where it is not; none but that of CAA refuses.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from everyhop.acme import Store, authority
from everyhop.acme.account import folder
from everyhop.demo.backends import Backend
from everyhop.demo.stage import free_port
from everyhop.refusals import ONLINE, PAGES
from tests.acme.bind import Bind
from tests.kit import Pki
from tests.kit.dns import Dns
from tests.kit.nursery import everyhop

Binds = Callable[[str], Bind]
HERE = "shop.hop A 127.0.0.1\n"
NAME = "shop.hop.com"
SAYS = "hsts = { max_age_s = 63072000 }"


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Binds]:
    """A server for the zone `com`, with some records in it."""
    with ExitStack() as stack:
        yield lambda records: stack.enter_context(closing(Bind(tmp_path, "com", records)))


class Checked:
    """A configuration with one site, by ACME, of good standing: what is said of it is what the DNS has."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.acme, self.hosts, self.site, self.route, self.more = "", [NAME], SAYS, "", ""

    def written(self) -> Path:
        path = self.folder / "everyhop.toml"
        path.write_text(
            f'version = 1\n[acme]\nterms_agreed = true\n{self.acme}\n[dns]\nservers = ["127.0.0.1:{self.port}"]\n'
            '[[listener]]\nname = "public"\nbind = ["127.0.0.1:8443"]\n'
            f'[[site]]\nname = "shop"\nhosts = {json.dumps(self.hosts)}\ncerts = "acme"\n{self.site}\n'
            f'[[route]]\nname = "shop"\nhost = {json.dumps(self.hosts)}\ntls = "plaintext"\nto = ["127.0.0.1:9001"]\n'
            f"{self.route}\n{self.more}"
        )
        return path

    def run(self, *more: str, online: bool = True) -> subprocess.CompletedProcess[str]:
        return everyhop("check", str(self.written()), *["--online"] * online, *more)

    def findings(self, code: int = 0) -> list[dict[str, Any]]:
        done = self.run("--json")
        assert done.returncode == code, done.stdout + done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        assert {it["slug"] for it in found} <= ONLINE
        return found

    def said(self, code: int = 0) -> list[tuple[str, str]]:
        return [(it["slug"], it["severity"]) for it in self.findings(code)]


def test_of_names_that_resolve_and_that_anybody_may_issue_for_nothing_is_said(bind: Binds, tmp_path: Path) -> None:
    assert Checked(tmp_path, bind(HERE).port).said() == []


def test_without_the_word_nobody_is_asked(tmp_path: Path) -> None:
    with closing(Dns({})) as dns:
        it = Checked(tmp_path, dns.port)
        it.site = ""
        done = it.run("--json", online=False)
        assert done.returncode == 0 and json.loads(done.stdout)["findings"] == [] and dns.asked == []
        assert it.said() != [] and NAME in dns.asked


def test_a_name_without_an_address_is_a_hint_with_the_reason_and_is_no_error_even_where_one_is_strict(
    bind: Binds, tmp_path: Path
) -> None:
    it = Checked(tmp_path, bind(HERE + "empty.hop TXT x\n").port)
    it.hosts = [NAME, "gone.hop.com", "empty.hop.com"]
    found = it.findings()
    assert [(f["slug"], f["severity"]) for f in found] == [("site/unresolved", "note")] * 2
    whats = "\n".join(f["what"] for f in found)
    assert "gone.hop.com, which has no address here: no such name (NXDOMAIN)" in whats
    assert "empty.hop.com, which has no address here: it has no address (an empty answer)" in whats
    assert it.run("--strict").returncode == 0


def test_wildcards_and_sites_of_every_name_are_not_looked_for(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(HERE).port)
    it.acme, it.hosts = 'dns_hook = ["/bin/true"]', [NAME, "*.hop.com"]
    assert it.said() == []


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ('hop CAA 0 issue "letsencrypt.org"', None),
        ('shop.hop CAA 0 issue "letsencrypt.org"\nhop CAA 0 issue "other.test"', None),
        ('hop CAA 0 iodef "mailto:ops@hop.com"', None),
        ('hop CAA 0 issue "letsencrypt.org; validationmethods=tls-alpn-01"', None),
        ('hop CAA 0 issue "other.test"', "hop.com let other.test issue (issue)"),
        ('@ CAA 0 issue ";"', "com let nobody issue (issue)"),
        ('shop.hop CAA 0 issue "other.test"\nhop CAA 0 issue "letsencrypt.org"', "shop.hop.com let other.test issue"),
        ('hop CAA 0 issue "letsencrypt.org; validationmethods=dns-01"', "let it issue for what is proved by dns-01"),
        ('hop CAA 0 issue "letsencrypt.org"\nhop CAA 128 strange "x"', "say 'strange'"),
    ],
)
def test_a_zone_that_lets_others_issue_refuses_and_says_what_to_write_there(
    bind: Binds, tmp_path: Path, records: str, says: str | None
) -> None:
    it = Checked(tmp_path, bind(f"{HERE}{records}\n").port)
    if says is None:
        assert it.said() == []
        return
    (found,) = it.findings(1)
    assert (found["slug"], found["severity"]) == ("acme/caa", "refused")
    assert says in found["what"] and "letsencrypt" in found["what"] and NAME in found["what"]
    assert 'CAA 0 issue "letsencrypt.org"' in json.dumps(found["mend"]).replace("\\", "")
    done = it.run()
    assert done.returncode == 1 and "refused [acme/caa]" in done.stderr and "everyhop.toml:" in done.stderr


def test_an_alias_is_followed_to_the_records_of_what_it_stands_for(bind: Binds, tmp_path: Path) -> None:
    target = 'cdn.other A 127.0.0.1\ncdn.other CAA 0 issue "other.test"\n'
    it = Checked(tmp_path, bind(f"shop.hop CNAME cdn.other\n{target}").port)
    assert it.said(1) == [("acme/caa", "refused")]
    it.port = bind('shop.hop CNAME cdn.other\ncdn.other A 127.0.0.1\nother CAA 0 issue "other.test"\n').port
    assert it.said() == []


def test_of_a_wildcard_issuewild_counts(bind: Binds, tmp_path: Path) -> None:
    zone = f'{HERE}hop CAA 0 issue "letsencrypt.org"\n'
    it = Checked(tmp_path, bind(zone).port)
    it.acme, it.hosts = 'dns_hook = ["/bin/true"]', [NAME, "*.hop.com"]
    assert it.said() == []
    it.port = bind(f'{zone}hop CAA 0 issuewild ";"\n').port
    (found,) = it.findings(1)
    assert "*.hop.com" in found["what"] and "issuewild" in json.dumps(found["mend"])


def test_records_for_one_account_are_a_hint(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(f'{HERE}hop CAA 0 issue "letsencrypt.org; accounturi=https://le.test/acct/7"\n').port)
    (found,) = it.findings()
    assert found["severity"] == "note" and "https://le.test/acct/7" in found["what"]


def test_the_account_that_is_kept_is_compared_with_the_one_that_is_let(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(f'{HERE}hop CAA 0 issue "letsencrypt.org; accounturi=https://le.test/acct/7"\n').port)
    store = Store(tmp_path / "acme")
    told = f"{folder(authority('letsencrypt'))}/account.json"
    store.write_json(told, {"url": "https://le.test/acct/7", "contact": []})
    assert it.said() == []
    store.write_json(told, {"url": "https://le.test/acct/8", "contact": []})
    (found,) = it.findings(1)
    assert "acct/7 alone, and the one here is https://le.test/acct/8" in found["what"]
    mends = json.dumps(found["mend"]).replace("\\", "")
    assert 'CAA 0 issue "letsencrypt.org; accounturi=https://le.test/acct/8"' in mends and "bring the account" in mends


def test_who_only_looks_makes_no_folder(bind: Binds, tmp_path: Path) -> None:
    Checked(tmp_path, bind(HERE).port).said()
    assert not (tmp_path / "acme").exists()


def test_authorities_that_come_after_the_first_are_each_compared_and_warned_of(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(f'{HERE}hop CAA 0 issue "letsencrypt.org"\n').port)
    closed = f"https://127.0.0.1:{free_port()}/directory"
    it.acme = f'authority = ["letsencrypt", "letsencrypt-staging", "{closed}"]'
    (found,) = it.findings()
    assert found["severity"] == "note" and closed in found["what"] and "is not known" in found["what"]
    it.acme = 'authority = ["letsencrypt", "letsencrypt-staging"]'
    it.port = bind(f'{HERE}hop CAA 0 issue "letsencrypt.org; accounturi=https://le.test/acct/7"\n').port
    store = Store(tmp_path / "acme")
    for name, account in (("letsencrypt", 7), ("letsencrypt-staging", 8)):
        where = f"{folder(authority(name))}/account.json"
        store.write_json(where, {"url": f"https://le.test/acct/{account}", "contact": []})
    (found,) = it.findings()
    assert (
        found["severity"] == "warning" and "letsencrypt-staging, where those before it are down, for" in found["what"]
    )
    assert it.run("--strict").returncode == 1
    it.acme = 'authority = ["letsencrypt-staging", "letsencrypt"]'
    (found,) = it.findings(1)
    assert found["severity"] == "refused" and "asks letsencrypt-staging for" in found["what"]


@pytest.mark.parametrize(("answer", "says"), [("servfail", "SERVFAIL"), ("silent", "no answer within")])
def test_a_server_that_does_not_tell_is_a_hint_and_never_taken_for_leave(
    tmp_path: Path, answer: str, says: str
) -> None:
    with closing(Dns({NAME: answer})) as dns:
        found = Checked(tmp_path, dns.port).findings()
        by_slug = {it["slug"]: it for it in found}
        assert set(by_slug) == {"acme/caa", "site/unresolved"}
        assert all(says in it["what"] and it["severity"] == "note" for it in found)


def test_an_authority_is_known_by_the_names_in_its_directory(bind: Binds, tmp_path: Path, pki: Pki) -> None:
    leaf = pki.internal.leaf("acme", "127.0.0.1")
    meta: dict[str, object] = {}

    def answer(request: BaseHTTPRequestHandler, caller: str) -> None:
        urls = {key: f"https://127.0.0.1/{key}" for key in ("newNonce", "newAccount", "newOrder")}
        body = json.dumps({**urls, "meta": meta}).encode()
        request.send_response(200)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with closing(Backend("acme", leaf, answer=answer)) as own:
        it = Checked(tmp_path, bind(f'{HERE}hop CAA 0 issue "ca.corp.test"\n').port)
        it.acme = f'authority = ["https://127.0.0.1:{own.port}/directory"]\nca = "{pki.internal.file}"'
        (found,) = it.findings()
        assert found["severity"] == "note" and "caaIdentities" in found["what"]
        meta["caaIdentities"] = ["CA.corp.test"]
        assert it.said() == []
        meta["caaIdentities"] = ["other.corp.test"]
        (found,) = it.findings(1)
        assert 'CAA 0 issue "other.corp.test"' in json.dumps(found["mend"]).replace("\\", "")
    (found,) = it.findings()
    assert found["severity"] == "note" and "is not known" in found["what"] and "refused" in found["what"].lower()


@pytest.mark.parametrize(
    ("site", "route", "says"),
    [
        ("", "", True),
        (SAYS, "", False),
        ("", '[route.response]\nset = { Strict-Transport-Security = "max-age=63072000" }', False),
        ("", '[route.response]\nset = { X-Other = "max-age=63072000" }', True),
    ],
    ids=["none", "the site", "the route", "another field"],
)
def test_a_site_that_says_no_hsts_and_whose_routes_say_none_gets_a_hint(
    bind: Binds, tmp_path: Path, site: str, route: str, says: bool
) -> None:
    it = Checked(tmp_path, bind(HERE).port)
    it.site, it.route = site, route
    assert it.said() == [("site/no-hsts", "note")] * says


def test_one_route_of_two_that_says_no_hsts_is_named(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(HERE).port)
    it.site, it.route = "", '[route.response]\nset = { Strict-Transport-Security = "max-age=63072000" }'
    it.more = f'[[route]]\nname = "api"\nhost = "{NAME}"\npath = "/api"\ntls = "plaintext"\nto = ["127.0.0.1:9002"]\n'
    (found,) = it.findings()
    assert "'api'" in found["what"] and "route 'shop'" not in found["what"]


def test_a_route_that_serves_in_the_clear_alone_is_not_asked_for_hsts(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(HERE).port)
    it.site = ""
    it.more = '[[listener]]\nname = "inner"\nbind = ["127.0.0.1:8080"]\nspeaks = "http"\nserve = true\n'
    it.more += f'[[route]]\nname = "x"\nhost = "{NAME}"\npath = "/x"\ntls = "plaintext"\nto = ["127.0.0.1:9002"]\n'
    it.more += '[route.response]\nset = { Strict-Transport-Security = "max-age=63072000" }\n'
    for listeners, says in (('["inner"]', False), ('["inner", "public"]', True), ('["public"]', True)):
        it.route = f"listeners = {listeners}"
        assert it.said() == [("site/no-hsts", "note")] * says


def test_a_site_that_carries_tcp_is_told_nothing_of_hsts(bind: Binds, tmp_path: Path) -> None:
    it = Checked(tmp_path, bind(HERE).port)
    it.site, it.route = "", 'protocol = "tcp"'
    assert it.said() == []


def test_each_of_these_has_a_page() -> None:
    assert set(PAGES) >= ONLINE
    for slug in ONLINE:
        assert everyhop("explain", slug).stdout.startswith(slug)
