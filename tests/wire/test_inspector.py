"""The inspector's process, as whoever starts it sees it: what it says, what it never opens, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from everyhop.waf import Ended, Exclusion, Field, Inspector, NoVerdict, Policy, Request, RuleFile, RulesRefused, frames
from tests.kit.inspector import built

INJECTION = b"/?q=1%27%20OR%20%271%27%3D%271"
USUAL = (Field(b"Host", b"shop.test"), Field(b"User-Agent", b"Mozilla/5.0"), Field(b"Accept", b"*/*"))


def get(target: bytes = b"/") -> Request:
    return Request("GET", target, "shop.test", USUAL)


@pytest.fixture(autouse=True)
def program() -> Path:
    return built()


def test_it_says_what_it_loaded_and_judges_by_the_policy_that_is_asked_for() -> None:
    detects = Policy("detects", blocks=False)
    excludes = Policy("excludes", exclusions=(Exclusion(942100, "/", "q"),))
    with Inspector([Policy("blocks"), detects, excludes]) as it:
        assert it.ready.engine.startswith("Coraza 3.") and it.ready.rules.startswith("CRS 4.")
        assert len(it.ready.counts) == 3 and min(it.ready.counts) > 400
        assert it.ask(get()).action == "allow"
        said = [it.ask(get(INJECTION), policy=n) for n in range(3)]
    assert [(v.action, v.status) for v in said] == [("deny", 403), ("would-deny", 403), ("allow", 0)]
    assert any(r == (942100, "critical", 2, r.message, "ARGS:q") for r in said[0].rules)


def test_rules_that_are_wrong_are_told_with_file_and_line_and_nothing_is_started() -> None:
    own = RuleFile("own.conf", '\nSecRule ARGS "@nosuch x" "id:1,phase:1"\n')
    with pytest.raises(RulesRefused) as refused:
        Inspector([Policy("good"), Policy("bad", extra=(own,)), Policy("worse", exclusions=(Exclusion(424242),))])
    first, second = refused.value.more
    assert first.startswith("own.conf:2: ") and "nosuch" in first
    assert second == "policy worse: an exclusion takes back rule 424242, and there is none"


def test_a_request_without_a_policy_or_of_too_long_a_body_gets_no_verdict_and_the_next_one_does() -> None:
    with Inspector([Policy(body_bytes=4)]) as it:
        with pytest.raises(NoVerdict, match="no policy has that number"):
            it.ask(get(), policy=1)
        with pytest.raises(NoVerdict, match="longer than the policy inspects"):
            it.ask(Request("POST", b"/", "shop.test", USUAL, b"12345"))
        assert it.ask(get()).action == "allow"


@pytest.mark.parametrize("sent", [b"\0\0\0\x01\x63", b"\xff\xff\xff\xff\x04", b"\0\0\0\x02\x04\0"])
def test_a_frame_that_is_none_ends_it_with_a_reason(sent: bytes) -> None:
    with Inspector([Policy()]) as it:
        it.socket.sendall(sent)
        with pytest.raises(Ended) as ended:
            it.ask(get())
        assert "the frame is broken" in ended.value.more[0]
    assert it.process.returncode == 1


def test_more_requests_than_may_wait_are_answered_at_once_and_all_are_answered() -> None:
    many = 300
    slow = frames.request_frame(0, 0, Request("POST", b"/", "shop.test", (*USUAL, JSON), SLOW))
    with Inspector([Policy()]) as it:
        it.socket.settimeout(60)
        # One that takes long first: behind it 64 may wait.
        it.socket.sendall(slow + b"".join(frames.request_frame(n, 0, get()) for n in range(1, many)))
        answered = answers(it.socket, many)
    assert answered[0] and sum(answered.values()) >= 64 and not all(answered.values())


def test_requests_that_wait_take_an_eighth_of_its_memory_at_most_and_one_alone_is_always_taken() -> None:
    many, big = 60, bytes(1 << 20)
    # Denied for their heads: what they take is memory.
    heads = (*USUAL, Field(b"Cookie", b"; ".join(b"a=b" for _ in range(1002))))
    with Inspector([Policy(body_bytes=1 << 20)], memory_mb=256) as it:
        it.socket.settimeout(60)
        it.socket.sendall(frames.request_frame(0, 0, Request("POST", b"/", "shop.test", (*USUAL, JSON), SLOW)))
        for number in range(1, many):
            it.socket.sendall(frames.request_frame(number, 0, Request("POST", b"/", "shop.test", heads, big)))
        answered = answers(it.socket, many)
        assert answered[0] and 30 <= sum(answered.values()) < many
    with Inspector([Policy(body_bytes=4 << 20)], memory_mb=256) as alone:
        assert alone.ask(Request("POST", b"/", "shop.test", heads, bytes(4 << 20))).rules


def answers(from_: socket.socket, many: int) -> dict[int, bool]:
    """Of each request whether it got a verdict; the others were too many."""
    answered: dict[int, bool] = {}
    while len(answered) < many:
        length, kind = struct.unpack(">IB", exactly(from_, 5))
        payload = exactly(from_, length - 1)
        number = struct.unpack(">Q", payload[:8])[0]
        assert number not in answered
        answered[number] = kind == frames.VERDICT
        if kind == frames.FAILED:
            assert frames.read_failed(payload)[1] == "too many requests wait"
    return answered


JSON = Field(b"Content-Type", b"application/json")
SLOW = json.dumps({f"key{n}": f"some words of text, number {n}" for n in range(990)}).encode()


def exactly(from_: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = from_.recv(size - len(got))
        assert piece
        got += piece
    return got


def test_an_answer_that_is_late_ends_the_process_and_another_can_be_started() -> None:
    with Inspector([Policy()]) as it:
        with pytest.raises(Ended, match="did not answer in time"):
            it.ask(Request("POST", b"/", "shop.test", (*USUAL, JSON), SLOW), deadline_s=0.001)
        assert it.process.returncode is not None
    with Inspector([Policy()]) as again:
        assert again.ask(get()).action == "allow"


def test_one_that_was_killed_is_told_as_ended() -> None:
    with Inspector([Policy()]) as it:
        os.kill(it.process.pid, signal.SIGKILL)
        with pytest.raises(Ended):
            it.ask(get())


def test_it_ends_by_itself_once_nobody_holds_the_other_end() -> None:
    it = Inspector([Policy()])
    it.socket.close()
    assert it.process.wait(timeout=60) == 0
    it.close()


def test_serving_it_opens_nothing_and_starts_nothing(tmp_path: Path) -> None:
    """Seen from outside: from its answer that it is ready on, no call that opens, connects, listens or executes."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is missing: tools/machine check installs it, or says how"
    log = tmp_path / "calls"
    traced = tmp_path / "traced"
    traced.write_text(f'#!/bin/sh\nexec {strace} -f -qq -o {log} {built()} "$@"\n')
    traced.chmod(0o755)
    body = Request("POST", b"/", "shop.test", (*USUAL, JSON), b'{"a":"<script>"}')
    parts = b"--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n" + bytes(100_000) + b"\r\n--x--\r\n"
    upload = Request(
        "POST", b"/", "shop.test", (*USUAL, Field(b"Content-Type", b"multipart/form-data; boundary=x")), parts
    )
    hour = RuleFile("hour.conf", 'SecRule TIME_HOUR "@ge 0" "id:1,phase:1,pass,log,msg:\'hour\'"\n')
    with Inspector([Policy(extra=(hour,))], program=traced) as it:
        assert it.ask(get(INJECTION)).action == "deny"
        assert it.ask(body).action == "deny"
        it.ask(upload)
    calls = log.read_text().splitlines()
    closed = next(n for n, text in enumerate(calls) if "seccomp(" in text)
    assert any(" openat(" in text for text in calls[:closed]), "the log shows nothing of what comes before either"
    names = {
        text.split(maxsplit=1)[1].split("(")[0] for text in calls[closed + 1 :] if "(" in text and "<..." not in text
    }
    assert {"read", "write"} <= names
    opening = {
        "open",
        "openat",
        "openat2",
        "creat",
        "socket",
        "connect",
        "bind",
        "listen",
        "execve",
        "execveat",
        "fork",
    }
    assert not names & opening


def test_its_memory_and_files_are_bounded_by_the_kernel_and_it_is_closed() -> None:
    limits = {}
    with Inspector([Policy()], memory_mb=256) as it:
        for text in Path(f"/proc/{it.process.pid}/limits").read_text().splitlines():
            if text.startswith(("Max address space", "Max file size", "Max core file size")):
                limits[text[:26].strip()] = text[26:].split()[0]
        status = Path(f"/proc/{it.process.pid}/status").read_text()
        assert it.ask(get()).action == "allow"
    assert limits["Max file size"] == limits["Max core file size"] == "0"
    assert int(limits["Max address space"]) < 8 << 30
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status


HAND = """### fine
GET /articles?page=2 HTTP/1.1
Host: shop.test
User-Agent: Mozilla/5.0
Accept: */*

### an injection
GET /search?q=1%27%20OR%20%271%27%3D%271 HTTP/1.1
Host: shop.test
User-Agent: Mozilla/5.0
Accept: */*

### what no edge passes on
GET /%00 HTTP/1.1
Host: shop.test
"""


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "requests.http").write_text(HAND)
    return subprocess.run(
        [sys.executable, "-m", "everyhop", "waf", "test", "requests.http", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | environment,
        timeout=120,
    )


def test_the_command_says_of_each_request_what_matches(tmp_path: Path) -> None:
    done = command(tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    fine, injection, refused = done.stdout.split("requests.http:")[1:]
    assert fine.splitlines() == ["2: GET /articles?page=2 HTTP/1.1", "  allow   score 0"]
    assert injection.splitlines()[1] == "  deny 403  score 5"
    assert "  942100  critical  SQL Injection Attack Detected via libinjection  on ARGS:q" in injection.splitlines()
    assert "the edge refuses it, before any rule [request/bad-target]" in refused


def test_the_command_says_it_to_programs_with_rules_taken_back_and_added(tmp_path: Path) -> None:
    (tmp_path / "own.conf").write_text(
        'SecRule REQUEST_URI "@beginsWith /articles" "id:1,phase:1,deny,status:410,log,msg:gone"\n'
    )
    done = command(tmp_path, "--json", "--extra", "own.conf", "--exclude", "942100 /search q")
    fine, injection, refused = json.loads(done.stdout)["requests"]
    assert (fine["action"], fine["status"], fine["rules"][0]["message"]) == ("deny", 410, "gone")
    assert (injection["action"], injection["rules"]) == ("allow", [])
    assert (refused["action"], refused["refused_by_edge"]) == (None, "request/bad-target")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--exclude", "424242"], 1, "rule 424242, and there is none"),
        (["--exclude", "942100 a b"], 2, "--exclude takes"),
        (["--exclude", ""], 2, "--exclude takes"),
        (["--exclude", "942100 /search?q=1"], 1, "/search?q=1"),
        (["--extra", "own.conf"], 1, "own.conf:2: "),
        (["--extra", "nowhere.conf"], 4, "nowhere.conf cannot be read"),
        (["--paranoia", "5"], 2, "paranoia"),
    ],
)
def test_the_command_says_what_is_wrong_with_what_it_was_given(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "own.conf").write_text('\nSecRule ARGS "@nosuch x" "id:1,phase:1"\n')
    done = command(tmp_path, *arguments)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr


def test_where_there_is_no_inspector_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    # As it is installed: no checkout around it.
    package = tmp_path / "lib"
    shutil.copytree(
        Path(frames.__file__).parents[1], package / "everyhop", ignore=shutil.ignore_patterns("__pycache__")
    )
    done = command(tmp_path, PYTHONPATH=str(package), PATH="/usr/bin:/bin", EVERYHOP_WAF="")
    assert done.returncode == 4 and "the inspector is not built" in done.stderr and "make waf" in done.stderr
