"""`dns-01`: by dynamic updates of BIND, and by a program of the user's; wildcards, which nothing else proves."""

from __future__ import annotations

import base64
import dataclasses
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from everyhop.acme import Keeper, Publishers, Site
from everyhop.acme.hook import Hook
from everyhop.acme.publisher import record
from everyhop.acme.rfc2136 import Update
from everyhop.admin.issuing import zone_of
from everyhop.model.acme import AcmeSection, DnsUpdate
from tests.acme.bind import Bind
from tests.acme.edge import Clock, Edge, drive, only, settled
from tests.acme.pebble import Names, Pebble

Start = Callable[..., Keeper]
Pebbles = Callable[..., Pebble]
WILD = Site("wild", ("w.dns.test", "*.w.dns.test"))


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[Bind]:
    with closing(Bind(tmp_path, "dns.test")) as it:
        yield it


def updating(bind: Bind) -> Update:
    return Update("127.0.0.1", bind.port, "acme", bind.secret)


def test_a_wildcard_is_proved_beside_its_base_by_updates_that_leave_nothing_behind(
    pebble: Pebbles, keeper: Start, clock: Clock, bind: Bind
) -> None:
    others = updating(bind)
    others.publish("dns-01", "w.dns.test", "t", "somebody else's")
    it = keeper(pebble(resolver=bind.port).authority(), publisher=Publishers({"dns-01": updating(bind)}))
    it.configure([WILD])
    drive(it, clock, lambda: settled(it))
    (found,) = it.in_force()
    assert set(found.names) == {"w.dns.test", "*.w.dns.test"}
    name, text = record("w.dns.test", "somebody else's")
    assert bind.texts(name) == {text}, "what others published stays, what was ours is gone"


def test_what_secondaries_take_is_waited_for_before_the_authority_is_told(
    pebble: Pebbles, keeper: Start, clock: Clock, bind: Bind
) -> None:
    slow = dataclasses.replace(updating(bind), settle_s=300.0)
    authority = pebble(resolver=bind.port)
    it = keeper(authority.authority(), publisher=Publishers({"dns-01": slow}))
    it.configure([Site("shop", ("w.dns.test",))])
    name, _ = record("w.dns.test", "")
    begun = clock()
    drive(it, clock, lambda: bind.texts(name) != set())
    # Until then nothing is said of it.
    assert it.step().wait_s > 250 and "POST /chalZ" not in authority.said()
    drive(it, clock, lambda: settled(it))
    assert (clock() - begun).total_seconds() >= 300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret": "AAAA"}, "refuses the key acme"),
        ({"secret": "no base64!"}, "is no key for TSIG"),
        ({"key_name": "nobody"}, "refuses the key nobody"),
        ({"key_name": "stranger"}, "refuses to change dns.test: REFUSED"),
        ({"algorithm": "hmac-md5.sig-alg.reg.int"}, "one of hmac-sha256"),
        ({"zone": "other.test"}, "is not in the zone other.test"),
        ({"port": 1}, "127.0.0.1 port 1 is not reached: Connection refused"),
    ],
)
def test_an_update_that_is_not_taken_is_told_by_who_refuses_it(
    change: dict[str, object], words: str, pebble: Pebbles, keeper: Start, clock: Clock, bind: Bind
) -> None:
    wrong = dataclasses.replace(updating(bind), **change)  # type: ignore[arg-type]
    it = keeper(pebble(resolver=bind.port).authority(), publisher=Publishers({"dns-01": wrong}))
    it.configure([WILD])
    drive(it, clock, lambda: only(it).problem is not None)
    assert "the answer to dns-01 cannot be published" in str(only(it).problem)
    assert words in str(only(it).problem)


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_was_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        by = Update("127.0.0.1", silent.getsockname()[1], "acme", "AAAA", timeout_s=0.5)
        with pytest.raises(OSError, match="does not answer within"):
            by.publish("dns-01", "a.b.c.d.e.test", "t", "k")


def test_a_name_of_no_zone_of_the_server_is_told(bind: Bind) -> None:
    with pytest.raises(OSError, match=r"has no zone of _acme-challenge\.elsewhere\.test"):
        updating(bind).publish("dns-01", "elsewhere.test", "t", "k")


def test_a_wildcard_without_dns_is_told_before_anything_is_asked(pebble: Pebbles, keeper: Start, clock: Clock) -> None:
    authority = pebble()
    it = keeper(authority.authority())
    it.configure([Site("wild", ("a.test", "*.a.test"))])
    drive(it, clock, lambda: only(it).problem is not None)
    found = only(it).problem
    assert found is not None and [name for name, _ in found.parts] == ["*.a.test"] and "dns-01 alone" in str(found)
    assert "order-plz" not in authority.said()


def test_where_one_challenge_fails_the_next_one_is_tried(
    pebble: Pebbles, keeper: Start, clock: Clock, answering: Edge
) -> None:
    answering.broken["tls-alpn-01"] = "the listener is gone"
    it = keeper(pebble().authority())
    it.configure([Site("shop", ("a.test",))])
    drive(it, clock, lambda: only(it).problem is not None)
    assert "a.test: the listener is gone" in str(only(it).problem)
    drive(it, clock, lambda: settled(it))
    assert answering.ever == [("http-01", "a.test")]


HOOK = """\
#!/bin/sh
set -eu
printf '%s|' "$@" >> {log}
printf '\\n' >> {log}
env >> {log}
if [ "$1" = present ]; then act=set-txt; data="{{\\"host\\": \\"$2.\\", \\"value\\": \\"$3\\"}}"
else act=clear-txt; data="{{\\"host\\": \\"$2.\\"}}"; fi
curl -sf -d "$data" http://127.0.0.1:{management}/$act
"""


def hook(folder: Path, text: str) -> str:
    path = folder / "hook.sh"
    path.write_text(text)
    path.chmod(stat.S_IRWXU)
    return str(path)


def test_a_program_of_the_user_s_proves_a_name_and_sees_none_of_our_secrets(
    pebble: Pebbles, keeper: Start, clock: Clock, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERYHOP_KEY", "a secret")
    log = tmp_path / "hook.log"
    by = Hook([hook(tmp_path, HOOK.format(log=log, management=names.management))])
    it = keeper(pebble().authority(), publisher=Publishers({"dns-01": by}))
    it.configure([Site("wild", ("*.hook.test",))])
    drive(it, clock, lambda: settled(it))
    said = log.read_text()
    acts = [line.split("|")[:2] for line in said.splitlines() if line.startswith(("present|", "cleanup|"))]
    assert acts == [["present", "_acme-challenge.hook.test"], ["cleanup", "_acme-challenge.hook.test"]]
    assert "a secret" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\necho one >&2; echo the last line >&2; exit 3\n", "it ended with 3: the last line"),
        ("#!/bin/sh\nsleep 600 & sleep 600\n", "no end within 1 s"),
    ],
)
def test_a_program_that_fails_is_told_in_its_last_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=words):
        Hook([hook(tmp_path, text)], timeout_s=1).publish("dns-01", "a.test", "t", "k")


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (None, 0, "No such file or directory"),
        ("#!/bin/sh\n", stat.S_IRUSR, "Permission denied"),
        ("true\n", stat.S_IRWXU, "Exec format error"),
    ],
)
def test_a_program_that_cannot_be_started_is_told_by_its_path(
    text: str | None, mode: int, why: str, pebble: Pebbles, keeper: Start, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "hook.sh"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    it = keeper(pebble().authority(), publisher=Publishers({"dns-01": Hook([str(path)])}))
    it.configure([WILD])
    drive(it, clock, lambda: only(it).problem is not None)
    said = f"the hook {path} present _acme-challenge.w.dns.test: it cannot be started: {why}; it must be there"
    assert said in str(only(it).problem)


def test_no_shell_reads_what_a_program_is_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    by = Hook([hook(tmp_path, f'#!/bin/sh\nprintf "%s\\n" "$@" > {log}\n')])
    by.publish("dns-01", f"$(touch {tmp_path}/touched).test", "t", "k")
    assert not (tmp_path / "touched").exists() and "$(touch" in log.read_text()


def test_a_key_that_is_renewed_on_the_disk_is_the_one_that_counts(bind: Bind, tmp_path: Path) -> None:
    (file := tmp_path / "tsig").touch(0o600)
    file.write_text(base64.b64encode(bytes(32)).decode())
    section = AcmeSection(
        dns_update=DnsUpdate(server=f"127.0.0.1:{bind.port}", key="acme", secret=f"file:{file}", zone="dns.test")
    )
    changes = zone_of(section, tmp_path)
    assert changes is not None
    with pytest.raises(OSError):
        changes.publish("dns-01", "a.dns.test", "token", "key")
    file.write_text(bind.secret)
    changes.publish("dns-01", "a.dns.test", "token", "key")
    assert len(bind.texts("_acme-challenge.a.dns.test")) == 1
    file.unlink()
    with pytest.raises(OSError, match="the key of updates"):
        changes.withdraw("dns-01", "a.dns.test", "token", "key")
