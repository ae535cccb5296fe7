"""Open Policy Agent, built by Go from its module and as it comes: a policy decides about each request of a route, is changed while it runs,
and nobody passes while there is none."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everyhop.demo.certificates import Leaf
from everyhop.demo.stage import free_port
from tests.applications import peer
from tests.applications.signs_in import started
from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer
from tests.kit.edge import until
from tests.kit.raw import OK, answering

EDGE = """
[[authorizer]]
name = "policy"
to = ["127.0.0.1:{asked}"]
{hop}
path = "/health"
sends = ["x-team"]
deadline_ms = 20000
[[route]]
name = "shop"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{backend}"]
ask = "policy"
paths = "strict"
"""
KNOWN = 'verify = {{ ca = "{pki}/internal-ca.pem", name = "backend.internal" }}'
HOPS = {
    "plaintext": 'tls = "plaintext"',
    "reencrypt": f'tls = "reencrypt"\n{KNOWN}',
    "mutual": f'tls = "mutual"\npresent = "edge"\n{KNOWN}',
}
POLICY = peer.PEERS / "opa" / "policy.rego"


class Opa:
    """With the policy in a folder that it watches."""

    def __init__(self, opened: contextlib.ExitStack, pki: Pki, folder: Path, hop: str) -> None:
        self.opened, self.pki, self.folder, self.port = opened, pki, folder, free_port()
        self.policies = folder / "policies"
        self.policies.mkdir()
        self.put(POLICY.read_text())
        (self.policies / "data.json").write_text(json.dumps({"shop": {"mutual": hop == "mutual", "withdrawn": []}}))
        self.command = [peer.opa(), "run", "--server", "--watch", "--authorization=basic", "--disable-telemetry"]
        self.command += [f"--addr=127.0.0.1:{self.port}", "--skip-version-check"]
        if hop != "plaintext":
            self.command += [f"--tls-cert-file={pki.backend.chain}", f"--tls-private-key-file={pki.backend.key}"]
        if hop == "mutual":
            self.command += ["--authentication=tls", f"--tls-ca-cert-file={pki.internal.file}"]
        self.begin()

    def begin(self) -> None:
        command = [*self.command, str(self.policies)]
        self.process: subprocess.Popen[bytes] = started(self.opened, command, self.folder, "opa", self.port)

    def put(self, text: str) -> None:
        """In one step, as an editor does."""
        beside = self.folder / "next.rego"
        beside.write_text(text)
        beside.replace(self.policies / "policy.rego")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def tell(self, leaf: Leaf, method: str, path: str, body: Any = None) -> int:
        """By its own interface."""
        context = ssl.create_default_context(cafile=str(self.pki.internal.file))
        context.check_hostname = False
        context.load_cert_chain(leaf.chain, leaf.key)
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)) as it:
            it.request(method, path, None if body is None else json.dumps(body))
            return it.getresponse().status


class Stage:
    def __init__(self, opened: contextlib.ExitStack, pki: Pki, folder: Path, hop: str) -> None:
        self.pki, self.raw = pki, Raw(answering(OK))
        opened.callback(self.raw.close)
        self.opa = Opa(opened, pki, folder, hop)
        text = EDGE.format(asked=self.opa.port, hop=HOPS[hop].format(pki=pki.folder), backend=self.raw.port)
        self.edge = EdgeKit(pki, text, site='clients = { ca = "{pki}/public-ca.pem", mode = "ask" }')
        opened.callback(self.edge.close)

    def ask(self, line: str, *fields: str, leaf: Leaf | None = None) -> Answer:
        method = line.split()[0]
        with tls(self.edge.port, "a.test", self.pki.public.file, leaf=leaf) as sock:
            return exchange(sock, "\r\n".join([f"{line} HTTP/1.1", "Host: a.test", *fields, "", ""]), method)

    def passes(self, line: str, *fields: str, leaf: Leaf | None = None) -> bool:
        """Judged at the backend as well as at the client."""
        mark = self.raw.mark()
        answer = self.ask(line, *fields, leaf=leaf)
        came = b"".join(self.raw.since(mark))
        assert came.startswith(line.encode()) if answer.status == 200 else not came, (answer.status, came)
        return answer.status == 200


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


each_hop = pytest.mark.parametrize("hop", HOPS)


@each_hop
def test_a_policy_lets_in_by_method_path_and_a_field(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, hop)
    assert it.passes("GET /goods/7?page=2") and it.passes("HEAD /goods")
    assert not it.passes("DELETE /goods/7"), "another method"
    assert not it.passes("GET /ledger"), "another path"
    assert not it.passes("GET /ledger?/goods"), "a query is no path"
    assert it.passes("POST /orders", "X-Team: sales", "Content-Length: 0")
    assert not it.passes("POST /orders", "X-Team: cooks", "Content-Length: 0")
    assert not it.passes("POST /orders", "Content-Length: 0")
    verdicts = [line["ask"]["verdict"] for line in it.edge.all_lines()]
    assert verdicts == ["passed", "passed", "denied", "denied", "denied", "passed", "denied", "denied"]


@each_hop
def test_no_client_says_for_the_edge_what_is_asked_or_who_asks(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, hop)
    forged = ("X-Forwarded-Method: GET", "X-Forwarded-Uri: /goods/7", "X_Forwarded_Uri: /goods/7")
    assert not it.passes("GET /ledger", *forged)
    assert not it.passes("GET /goods/../ledger"), "the path that is matched is the one that is judged"
    # A client is known by the certificate that it proved, and by no field.
    assert it.passes("GET /accounts/client.test", leaf=pki.client)
    assert not it.passes("GET /accounts/another.test", leaf=pki.client)
    proof = ssl.PEM_cert_to_DER_cert(pki.client.chain.read_text())
    shown = ssl.DER_cert_to_PEM_cert(proof).replace("\n", "")[27:-25]
    assert not it.passes("GET /accounts/client.test", f"Client-Cert: :{shown}:")


@each_hop
def test_it_is_shown_what_is_listed_and_nothing_else(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, hop)
    answer = it.ask(
        "PUT /ledger?x=%2f", "X-Team: cooks", "Cookie: s=secret", "Authorization: Basic c2VjcmV0", "X-Other: o"
    )
    assert answer.status == 401
    said = json.loads(answer.text)
    assert said["code"] == "unauthorized", "what it answers is what the client is told"
    seen = json.loads(said["message"])
    assert (seen["method"], seen["path"], seen["params"]) == ("GET", ["health"], {})
    fields = seen["headers"]
    assert fields["X-Team"] == ["cooks"]
    assert fields["X-Forwarded-Method"] == ["PUT"] and fields["X-Forwarded-Uri"] == ["/ledger?x=%2f"]
    assert fields["X-Forwarded-Host"] == ["a.test"] and fields["X-Forwarded-Proto"] == ["https"]
    assert fields["X-Forwarded-For"] == ["127.0.0.1"]
    assert not {*fields} & {"Cookie", "Authorization", "X-Other", "Client-Cert"}, fields
    assert seen.get("identity") == ("CN=edge.internal" if hop == "mutual" else None)


@each_hop
def test_a_policy_that_is_changed_decides_from_then_on_and_one_that_is_none_changes_nothing(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, hop)
    assert it.passes("GET /goods") and not it.passes("DELETE /goods/7")
    text = POLICY.read_text()
    it.opa.put(text.replace('{"GET", "HEAD"}', '{"DELETE"}'))
    until(lambda: it.passes("DELETE /goods/7") or None)
    assert not it.passes("GET /goods")
    it.opa.put("package system.authz\n\nallow if {")
    until(lambda: "rego_parse_error" in (tmp_path / "opa.log").read_text() or None)
    assert it.passes("DELETE /goods/7") and not it.passes("GET /goods")
    it.opa.put(text)
    until(lambda: it.passes("GET /goods") or None)
    assert not it.passes("DELETE /goods/7")


def test_its_data_is_changed_by_its_own_interface_by_whom_its_policy_names(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path
) -> None:
    it = Stage(opened, pki, tmp_path, "mutual")
    assert it.passes("GET /goods/7")
    assert it.opa.tell(pki.identity, "PUT", "/v1/data/shop/withdrawn", ["7"]) == 401, "the edge itself"
    assert it.passes("GET /goods/7")
    assert it.opa.tell(pki.other, "PUT", "/v1/data/shop/withdrawn", ["7"]) == 204
    assert not it.passes("GET /goods/7") and it.passes("GET /goods/8")
    # Another than the edge, though the authority is the same, is let in to nothing.
    assert it.opa.tell(pki.backend, "GET", "/health") == 401


@each_hop
def test_while_it_is_gone_or_has_no_policy_nobody_passes(
    opened: contextlib.ExitStack, pki: Pki, tmp_path: Path, hop: str
) -> None:
    it = Stage(opened, pki, tmp_path, hop)
    assert it.passes("GET /goods")
    it.opa.put("package another")
    # It answers 500, which is no word.
    answer = until(lambda: a if (a := it.ask("GET /goods")).status != 200 else None)
    assert (answer.status, "ask/unfit-answer" in answer.text) == (503, True), answer.text
    mark = it.raw.mark()
    assert it.ask("GET /goods").status == 503
    it.opa.kill()
    answer = it.ask("GET /goods")
    assert (answer.status, "ask/unreached" in answer.text) == (503, True), answer.text
    assert it.raw.since(mark) == []
    it.opa.put(POLICY.read_text())
    it.opa.begin()
    # Who could not be reached is left alone for a while.
    until(lambda: it.passes("GET /goods") or None, 60)
