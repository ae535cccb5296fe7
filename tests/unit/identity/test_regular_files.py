"""Whatever stands under a name that a configuration gives, nobody waits for it and nothing but a file is opened."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from everyhop.compile import compile_file
from everyhop.engine.logs import open_logs
from everyhop.errors import EveryhopError, Refused, Surroundings
from everyhop.files import read_regular, read_text, replace_text
from everyhop.identity import Unusable, read_crl, read_pair, read_roots
from everyhop.identity import unusable as identity_files
from everyhop.source import load
from tests.kit import Pki


def pipe(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (pipe, "it is a pipe"),
    "a socket": (bound, "it is a socket"),
    "a folder": (Path.mkdir, "it is a folder"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    "a terminal": (lambda path: path.symlink_to("/dev/tty"), "it is a device"),
    "a link to nowhere": (lambda path: path.symlink_to("gone"), "No such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels"),
    "nothing": (lambda path: None, "No such file"),
}


def in_time(step: Callable[[], object]) -> object:
    """What it gives or raises; a step that waits for ever fails here, and not the whole run."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(step())
        except BaseException as e:
            found.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert found, "it waits"
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_told_as_what_it_is_and_never_waited_for(pki: Pki, tmp_path: Path, kind: str) -> None:
    make, what = KINDS[kind]
    odd = tmp_path / "odd"
    make(odd)
    roots = read_roots(str(pki.public.file), tmp_path)
    chain, key = str(pki.folder / "edge.pem"), f"file:{pki.folder}/edge.key"
    for slug, step in (
        ("certificate/unreadable", lambda: read_pair("odd", key, tmp_path, {})),
        ("certificate/unreadable", lambda: read_pair(chain, "file:odd", tmp_path, {})),
        (
            "certificate/unreadable",
            lambda: read_pair(chain, "cred:odd", tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}),
        ),
        ("ca/unusable", lambda: read_roots("odd", tmp_path)),
        ("crl/unusable", lambda: read_crl("odd", roots, tmp_path, "clients")),
    ):
        got = in_time(step)
        assert isinstance(got, Unusable) and got.slug == slug
        assert str(odd) in got.what and what in got.what, got.what
    for judging in (lambda: load(odd), lambda: compile_file(odd)):
        got = in_time(judging)
        assert isinstance(got, Surroundings) and what in str(got) and str(odd) in str(got), got
    assert in_time(lambda: read_text(odd, 10)) == ""


def test_a_pipe_that_takes_a_files_place_while_it_is_opened_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    regular = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self: regular)
    got = in_time(lambda: read_regular(path, 10))
    assert isinstance(got, OSError) and got.strerror == "it is a pipe and no file"


def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path, 5)[0] == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)
    monkeypatch.setattr(identity_files, "MOST_BYTES", 4)
    with pytest.raises(Unusable, match="larger than 4 bytes"):
        read_roots("a", tmp_path)


def test_a_log_that_is_a_pipe_is_opened_if_somebody_reads_it_and_is_else_told(pki: Pki, tmp_path: Path) -> None:
    config = tmp_path / "everyhop.toml"
    config.write_text(
        f'''version = 1
[log]
access = "{tmp_path}/log"
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[route]]
name = "r"
host = "a.test"
tls = "passthrough"
to = ["127.0.0.1:1"]
'''
    )
    plan = compile_file(config).plan
    os.mkfifo(tmp_path / "log")
    got = in_time(lambda: open_logs(plan))
    assert isinstance(got, Surroundings) and str(tmp_path / "log") in str(got)
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        (fd,) = open_logs(plan).values()
        assert os.get_blocking(fd), "the engine writes to it as to any other"
        os.close(fd)
    finally:
        os.close(reader)


def test_a_file_with_a_byte_order_mark_and_lines_of_windows_is_read_as_without(tmp_path: Path) -> None:
    text = 'version = 1\n[[listener]]\nname = "l"\nnonsense = 1\n'
    for name, kept in (("a.toml", text), ("a.yaml", "version: 1\nlistener:\n- name: l\n  nonsense: 1\n")):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + kept.replace("\n", "\r\n").encode())
        assert load(path).text == kept
        with pytest.raises(Refused) as told:
            compile_file(path)
        (line,) = [f.place.line for f in told.value.findings if f.slug == "config/unknown-key"]
        assert line == 4


def test_a_pipe_given_as_configuration_ends_the_command_with_a_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    command = ["everyhop", "check", str(tmp_path / "a.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4 and "it is a pipe" in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_no_file_can_have_is_an_error_with_words(tmp_path: Path) -> None:
    with pytest.raises(EveryhopError, match="null"):
        load(tmp_path / "a\0b")


def test_what_replaces_a_file_is_on_the_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stops in between leaves the one or the other, and no empty file."""
    (path := tmp_path / "everyhop.toml").write_text("before")
    (link := tmp_path / "link.toml").symlink_to(path)
    path.chmod(0o640)
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else os.pread(handle, 100, 0).decode())
        real_fsync(handle)

    def named(self: Path, target: Path) -> Path:
        steps.append(f"named {target.name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", named)
    replace_text(link, "after")
    assert steps == ["after", "named everyhop.toml", "folder"]
    assert path.read_text() == "after" and link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(Surroundings, match="cannot write"):
        replace_text(tmp_path / "gone.toml", "after")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["everyhop.toml", "link.toml"]
