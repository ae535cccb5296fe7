"""What `advise` says beside the pattern: what forced it, what is given up, whose duty follows, what was assumed, and of a
conflict both sides with the ways out. And the file that it writes, whole."""

from __future__ import annotations

import datetime as dt

import pytest

from everyhop.advise import Requirements, Service, advise, configuration
from everyhop.advise.rules import Advice, Conflict
from everyhop.trust import CAPABILITIES


def asked(needs: str = "", **answers: str) -> Advice:
    return advise(Requirements(needs=frozenset(needs.split()), **answers))  # type: ignore[arg-type]


YES, NO = {"backend_tls": "yes", "backend_asks": "yes"}, {"backend_tls": "no", "backend_asks": "no"}
ONLY_TLS = {"backend_tls": "yes", "backend_asks": "no"}
READ, HOLD, ASK = "the edge may read the traffic", "the backend can hold a certificate", "the backend can demand ours"
LEAK = "a leak would not be a major incident"
HTTP = "only where TLS ends is HTTP visible"
CONTROL, TRANSPORT = "the edge is to be a control point", "the edge is to be a transport device"
HOSTILE = "the internal network is hostile: both sides of the hop prove who they are"
HAS_ONE = "the backend cannot ask for a certificate, but it has one"
HERE = "the backend has no TLS and is on this host: the hop never leaves it"
FAR = "the backend has no TLS and is on another host: a risk that somebody accepts, with an end"
BLIND = "nobody between client and backend can read"


@pytest.mark.parametrize(
    ("advice", "pattern", "forced_by", "assumed"),
    [
        (asked("blind-proxy"), "passthrough", ["the proxy holds no key: only passthrough gives it"], [HOLD]),
        (asked(role="transport", backend_tls="yes"), "passthrough", [TRANSPORT], []),
        (asked("path-routing", **YES), "mutual", [f"routing by path: {HTTP}", HOSTILE], []),
        (asked("path-routing", role="control", **YES), "mutual", [f"routing by path: {HTTP}", HOSTILE], []),
        (asked(role="control", **YES), "mutual", [CONTROL, HOSTILE], []),
        (asked(role="control", backend_tls="yes"), "mutual", [CONTROL, HOSTILE], [ASK]),
        (asked(role="control", backend_asks="yes"), "mutual", [CONTROL, HOSTILE], [HOLD]),
        (asked(), "mutual", [HOSTILE], [READ, HOLD, ASK]),
        (asked(**ONLY_TLS), "reencrypt", [HAS_ONE], [READ]),
        (asked(role="control", backend_asks="no"), "reencrypt", [CONTROL, HAS_ONE], [HOLD]),
        (asked("path-routing", **ONLY_TLS), "reencrypt", [f"routing by path: {HTTP}", HAS_ONE], []),
        (asked(role="control", same_host="yes", **NO), "plaintext", [CONTROL, HERE], []),
        (asked(same_host="yes", data="major-incident", **NO), "plaintext", [HERE], [READ]),
        (asked(data="internal", **NO), "plaintext", [FAR], [READ]),
        (asked(same_host="not-sure", **NO), "plaintext", [FAR], [READ, LEAK]),
        (asked(role="control", **NO), "plaintext", [CONTROL, FAR], [LEAK]),
        (
            asked("retries health-by-connection", **YES),
            "mutual",
            [f"retries where nothing can happen twice: {HTTP}", HOSTILE],
            [f"there is a second backend, for: {CAPABILITIES['health-by-connection'].title}"],
        ),
        (
            asked("retries", several="yes", **YES),
            "mutual",
            [f"retries where nothing can happen twice: {HTTP}", HOSTILE],
            [],
        ),
    ],
)
def test_an_advice_says_what_forced_it_and_all_that_it_assumes_and_is_as_sure_as_that(
    advice: Advice, pattern: str, forced_by: list[str], assumed: list[str]
) -> None:
    assert (advice.pattern, [*advice.forced_by], [*advice.assumed]) == (pattern, forced_by, assumed)
    assert advice.sure == ("sure", "fairly sure", "a guess", "a guess")[len(assumed)]


@pytest.mark.parametrize(
    ("advice", "gives_up", "duty"),
    [
        (asked(**YES), [], "an internal CA for two certificates: the backend's and the edge's identity"),
        (
            asked(**ONLY_TLS),
            ["the backend does not know that it is the edge who calls"],
            "keep other callers away from the backend by the network",
        ),
        (
            asked(same_host="yes", **NO),
            ["processes on this host can call the backend"],
            "the edge is in scope for audits of this data",
        ),
        (
            asked(**NO),
            ["anyone on the network behind can read and change it", "the backend can believe no X-Forwarded-For"],
            "somebody owns the acceptance and decides again before it ends",
        ),
    ],
)
def test_where_tls_ends_at_the_edge_it_is_said_what_is_given_up_and_whose_duty_follows(
    advice: Advice, gives_up: list[str], duty: str
) -> None:
    assert [*advice.gives_up] == [BLIND, "the backend sees the client's own handshake", *gives_up]
    assert advice.duties[0].startswith("the edge holds the site's key: ") and advice.duties[-1] == duty


def test_passthrough_gives_up_what_is_built_and_needs_http_and_nothing_that_nobody_has() -> None:
    advice = asked("blind-proxy", backend_tls="yes")
    assert {"routing by path", "HTTP metrics"} <= {*advice.gives_up}
    assert not {"caching", BLIND, CAPABILITIES["client-address"].title} & {*advice.gives_up}
    assert [d.partition(":")[0] for d in advice.duties] == ["the backend's certificate is the public one"]


def test_the_duties_of_what_is_required_are_told_each_once() -> None:
    advice = asked("client-address proxy-protocol", role="transport", backend_tls="yes")
    assert [*advice.duties[1:]] == [CAPABILITIES["client-address"].duty, CAPABILITIES["proxy-protocol"].duty]
    assert asked("grpc", **YES).duties[-1] == "the backend speaks HTTP/2"


GIVE = "give the backend a certificate"
GUARD = (
    "put a guard beside the backend, on its host, that ends mutual TLS and talks to it on loopback: the route is mutual"
    " then"
)
NEAR = "move the backend to the edge's host"
KNOWS = "the backend knows that it is the edge who calls"
PROVES = "only mutual TLS proves to the backend who calls"
CLEAR = "plaintext behind the edge is readable on its network"
TLS_ENDS = ("give the backend a certificate", "put a TLS server beside the backend, on its host", "end TLS at the edge after all")  # fmt: skip
APART = "split the service: one name passed through for what must stay closed, one terminated for the rest"
READER = "accept the edge as a reader, and end TLS there (mutual)"
DROP = "drop the requirement"


@pytest.mark.parametrize(
    ("advice", "conflicts"),
    [
        (
            asked(role="transport", backend_tls="no"),
            [Conflict((TRANSPORT, "a backend without TLS"), "in passthrough the backend is where TLS ends", TLS_ENDS)],
        ),
        (
            asked("path-routing", role="transport"),
            [
                Conflict(
                    ("the edge as a transport device", "routing by path"),
                    HTTP,
                    ("give the service a host name of its own", "let the edge be a control point"),
                )
            ],
        ),
        (
            asked("blind-proxy", role="control"),
            [
                Conflict(
                    ("the edge as a control point", "the proxy holds no key"),
                    "whoever ends TLS holds its key",
                    ("passthrough for that name", "let the edge be a transport device for this name"),
                )
            ],
        ),
        (
            asked("blind-proxy grpc path-routing"),
            [
                Conflict(
                    ("the proxy holds no key", "gRPC by method, HTTP/2 to the backend"),
                    "the proxy holds no key: whoever ends TLS holds its key; "
                    f"gRPC by method, HTTP/2 to the backend: {HTTP}",
                    ("gRPC passes through unread, and pass TLS through", READER, APART),
                )
            ],
        ),
        (
            asked("backend-knows-edge", **ONLY_TLS),
            [
                Conflict(
                    (KNOWS, "a backend that cannot ask for a certificate"),
                    PROVES,
                    (
                        "configure the backend to demand a client certificate",
                        "put something in front of the backend that can",
                    ),
                )
            ],
        ),
        (
            asked("backend-knows-edge", **NO),
            [Conflict((KNOWS, "a backend without TLS on another host"), PROVES, (GIVE, GUARD, NEAR))],
        ),
        (
            asked("backend-knows-edge encrypted-to-backend", same_host="yes", **NO),
            [Conflict(("the way to the backend is encrypted", "a backend without TLS"), CLEAR, (GIVE, GUARD))],
        ),
        (
            asked(data="major-incident", **NO),
            [
                Conflict(
                    ("data whose leak would be a major incident", "a backend without TLS on another host"),
                    "if the data would be a major incident if leaked, it does not travel unencrypted, not even inside",
                    (GIVE, GUARD, NEAR),
                )
            ],
        ),
        (
            asked("retries", several="no"),
            [
                Conflict(
                    ("retries where nothing can happen twice", "one backend"),
                    "nobody stands in for a backend that is alone",
                    ("run a second backend", DROP),
                )
            ],
        ),
        (
            asked("jwt passwords"),
            [
                Conflict(
                    ("checking JWTs at the edge", "names and passwords asked for at the edge"),
                    "a request has one Authorization, and a route asks for one kind of it",
                    ("two routes: by a path, or by a field that one kind of clients has", "drop one of the two"),
                )
            ],
        ),
        (
            asked("caching"),
            [
                Conflict(
                    ("caching", "what Everyhop has"),
                    "Everyhop has none yet",
                    ("cache in the service, or at a CDN in front of the edge", DROP),
                )
            ],
        ),
    ],
    ids=lambda it: it[0].between[0] if isinstance(it, list) else "",
)
def test_what_cannot_be_had_together_is_told_with_both_sides_the_reason_and_the_ways_out(
    advice: Advice, conflicts: list[Conflict]
) -> None:
    assert advice.pattern is None and [*advice.conflicts] == conflicts


def test_all_that_stands_in_the_way_is_told_at_once() -> None:
    both = asked("caching end-to-end-confidentiality path-routing")
    assert [c.between for c in both.conflicts] == [
        ("caching", "what Everyhop has"),
        (BLIND, "routing by path"),
    ]
    several = asked("blind-proxy end-to-end-confidentiality path-routing grpc")
    assert [c.between for c in several.conflicts] == [
        ("the proxy holds no key", "gRPC by method, HTTP/2 to the backend"),
        (BLIND, "gRPC by method, HTTP/2 to the backend"),
    ]


@pytest.mark.parametrize(
    ("advice", "between", "because", "way_out"),
    [
        (
            asked("path-routing grpc", role="transport"),
            ("the edge as a transport device", "gRPC by method, HTTP/2 to the backend"),
            HTTP,
            "gRPC passes through unread",
        ),
        (
            asked("path-routing client-certificate-at-edge", role="transport"),
            ("the edge as a transport device", CAPABILITIES["client-certificate-at-edge"].title),
            "a client proves its certificate to whoever ends its TLS",
            "do it at the backend, where TLS ends",
        ),
        (
            asked("end-to-end-confidentiality blind-proxy", role="control"),
            ("the edge as a control point", "the proxy holds no key"),
            "whoever ends TLS holds its key",
            "passthrough for that name",
        ),
        (
            asked("client-certificate-at-backend survives-a-taken-proxy", role="control"),
            ("the edge as a control point", CAPABILITIES["client-certificate-at-backend"].title),
            CAPABILITIES["client-certificate-at-backend"].reason,
            CAPABILITIES["client-certificate-at-backend"].instead,
        ),
        (
            asked("end-to-end-confidentiality blind-proxy", backend_tls="no"),
            ("the proxy holds no key: only passthrough gives it", "a backend without TLS"),
            "in passthrough the backend is where TLS ends",
            GIVE,
        ),
        (
            asked("backend-knows-edge encrypted-to-backend", **NO),
            ("the way to the backend is encrypted", "a backend without TLS on another host"),
            CLEAR,
            GIVE,
        ),
        (
            asked("backend-verified path-routing", same_host="yes", **NO),
            (CAPABILITIES["backend-verified"].title, HERE),
            CAPABILITIES["backend-verified"].reason,
            CAPABILITIES["backend-verified"].instead,
        ),
    ],
)
def test_of_several_that_stand_in_the_way_the_first_is_told_with_its_own_reason(
    advice: Advice, between: tuple[str, str], because: str, way_out: str
) -> None:
    (told,) = advice.conflicts
    assert (told.between, told.because, told.ways_out[0]) == (between, because, way_out)


def test_an_advice_says_which_other_answer_would_change_it_and_to_what() -> None:
    assert [*asked(**YES).if_changed] == [
        "if the backend could not demand our certificate, the answer becomes reencrypt",
        "if the backend had no TLS, the answer becomes plaintext",
        "if nobody between client and backend may read, the answer becomes passthrough",
    ]
    assert [*asked(**NO, data="internal").if_changed] == [
        "if the backend could demand our certificate, the answer becomes mutual",
        "if the backend could not demand our certificate, the answer becomes reencrypt",
        "if nobody between client and backend may read, the answer becomes a conflict",
        "if a leak were a major incident, the answer becomes a conflict",
    ]
    assert (
        "if the backend were on this host, the answer becomes plaintext"
        in asked(**NO, data="major-incident").if_changed
    )
    assert "if the edge had to route by path, the answer becomes a conflict" in asked("blind-proxy").if_changed


def test_the_file_that_is_written_holds_what_was_asked_and_nothing_else() -> None:
    def of(name: str, needs: str = "", at: str = "10.0.0.1:1", **more: str) -> tuple[Service, Advice]:
        signed = {k: more.pop(k) for k in ("owner", "why", "until") if k in more}
        it = Requirements(needs=frozenset(needs.split()), **more)  # type: ignore[arg-type]
        return Service(name, f"{name}.test", (at, "10.0.0.2:1"), it, **signed), advise(it)

    written = configuration(
        [
            of("p", "client-address", role="transport", backend_tls="yes"),
            of("m", "client-certificate-at-edge http-metrics", data="public", **YES),
            of("r", at="b.test:1", role="control", **ONLY_TLS),
            of("o", owner='a "b"', until="2027-01-01", role="control", data="internal", **NO),
            of("n", role="control", **NO),
            of("none", "caching"),
        ]
    )
    today = dt.datetime.now(dt.UTC).date()
    assert (
        written
        == f"""version = 1

[status]
bind = "127.0.0.1:9180"

[[listener]]
name = "public"
bind = ["[::]:443"]

[[site]]
name  = "edge"
hosts = ["r.test", "o.test", "n.test"]
certs = [{{ chain = "/etc/everyhop/edge.pem", key = "file:/etc/everyhop/edge.key" }}]

[[site]]
name  = "edge-demanding"
hosts = ["m.test"]
certs = [{{ chain = "/etc/everyhop/edge-demanding.pem", key = "file:/etc/everyhop/edge-demanding.key" }}]
clients = {{ ca = "/etc/everyhop/client-ca.pem", mode = "require" }}

[[identity]]
name  = "edge"
chain = "/etc/everyhop/identity.pem"
key   = "file:/etc/everyhop/identity.key"

[[route]]
name = "p"
host = "p.test"
tls  = "passthrough"
to   = ["10.0.0.1:1", "10.0.0.2:1"]
send_proxy = "v2"
requires = ["client-address"]

[[route]]
name = "m"
host = "m.test"
tls  = "mutual"
to   = ["10.0.0.1:1", "10.0.0.2:1"]
verify = {{ ca = "/etc/everyhop/internal-ca.pem", name = "m.internal" }}
present = "edge"
data = "public"
requires = ["client-certificate-at-edge", "http-metrics"]

[[route]]
name = "r"
host = "r.test"
tls  = "reencrypt"
to   = ["b.test:1", "10.0.0.2:1"]
verify = {{ ca = "/etc/everyhop/internal-ca.pem" }}

[[route]]
name = "o"
host = "o.test"
tls  = "plaintext"
to   = ["10.0.0.1:1", "10.0.0.2:1"]
data = "internal"
[route.acceptance]
owner = "a \\"b\\""
why = "the backend has no TLS"
context = "legacy"
since = {today}
until = 2027-01-01

[[route]]
name = "n"
host = "n.test"
tls  = "plaintext"
to   = ["10.0.0.1:1", "10.0.0.2:1"]
"""
    )


@pytest.mark.parametrize("signed", [{"owner": "o"}, {"until": "2027-01-01"}])
def test_nobody_and_no_end_are_made_up_for_plaintext(signed: dict[str, str]) -> None:
    it = Requirements(role="control", backend_tls="no", backend_asks="no")
    assert "acceptance" not in configuration([(Service("r", "r.test", ("10.0.0.1:1",), it, **signed), advise(it))])
    sealed = Requirements(role="control", backend_tls="yes", backend_asks="yes")
    both = Service("r", "r.test", ("10.0.0.1:1",), sealed, owner="o", until="2027-01-01")
    assert "acceptance" not in configuration([(both, advise(sealed))])
