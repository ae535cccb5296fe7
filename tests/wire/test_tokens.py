"""Tokens that a route asks for: who passes, what the backend is told, and what is told to who does not."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from tests.kit import EdgeKit, Pki, Raw, exchange, tls
from tests.kit.clients import Answer, read_answer
from tests.kit.edge import EVERY_PATTERN, until
from tests.kit.grpc_peer import SERVICE, channel, server
from tests.kit.raw import OK, Record, answering, head, take
from tests.kit.tokens import Issuer, b64, block, write_keys
from tests.wire.test_edits import fields
from tests.wire.test_http2 import Speaker

Edges = Callable[..., EdgeKit]
Raws = Callable[..., Raw]


def route(port: int, jwt: str = "", more: str = "") -> str:
    asks = f'{{ issuer = "corp"{jwt} }}'
    return (
        f'[[route]]\nname = "r"\nhost = "a.test"\ntls = "plaintext"\nto = ["127.0.0.1:{port}"]\njwt = {asks}\n{more}\n'
    )


class Stage:
    """An edge with one route that asks for a token, and its backend."""

    def __init__(self, edge: Edges, pki: Pki, raw: Raws, folder: Path, jwt: str = "", more: str = "") -> None:
        self.issuer, self.pki, self.raw = Issuer(), pki, raw(answering(OK))
        self.keys = write_keys(folder / "corp.jwks.json", self.issuer)
        self.text = route(self.raw.port, jwt, more) + block(self.keys)
        self.edge = edge(self.text)

    def ask(self, token: str | None = None, more: str = "", path: str = "/") -> Answer:
        sent = f"Authorization: Bearer {token}\r\n" if token is not None else ""
        sock = tls(self.edge.port, "a.test", self.pki.public.file)
        with sock:
            return exchange(sock, f"GET {path} HTTP/1.1\r\nHost: a.test\r\n{sent}{more}\r\n")

    def refused(self, token: str | None, slug: str, status: int = 401, more: str = "") -> Answer:
        """It is, for that, and the backend hears nothing of it."""
        mark = self.raw.mark()
        it = self.ask(token, more)
        assert (it.status, slug in it.text) == (status, True), f"{it.status} {it.text}"
        assert self.raw.since(mark) == []
        return it


@pytest.fixture
def stage(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> Stage:
    return Stage(edge, pki, raw, tmp_path)


def test_a_request_with_a_token_passes_and_one_without_is_told_what_is_asked_for(stage: Stage) -> None:
    assert stage.ask(stage.issuer.token()).status == 200
    challenge = stage.refused(None, "token/missing").headers["www-authenticate"]
    assert challenge == 'Bearer realm="a.test"', "who showed none is told no error (RFC 6750 §3.1)"
    basic = stage.refused(None, "token/missing", more="Authorization: Basic YTpi\r\n")
    assert basic.headers["www-authenticate"] == challenge
    for scheme in ("bearer", "BEARER"):
        more = f"Authorization: {scheme} {stage.issuer.token()}\r\n"
        assert stage.ask(more=more).status == 200


def test_a_token_of_each_wrong_kind_is_refused_for_what_is_wrong_with_it(stage: Stage) -> None:
    """J01 to J04."""
    it, now = stage.issuer, int(time.time())
    stranger = Issuer()
    fine = it.token()
    signed, _ = fine.rsplit(".", 1)
    unsigned = f"{b64(json.dumps({'alg': 'none'}).encode())}.{fine.split('.')[1]}."
    wrong = {
        "token/malformed": [
            "x",
            "a.b.c",
            fine + ".x",
            fine + "=",
            signed,
            it.of('{"alg":"ES256","alg":"ES256"}', "{}"),
        ],
        "token/algorithm": [unsigned, it.token({"alg": "HS256"}), it.token({"alg": "es256"})],
        "token/signature": [
            stranger.token(),
            f"{signed}.{b64(bytes(64))}",
            it.token({"jwk": stranger.jwk()})[:-8] + "AAAAAAAA",
        ],
        "token/unknown-key": [it.token({"kid": "k2"}), it.token({"kid": "../../dev/null"}), it.token({"alg": "RS256"})],
        "token/critical": [it.token({"crit": ["exp"]}), it.token({"b64": False})],
        "token/type": [it.token({"typ": "logout+jwt"}), it.token({"cty": "JWT"})],
        "token/issuer": [it.token(iss="https://login.test/"), it.token(iss=None), it.token(iss=["https://login.test"])],
        "token/audience": [it.token(aud="other"), it.token(aud=None), it.token(aud=[]), it.token(aud="ap")],
        "token/no-end": [it.token(exp=None)],
        "token/expired": [it.token(exp=now - 60), it.token(exp=0)],
        "token/not-yet-valid": [it.token(nbf=now + 90), it.token(iat=now + 90)],
        "token/too-long": [it.token(groups="g" * 14_000)],
    }
    for slug, tokens in wrong.items():
        for token in tokens:
            answer = stage.refused(token, slug)
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="a.test", error="invalid_token", error_description="'), challenge
            assert slug in challenge and token not in answer.text
    assert stage.ask(fine).status == 200, "what was refused before changed nothing"
    ends = {line["end"] for line in stage.edge.all_lines()}
    assert ends == {"done", *wrong}


def test_a_request_with_two_tokens_is_malformed(stage: Stage) -> None:
    """J03."""
    token = stage.issuer.token()
    for more in (f"Authorization: Bearer {token}\r\n", "Authorization: Basic YTpi\r\n"):
        stage.refused(token, "http1/two-authorizations", 400, more)
    with Speaker(stage.edge, stage.pki) as speaker:
        shown = ("authorization", f"Bearer {token}")
        for second in (shown, ("authorization", "Basic YTpi")):
            assert speaker.outcome(speaker.headers(shown, second)) == "400"
    stage.refused(None, "token/missing", more=f"Connection: authorization\r\nAuthorization: Bearer {token}\r\n")
    stage.refused(None, "token/missing", more=f"Cookie: token={token}\r\nX-Token: {token}\r\n")


def test_claims_that_a_route_wants_are_demanded_and_their_lack_is_403(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    claims = 'claims = { scope = "api.read api.list", realm_access = { roles = ["admin", "ops"] }, email_verified = true, level = 3 }'
    it = Stage(edge, pki, raw, tmp_path, ", " + claims)
    fine = {
        "scope": "api.list openid api.read",
        "realm_access": {"roles": ["x", "ops"]},
        "email_verified": True,
        "level": 3,
    }
    assert it.ask(it.issuer.token(**fine)).status == 200
    for lack in (
        {"scope": "api.read"},
        {"scope": None},
        {"realm_access": {"roles": ["x"]}},
        {"realm_access": None, "realm_access.roles": "admin"},
        {"email_verified": "true"},
        {"level": "3"},
        {"level": 4},
    ):
        answer = it.refused(it.issuer.token(**{**fine, **lack}), "token/claims", 403)
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"], lack


FORWARD = ', forward = { sub = "x-user", realm_access = { roles = "x-roles" } }, strip = true'


def test_the_backend_is_told_claims_and_never_what_a_client_says_in_their_place(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    """J04, X02."""
    more = "request = { set = { x-level = 'level {claim.level} of {host}' } }"
    it = Stage(edge, pki, raw, tmp_path, FORWARD, more)
    forged = "X-User: root\r\nx-user: root\r\nX_USER: root\r\nX.User: root\r\nX-Roles: admin\r\nX_Roles: admin\r\nX_Level: 9\r\n"
    token = it.issuer.token(level=3, realm_access={"roles": ["a", "b"]})
    assert it.ask(token, forged + "X-Users: kept\r\n").status == 200
    got = fields(it.raw.received)
    assert got["x-user"] == ["alice"] and got["x-roles"] == ["a, b"] and got["x-level"] == ["level 3 of a.test"]
    assert got["x-users"] == ["kept"] and not {"x_user", "x.user", "x_roles", "x_level"} & set(got)
    assert "authorization" not in got
    mark = it.raw.mark()
    assert it.ask(it.issuer.token(sub=None), forged).status == 200
    (second,) = it.raw.since(mark)
    assert not {"x-user", "x_user", "x-roles", "x_roles"} & set(fields(second))
    for sub in ("root\r\nx-roles: admin", "root\n", " root", "", {"a": 1}, ["a,b"], "\x00"):
        it.refused(it.issuer.token(sub=sub), "token/untellable")


def test_a_forged_claim_in_the_trailers_goes_no_further(edge: Edges, pki: Pki, raw: Raws, tmp_path: Path) -> None:
    """J04."""

    def script(sock: socket.socket, record: Record) -> None:
        head(sock, record)
        while not record.endswith(b"x-sum: kept\r\n\r\n"):
            assert take(sock, record, 4096)
        sock.sendall(OK)

    it = Stage(edge, pki, lambda _: raw(script), tmp_path, FORWARD)
    sock = tls(it.edge.port, "a.test", pki.public.file)
    sent = f"POST / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {it.issuer.token()}\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert exchange(sock, sent + "1\r\nx\r\n0\r\nX-User: root\r\nX_Roles: admin\r\nX-Sum: kept\r\n\r\n").status == 200
    received = it.raw.received.lower()
    assert b"root" not in received and b"admin" not in received


def test_a_token_may_be_in_a_cookie_or_in_a_field_and_is_looked_for_nowhere_else(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    it = Stage(edge, pki, raw, tmp_path, ', from = "cookie:token", strip = true')
    token = it.issuer.token()
    assert it.ask(more=f"Cookie: a=1; token={token}; b=2\r\n").status == 200
    assert fields(it.raw.received)["cookie"] == ["a=1; b=2"]
    mark = it.raw.mark()
    assert it.ask(more=f"Cookie: token={token}\r\n").status == 200
    assert "cookie" not in fields(it.raw.since(mark)[0])
    it.refused(token, "token/missing")
    it.refused(None, "token/several", 400, f"Cookie: token={token}; token=x\r\n")
    it.refused(None, "token/several", 400, f"Cookie: token={token}\r\nCookie: token=x\r\n")
    text = it.text.replace('from = "cookie:token"', 'from = "header:X-Token"')
    assert it.edge.reload(text)["reloaded"]
    mark = it.raw.mark()
    assert it.ask(more=f"X-Token: {token}\r\nCookie: token=x\r\n").status == 200
    got = fields(it.raw.since(mark)[0])
    assert "x-token" not in got and got["cookie"] == ["token=x"]
    it.refused(token, "token/missing")
    it.refused(None, "token/several", 400, f"X-Token: {token}\r\nX-TOKEN: {token}\r\n")


@pytest.mark.parametrize(
    ("at", "field"),
    [
        ("", "Authorization: Bearer {}"),
        (', from = "cookie:token"', "Cookie: token={}"),
        (', from = "header:X-Token"', "X-Token: {}"),
    ],
    ids=["authorization", "cookie", "field"],
)
@pytest.mark.parametrize("strip", [True, False])
def test_a_copy_has_the_token_where_the_backend_has_it_and_nowhere_else(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path, at: str, field: str, strip: bool
) -> None:
    """J04. What is taken out on the way to a backend is not told to who takes copies."""
    mirror = raw(answering(OK))
    more = f'mirror = {{ to = ["127.0.0.1:{mirror.port}"] }}'
    jwt = f'{at}, forward = {{ sub = "x-user" }}, strip = {str(strip).lower()}'
    it = Stage(edge, pki, raw, tmp_path, jwt, more)
    token = it.issuer.token()
    assert it.ask(more=field.format(token) + "\r\nX-User: root\r\n").status == 200
    until(lambda: b"\r\n\r\n" in mirror.received or None)
    for received in (it.raw.received, mirror.received):
        assert (token.encode() in received) != strip
        assert fields(received)["x-user"] == ["alice"]


def test_of_several_issuers_each_verifies_its_own_tokens_alone(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    corp, partner = Issuer(), Issuer("EdDSA", name="https://partner.test")
    backend = raw(answering(OK))
    text = route(backend.port).replace('issuer = "corp"', 'issuer = ["corp", "partner"]')
    text += block(write_keys(tmp_path / "a.json", corp)) + block(
        write_keys(tmp_path / "b.json", partner), name="partner", issuer=partner.name
    )
    it = edge(text)

    def ask(token: str) -> int:
        with tls(it.port, "a.test", pki.public.file) as sock:
            return exchange(sock, f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n").status

    assert [ask(corp.token()), ask(partner.token())] == [200, 200]
    assert [ask(corp.token(iss=partner.name)), ask(partner.token(iss=corp.name))] == [401, 401]
    lines = it.all_lines()
    assert [line["token"] for line in lines if line["status"] == 200] == [
        {"issuer": "corp", "subject": "alice"},
        {"issuer": "partner", "subject": "alice"},
    ]
    assert all(line["token"] is None for line in lines if line["status"] == 401)
    assert corp.token().split(".")[2] not in it.log.read_text()


def test_tokens_are_asked_for_in_every_pattern_where_tls_ends_and_by_http2(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    from everyhop.demo.backends import Backend

    plain, behind = raw(answering(OK)), raw(answering(OK), leaf=pki.backend)
    opened = [Backend("passed", pki.pass_leaf)]
    ports = {"plaintext": plain.port, "reencrypt": behind.port, "mutual": behind.port, "passthrough": opened[0].port}
    issuer = Issuer("RS256")
    text = EVERY_PATTERN.format(**ports)
    for name in ("plaintext", "reencrypt", "mutual"):
        text = text.replace(
            f'name = "{name}"\n', f'name = "{name}"\njwt = {{ issuer = "corp", forward = {{ sub = "x-user" }} }}\n'
        )
    it = edge(text + block(write_keys(tmp_path / "corp.json", issuer)))
    try:
        for host in ("a.test", "b.test", "c.test"):
            for sent, status in (("", 401), (f"Authorization: Bearer {issuer.token()}\r\n", 200)):
                with tls(it.port, host, pki.public.file) as sock:
                    assert exchange(sock, f"GET / HTTP/1.1\r\nHost: {host}\r\n{sent}\r\n").status == status, host
        with Speaker(it, pki) as speaker:
            assert speaker.outcome(speaker.headers()) == "401"
            shown = ("authorization", f"Bearer {issuer.token()}")
            assert speaker.outcome(speaker.headers(shown, ("x-user", "root"), ("x_user", "root"))) == "200"
            assert speaker.outcome(speaker.headers(shown, shown)) == "400"
        assert b"root" not in plain.received
    finally:
        for one in opened:
            one.close()


def test_a_call_of_grpc_is_told_in_its_own_words(edge: Edges, pki: Pki, tmp_path: Path) -> None:
    backend, port = server(pki.backend, pki.internal.file)
    issuer = Issuer()
    text = (
        f'[[route]]\nname = "g"\nhost = "a.test"\ntls = "mutual"\nto = ["127.0.0.1:{port}"]\npresent = "edge"\n'
        'verify = { ca = "{pki}/internal-ca.pem", name = "backend.internal" }\nupstream_protocol = "h2"\n'
        'jwt = { issuer = "corp", claims = { scope = "call" } }\n'
    )
    it = edge(text + block(write_keys(tmp_path / "corp.json", issuer)))

    def call(*metadata: tuple[str, str]) -> grpc.StatusCode:
        with channel(it.port, "a.test", pki.public.file) as to:
            try:
                to.unary_unary(f"/{SERVICE}/One")(b"x", metadata=metadata, timeout=30)
            except grpc.RpcError as e:
                assert "token/" in e.details()
                return e.code()
            return grpc.StatusCode.OK

    try:
        assert call() is grpc.StatusCode.UNAUTHENTICATED
        assert call(("authorization", f"Bearer {issuer.token()}")) is grpc.StatusCode.PERMISSION_DENIED
        assert call(("authorization", f"Bearer {issuer.token(scope='call')}")) is grpc.StatusCode.OK
    finally:
        backend.stop(None)


def test_a_preflight_which_proves_nothing_is_answered_and_pages_may_read_why_they_were_refused(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    cors = 'cors = { origins = ["https://app.test"], headers = ["authorization"] }'
    it = Stage(edge, pki, raw, tmp_path, more=cors)
    asks = "Origin: https://app.test\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n"
    with tls(it.edge.port, "a.test", pki.public.file) as sock:
        answer = exchange(sock, f"OPTIONS / HTTP/1.1\r\nHost: a.test\r\n{asks}\r\n")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "https://app.test")
    refused = it.refused(None, "token/missing", more="Origin: https://app.test\r\n")
    assert refused.headers["access-control-allow-origin"] == "https://app.test"


def test_where_tells_whether_a_token_passes_and_why_not_without_sending_anything(stage: Stage) -> None:
    it = stage.edge

    def where(*more: str) -> str:
        said = it.cli("where", "a.test/", "--config", str(it.config), *more)
        assert said.returncode in (0, 1), said.stderr
        return said.stdout

    mark = stage.raw.mark()
    assert "of corp, in Authorization: taken as shown" in where()
    assert "this one passes" in where("--token", stage.issuer.token())
    told = where("--token", stage.issuer.token(aud="other"))
    assert "refused with 401" in told and "token/audience" in told and "for somebody else" in told
    old = stage.issuer.token(exp=1)
    assert "token/expired" in where("--token", old) and old not in where("--token", old)
    assert "not judged" in where("--offline", "--token", old)
    assert stage.raw.since(mark) == []


def test_keys_that_change_in_their_file_are_the_ones_from_then_on(stage: Stage) -> None:
    """J02."""
    old, new = stage.issuer, Issuer(kid="k2")
    first = old.token()
    assert stage.ask(first).status == 200
    write_keys(stage.keys, old, new)
    stage.edge.edge.wait_for("keys of issuers", 30)
    assert [stage.ask(first).status, stage.ask(new.token()).status] == [200, 200]
    write_keys(stage.keys, new)
    until(lambda: stage.ask(first).status == 401)
    stage.refused(first, "token/unknown-key")
    assert stage.ask(new.token()).status == 200
    stage.keys.write_text("{}")
    stage.edge.edge.wait_for("the last good ones stay", 30)
    assert stage.ask(new.token()).status == 200, "the last that were good are kept"


def test_a_tighter_rule_holds_for_the_next_request_of_an_open_connection(stage: Stage) -> None:
    token = stage.issuer.token()
    ask = f"GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {token}\r\n\r\n"
    with tls(stage.edge.port, "a.test", stage.pki.public.file) as sock:
        assert exchange(sock, ask).status == 200
        wants = 'jwt = { issuer = "corp", claims = { scope = "x" } }'
        assert stage.edge.reload(stage.text.replace('jwt = { issuer = "corp" }', wants))["reloaded"]
        assert exchange(sock, ask).status == 403
        other = stage.text.replace('audience = "api"', 'audience = "other"')
        assert stage.edge.reload(other)["reloaded"]
        answer = exchange(sock, ask)
        assert (answer.status, "token/audience" in answer.text) == (401, True), "what was remembered of it is not"


def test_nothing_of_a_request_is_told_of_the_next_one_that_the_same_thread_cannot_read(
    edge: Edges, pki: Pki, raw: Raws, tmp_path: Path
) -> None:
    it = Stage(edge, pki, raw, tmp_path)
    for bad in (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /\x01 HTTP/1.1\r\n\r\n", b"nothing\r\n\r\n"):
        assert it.ask(it.issuer.token(sub="kim")).status == 200
        # That one's line is written, so that what was known of it waits for the next.
        it.edge.line(lambda line: line["status"] == 200)
        with tls(it.edge.port, "a.test", pki.public.file) as sock:
            sock.sendall(bad)
            assert read_answer(sock).status == 400
    lines = it.edge.all_lines()
    assert [line["token"]["subject"] for line in lines if line["status"] == 200] == ["kim"] * 3
    refused = [line for line in lines if line["status"] == 400]
    assert [(line["token"], line["ask"], line["route"], line["trace_id"]) for line in refused] == [(None,) * 4] * 3
