"""The files that a configuration names: which of them are read, what is said of their dates, and what goes to the engine."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from everyhop.compile import Compiled, compile_file, renewed
from everyhop.errors import Refused
from everyhop.refusals import Finding
from tests.kit import Pki
from tests.kit.forge import HOUR, crl, forged, root

SECOND, DAY = dt.timedelta(seconds=1), dt.timedelta(days=1)
TEXT = """version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
{hosts}
certs = [{{ chain = "edge.pem", key = "file:edge.key" }}, {{ chain = "pass.pem", key = "file:pass.key" }}]
{site}
[[identity]]
name = "i"
chain = "identity.pem"
key = "file:identity.key"
[[route]]
name = "p"
host = "p.test"
tls = "passthrough"
to = ["c.test:1", "10.0.0.3:1"]
[[route]]
name = "r"
host = "a.test"
tls = "mutual"
to = ["10.0.0.1:1", {{ at = "b.test:1", verify = {{ ca = "{own}" }} }}]
present = "i"
verify = {{ ca = "internal-ca.pem", name = "n" }}
"""
ASKS = 'clients = { ca = "public-ca.pem", crl = "list.crl"STALE }'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pki = Pki(tmp_path_factory.mktemp("files"))
    pki.public.leaf("pass", "a.test", "z.test")
    crl(pki.folder / "list.crl", root(pki.public))
    (pki.folder / "empty.pem").write_text("")
    return pki.folder


def compiled(folder: Path, *, now: dt.datetime | None = None, past: str = "refuse", **given: str) -> Compiled:
    text = TEXT.format(**{"hosts": "", "site": "", "own": "internal-ca.pem", **given})
    path = folder / "everyhop.toml"
    return compile_file(path, now=now, text=text, past_dates=past)  # type: ignore[arg-type]


def findings(folder: Path, *, now: dt.datetime | None = None, past: str = "refuse", **given: str) -> list[Finding]:
    try:
        return compiled(folder, now=now, past=past, hosts='hosts = ["a.test"]', **given).findings
    except Refused as e:
        return list(e.findings)


def leaf(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def test_every_file_that_is_read_is_watched_and_no_other(folder: Path) -> None:
    it = compiled(folder, site=ASKS.replace("STALE", ""))
    names = {"edge.pem", "edge.key", "pass.pem", "pass.key", "identity.pem", "identity.key"}
    assert {p.name for p in it.watched} == names | {"internal-ca.pem", "public-ca.pem", "list.crl"}
    assert {p.name for p in compiled(folder).watched} == names | {"internal-ca.pem"}


def test_what_goes_to_the_engine_is_each_pair_each_ca_and_each_list_with_its_end(folder: Path) -> None:
    it = compiled(folder, site=ASKS.replace("STALE", "")).material
    ids = ["ca/internal-ca.pem", "ca/public-ca.pem", "crl/list.crl", "identity/i", "site/s/0", "site/s/1"]
    assert [e["id"] for e in it.entries] == ids
    by_id = {str(e["id"]): e for e in it.entries}
    ends = {"site/s/0": "edge", "site/s/1": "pass", "identity/i": "identity"}
    for id_, name in ends.items():
        assert by_id[id_]["not_after_s"] == int(leaf(folder, name).not_valid_after_utc.timestamp())
        assert by_id[id_]["key_sha256"] and by_id[id_]["chain_sha256"]
    assert by_id["ca/public-ca.pem"]["not_after_s"] is None and by_id["crl/list.crl"]["not_after_s"] is not None
    blob = json.loads(it.blob)
    assert blob["certs"]["site/s/1"] == {k: (folder / f"pass.{s}").read_text() for k, s in (("chain", "pem"), ("key", "key"))}  # fmt: skip
    assert {k: sorted(v) for k, v in blob.items()} == {
        "certs": ids[3:],
        "cas": ids[:2],
        "crls": ids[2:3],
        "issuers": [],
        "pages": [],
        "stores": [],
        "users": [],
    }
    assert "PRIVATE" not in repr(it) and "PRIVATE" not in json.dumps(it.entries)


def test_what_goes_to_the_engine_is_each_page_that_is_answered_with(folder: Path) -> None:
    (folder / "busy.txt").write_text("busy\n")
    answer = '[[route]]\nname = "busy"\nhost = "a.test"\npath = "/busy"\nanswer = { status = 503, file = "busy.txt" }\n'
    text = TEXT.format(hosts="", site="", own="internal-ca.pem") + answer
    it = compile_file(folder / "everyhop.toml", text=text)
    assert "page/busy.txt" in {e["id"] for e in it.material.entries}
    assert json.loads(it.material.blob)["pages"] == {"page/busy.txt": base64.b64encode(b"busy\n").decode()}
    assert "busy.txt" in {p.name for p in it.watched}


def test_what_is_weak_among_the_authorities_of_clients_is_told_where_they_are_named(folder: Path) -> None:
    weak = forged("Old CA", root(Pki(folder / "weak").public), ca=True, key=rsa.generate_private_key(65537, 1024))
    both = (folder / "public-ca.pem").read_bytes() + weak.cert.public_bytes(Encoding.PEM)
    (folder / "partly.pem").write_bytes(both)
    (told,) = (f for f in findings(folder, site='clients = { ca = "partly.pem" }') if f.slug == "ca/partly-unusable")
    assert "Old CA" in told.what and told.severity == "warning" and told.place.line == 9


def test_a_sites_names_are_those_of_its_first_certificate_alone(folder: Path) -> None:
    hosts = compiled(folder).plan.sites[0].hosts
    assert "c.test" in hosts and "z.test" not in hosts


def test_files_are_read_in_full_or_for_their_names_alone_or_not_at_all(folder: Path) -> None:
    path, text = folder / "everyhop.toml", TEXT.format(hosts="", site="", own="internal-ca.pem")
    whole, names, nothing = (compile_file(path, text=text, files=files) for files in ("read", "if-there", "skip"))
    assert names.plan == whole.plan != nothing.plan
    assert (names.guessed, nothing.guessed) == ((), ("s",))
    assert whole.comparable and names.comparable and not nothing.comparable
    assert whole.watched and whole.material.entries
    for it in (names, nothing):
        assert not it.watched and not it.material.entries, "a plan needs no key"


def test_of_files_that_may_be_there_those_alone_are_read_on_which_the_plan_depends(folder: Path) -> None:
    """A site that says its hosts, or has no certificate in a file, has none whose names are asked."""
    blind = 'host = "z.test"\nrequires = ["blind-proxy"]'
    named = TEXT.format(hosts='hosts = ["a.test"]', site="", own="internal-ca.pem").replace('host = "p.test"', blind)
    named = named.replace('chain = "edge.pem", key = "file:edge.key" }, {', "").replace("{{", "{")
    path = folder / "everyhop.toml"
    assert compile_file(path, text=named, files="if-there").plan.sites[0].hosts == ["a.test"]
    with pytest.raises(Refused) as refused:
        compile_file(path, text=named)
    assert {f.slug for f in refused.value.findings} == {"route/requirement-not-configured"}, "the key is there"
    certs = named[named.index("certs = ") :].partition("\n")[0]
    acme = named.replace(certs, 'certs = "acme"').replace('hosts = ["a.test"]', "").replace(blind, 'host = "z.test"')
    with pytest.raises(Refused) as refused:
        compile_file(path, text=acme, files="if-there")
    assert "acme/names" in {f.slug for f in refused.value.findings}


def test_what_is_printed_of_a_compiled_configuration_shows_nothing_of_its_text_and_no_key(folder: Path) -> None:
    text = TEXT.format(hosts="", site="", own="internal-ca.pem") + "# a note of the operator's\n"
    it = compile_file(folder / "everyhop.toml", text=text)
    assert it.plan_digest in repr(it)
    assert not [
        word
        for word in ("a note", "PRIVATE", "Config(", "Document(", "readings=", "said=", "kept=", "rules=", "lists=")
        if word in repr(it)
    ]


def test_keys_come_from_the_environment_that_is_given_or_from_that_of_the_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.format(hosts="", site="", own="internal-ca.pem").replace("file:edge.key", "env:EDGE_KEY")
    key = (folder / "edge.key").read_text()
    path = folder / "everyhop.toml"
    monkeypatch.delenv("EDGE_KEY", raising=False)
    assert compile_file(path, text=text, environ={"EDGE_KEY": key}).material.entries
    with pytest.raises(Refused):
        compile_file(path, text=text)
    monkeypatch.setenv("EDGE_KEY", key)
    assert compile_file(path, text=text).material.entries
    with pytest.raises(Refused):
        compile_file(path, text=text, environ={})


def test_names_of_backends_are_those_that_must_be_looked_up(folder: Path) -> None:
    assert compiled(folder).names == {"b.test", "c.test"}


@pytest.mark.parametrize(("name", "whose"), [("edge", "site 's'"), ("pass", "site 's'"), ("identity", "identity 'i'")])
def test_a_certificate_is_judged_by_its_dates_to_the_second(folder: Path, name: str, whose: str) -> None:
    """The other certificates are as old; of those nothing is asked here."""
    it = leaf(folder, name)
    begins, ends = it.not_valid_before_utc, it.not_valid_after_utc

    def told(now: dt.datetime, past: str = "refuse") -> list[tuple[str, str, str]]:
        given = findings(folder, now=now, past=past)
        mine = [f for f in given if f.slug.startswith("certificate/exp") and f"{name}.pem" in line(f)]
        return [(f.severity, f.slug, f.what) for f in mine]

    def line(f: Finding) -> str:
        text = TEXT.format(hosts='hosts = ["a.test"]', site="", own="internal-ca.pem").splitlines()[f.place.line - 1]
        return text[f.place.column - 1 : f.place.column - 1 + f.place.width]

    early = f"{whose}: the certificate is valid from {begins:%Y-%m-%d %H:%M} UTC"
    assert told(begins - SECOND) == [("refused", "certificate/expired", early)]
    assert told(begins) == [] and told(ends - 31 * DAY) == []
    last = f"{whose}: the certificate ends on {ends:%Y-%m-%d}, in "
    for left, days in ((30 * DAY, "30 days"), (DAY, "1 day"), (SECOND, "less than a day")):
        assert told(ends - left) == [("warning", "certificate/expires-soon", f"{last}{days}")]
    over = f"{whose}: the certificate ended on {ends:%Y-%m-%d}"
    assert told(ends) == [("refused", "certificate/expired", over)]
    assert told(ends, "close") == [("warning", "certificate/expired", over)]


def test_that_an_end_draws_near_is_another_finding_a_month_a_week_and_a_day_before_it(folder: Path) -> None:
    ends = leaf(folder, "edge").not_valid_after_utc

    def marks(left: dt.timedelta) -> set[tuple[str, ...]]:
        # Of one certificate: another may have been made a second later.
        here = {f.identity for f in findings(folder, now=ends - left) if f.slug == "certificate/expires-soon"}
        return {it for it in here if it[1:5] == ("site", "s", "certs", "0")}

    assert len(marks(20 * DAY)) == 1
    assert marks(20 * DAY) == marks(10 * DAY) != marks(6 * DAY) == marks(2 * DAY) != marks(DAY) == marks(HOUR)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"own": "empty.pem"}, "to = ["),
        ({"own": "absent.pem"}, "to = ["),
        ({"site": 'clients = { ca = "empty.pem" }'}, "clients = "),
    ],
)
def test_a_ca_that_cannot_be_used_is_refused_where_it_is_named(folder: Path, given: dict[str, str], at: str) -> None:
    (told,) = findings(folder, **given)  # type: ignore[arg-type]
    text = TEXT.format(**{"hosts": 'hosts = ["a.test"]', "site": "", "own": "internal-ca.pem", **given})
    assert told.slug == "ca/unusable" and text.splitlines()[told.place.line - 1].startswith(at)


def test_a_list_whose_authority_cannot_be_read_is_not_judged_by_itself(folder: Path) -> None:
    told = findings(folder, site='clients = { ca = "empty.pem", crl = "list.crl" }')
    assert [f.slug for f in told] == ["ca/unusable"]


def test_an_overdue_list_is_told_with_what_that_means_from_its_second_on(folder: Path) -> None:
    due = x509.load_pem_x509_crl((folder / "list.crl").read_bytes()).next_update_utc
    assert due is not None
    for stale, so in (("", "no client certificate passes"), (', stale_crl = "allow"', "who was revoked since passes")):
        site = ASKS.replace("STALE", stale)
        assert [f for f in findings(folder, now=due - SECOND, site=site) if f.slug == "crl/stale"] == []
        (told,) = [f for f in findings(folder, now=due, site=site) if f.slug == "crl/stale"]
        assert told.severity == "warning"
        assert told.what == f"list.crl: a revocation list was due to be replaced on {due:%Y-%m-%d %H:%M} UTC; {so}"


def test_hosts_are_guessed_once_and_only_for_sites_whose_certificates_were_not_read() -> None:
    text = TEXT.format(hosts="", site="", own="internal-ca.pem")
    second = '[[site]]\nname = "t"\nhosts = ["b.test"]\ncerts = [{ chain = "x", key = "file:y" }]\n'
    third = second.replace('"t"', '"u"').replace('hosts = ["b.test"]\n', "")
    more = '[[route]]\nname = "q"\nhost = "b.test"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'

    def hosts(given: str) -> tuple[dict[str, list[str]], tuple[str, ...], str]:
        it = compile_file("guess.toml", files="skip", text=given)
        return {s.name: s.hosts for s in it.plan.sites}, it.guessed, it.reservation

    found, guessed, reservation = hosts(text + second + third + more)
    assert found == {"s": ["a.test"], "t": ["b.test"], "u": []} and guessed == ("s", "u")
    assert reservation == (
        " (not comparable: the certificates of site 's', 'u' were not read, and its hosts come from them)"
    )
    known, none, nothing = hosts(text.replace('name = "s"\n', 'name = "s"\nhosts = ["a.test"]\n'))
    assert known == {"s": ["a.test"]} and none == () and nothing == ""


def test_what_is_wrong_with_a_user_is_known_again_by_the_name_and_what_has_none_by_its_line(folder: Path) -> None:
    """Whoever adds a line above another finds nothing new in it."""
    asks = TEXT.format(hosts='hosts = ["a.test"]', site="", own="internal-ca.pem")
    asks += '[[route]]\nname = "u"\nhost = "a.test"\npath = "/u"\ntls = "plaintext"\nto = ["127.0.0.1:1"]\n'
    asks += 'basic = { file = "some.users" }\n'

    def marks(users: str) -> set[tuple[str, str]]:
        (folder / "some.users").write_text(users)
        with pytest.raises(Refused) as refused:
            compile_file(folder / "everyhop.toml", text=asks)
        return {(f.slug, f.identity[-1]) for f in refused.value.findings}

    old = ("users/other-hash", "ann")
    assert marks("ann:{SHA}x\n") == marks("\nann:{SHA}x\n") == {old}
    assert marks("ann:{SHA}x\nnobody\n") == {old, ("users/line", "2")}


def test_what_is_told_of_files_is_told_once_however_often_they_are_read_again(folder: Path) -> None:
    now = leaf(folder, "edge").not_valid_after_utc - 20 * DAY
    first = compiled(folder, now=now, hosts='hosts = ["a.test"]')
    assert "certificate/expires-soon" in {f.slug for f in first.findings}
    again = renewed(renewed(first, now), now)
    assert sorted(f.identity for f in again.findings) == sorted(f.identity for f in first.findings)
