"""git against its own `git http-backend` behind nginx and fcgiwrap, which is how most people serve it."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from everyhop.demo.stage import free_port
from tests.applications.catalogue import PATTERNS
from tests.applications.lab import SITE, application_leaf, routes
from tests.applications.peer import found
from tests.kit import EdgeKit, Pki
from tests.kit.edge import until
from tests.suites.peers import is_up

NGINX = """
user {user}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format seen '$request_method $uri $status $http_content_encoding $http_transfer_encoding';
  access_log {folder}/seen.log seen; client_max_body_size 0;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  ssl_certificate {chain}; ssl_certificate_key {key};
  map $server_port:$ssl_client_verify $anonymous {{ default ''; {mutual}:NONE 1; }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl http2; listen 127.0.0.1:{mutual} ssl http2;
    ssl_verify_client optional; ssl_client_certificate {clients};
    if ($anonymous) {{ return 403; }}
    location / {{
      fastcgi_pass unix:{folder}/cgi.sock;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param GIT_PROJECT_ROOT {folder}/repositories;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param REMOTE_USER tests;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
    }}
  }}
}}
"""


def git(*arguments: str, at: Path, said: str = "") -> str:
    """With nobody's settings."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(at), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    clean |= {f"GIT_{who}_{what}": "tests@tests.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        [found("git"), *arguments],
        cwd=at,
        env=clean,
        input=said,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Served:
    def __init__(self, folder: Path, **files: Path) -> None:
        self.folder = folder
        (folder / "repositories").mkdir()
        self.ports = {way: free_port() for way in ("plain", "tls", "mutual")}
        backend = Path(git("--exec-path", at=folder).strip()) / "git-http-backend"
        user = pwd.getpwuid(os.geteuid()).pw_name
        text = NGINX.format(user=user, folder=folder, backend=backend, **self.ports, **files)
        (folder / "nginx.conf").write_text(text)
        cgi = [found("fcgiwrap"), "-c", "2", "-s", f"unix:{folder}/cgi.sock"]
        nginx = [found("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        # Each in a group of its own: fcgiwrap's children outlive it.
        begin = partial(subprocess.Popen, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True)
        self.processes = [begin(it) for it in (cgi, nginx)]
        try:
            until(lambda: (folder / "cgi.sock").exists() and all(map(is_up, self.ports.values())), 30, self.said)
        except AssertionError:
            self.close()
            raise

    def said(self) -> str:
        log = self.folder / "error.log"
        return log.read_text() if log.exists() else "nginx: not even a log"

    def close(self) -> None:
        for it in reversed(self.processes):
            os.killpg(it.pid, signal.SIGTERM)
            it.wait(10)


@pytest.fixture(scope="module")
def served(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    leaf = application_leaf(pki)
    it = Served(tmp_path_factory.mktemp("git"), chain=leaf.chain, key=leaf.key, clients=pki.internal.file)
    yield it
    it.close()


@pytest.fixture(scope="module")
def front(pki: Pki, served: Served) -> Iterator[EdgeKit]:
    it = EdgeKit(pki, SITE + routes("git", served.ports, patterns=PATTERNS), threads=2)
    yield it
    it.close()


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_repository_is_pushed_in_one_large_pack_cloned_and_fetched(
    front: EdgeKit, served: Served, tmp_path: Path, pattern: str, version: str
) -> None:
    """The pack is longer than git's buffer, so it comes in chunks; what a fetch has is named in a body that is compressed."""
    name, host = f"{pattern}-{version[-1]}.git", f"git.{pattern}.test"
    git("init", "-q", "--bare", "-b", "main", name, at=served.folder / "repositories")
    git("config", "http.receivepack", "true", at=served.folder / "repositories" / name)
    url = f"https://{host}:{front.port}/{name}"
    over = ["-c", f"http.curloptResolve={host}:{front.port}:127.0.0.1", "-c", f"http.sslCAInfo={front.pki.public.file}"]
    over += ["-c", f"http.version={version}", "-c", "http.proxy="]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    git("init", "-q", "-b", "main", "ours", at=tmp_path)
    content = os.urandom(3_000_000)
    (ours / "large").write_bytes(content)
    git("add", ".", at=ours)
    git("commit", "-q", "-m", "first", at=ours)
    git(*over, "push", "-q", url, "main", at=ours)
    git(*over, "clone", "-q", url, "theirs", at=tmp_path)
    assert (theirs / "large").read_bytes() == content

    # Of another history, and enough of it that what it names is worth compressing.
    told = "".join(f"commit refs/heads/other\ncommitter t <t@t> {n} +0000\ndata 1\nx\n" for n in range(1, 200))
    other = tmp_path / "other"
    git("init", "-q", "other", at=tmp_path)
    git("fast-import", "--quiet", at=other, said=told)
    (ours / "small").write_text("more")
    git("add", ".", at=ours)
    git("commit", "-q", "-m", "second", at=ours)
    git(*over, "push", "-q", url, "main", at=ours)
    for who in (theirs, other):
        git(*over, "fetch", "-q", url, "main", at=who)
        assert git("show", "FETCH_HEAD:small", at=who) == "more"

    seen = [line.split() for line in (served.folder / "seen.log").read_text().splitlines() if f"/{name}/" in line]
    assert {status for _, _, status, _, _ in seen} == {"200"}, seen
    asked = [
        (path.rpartition("/")[2], coding, framing) for method, path, _, coding, framing in seen if method == "POST"
    ]
    assert any(what == "git-upload-pack" and coding == "gzip" for what, coding, _ in asked), asked
    if version == "HTTP/1.1" or pattern != "passthrough":
        assert ("git-receive-pack", "-", "chunked") in asked, asked
