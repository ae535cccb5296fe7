"""What a supervisor and an engine say to each other: the one description of it. `control.py` sends and takes these,
`schema/control.json` is generated from here, and a contract test holds the engine to them.

Descriptors ride on a message: for `listen` the sockets in order and then the status socket, for `apply` the sealed
material and then the logs in order, for `log` the logs, for `reach` and `inspector` the socket; with the answer to `adopt` the sockets in order and then the status socket.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from everyhop.engine.resolver import Places


class Form(BaseModel):
    # What is sent is written out in full: a default is the one word that can stand there.
    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True, json_schema_serialization_defaults_required=True
    )


class Socket(Form):
    """A listening socket: whose it is and which thread accepts from it."""

    listener: str
    bind: str
    thread: int


class Material(Form):
    """A certificate, a CA or a list by its digests: what may be shown of it."""

    id: str
    chain_sha256: str
    key_sha256: str | None
    not_after_s: int | None


class Sandboxed(Form):
    """What the engine can no longer do."""

    uid: int
    no_new_privs: bool
    seccomp: bool
    landlock: str


# Questions.


class Ask(Form):
    protocol: Literal[1] = 1
    ask: str


class Hello(Ask):
    """Who are you, what do you run?"""

    ask: Literal["hello"] = "hello"


class Listen(Ask):
    """Take these sockets; the first one fixes the number of threads."""

    ask: Literal["listen"] = "listen"
    threads: int
    sockets: list[Socket]
    status: str | None


class Apply(Ask):
    """Run this plan with this material: all of it or nothing. `logs` are the places whose descriptors ride along; what is open
    at any other stays."""

    ask: Literal["apply"] = "apply"
    plan: str
    plan_digest: str
    material: list[Material]
    material_digest: str
    names: Places
    logs: list[str]
    zone: str | None
    """Where this edge is: it stands in no plan, since one plan serves edges in several zones."""
    inspector: str | None
    """By which the inspector is known that was given the plan's policies."""


class Names(Ask):
    """New addresses for backends' names."""

    ask: Literal["names"] = "names"
    names: Places


class Log(Ask):
    """Write to these files from now on."""

    ask: Literal["log"] = "log"
    logs: list[str]


class Adopt(Ask):
    """Give copies of your sockets to your next supervisor."""

    ask: Literal["adopt"] = "adopt"


class Reach(Ask):
    """Answer on this socket, too: the name of the one that you have was taken away."""

    ask: Literal["reach"] = "reach"


class Status(Ask):
    """What have you seen?"""

    ask: Literal["status"] = "status"


class Trouble(Form):
    """Something that is wrong now: one of the kinds in `docs/reference/status.md`, what it is about, what more is known."""

    kind: str
    about: str
    why: str


class Troubles(Ask):
    """This is wrong as we see it; what do you see?"""

    ask: Literal["troubles"] = "troubles"
    troubles: list[Trouble]


class Plan(Ask):
    """Which plan, in which bytes?"""

    ask: Literal["plan"] = "plan"


class Where(Ask):
    """Where would this request go?"""

    ask: Literal["where"] = "where"
    listener: str | None
    sni: str | None
    host: str
    path: str
    method: str
    headers: list[tuple[str, str]]
    client: list[str] | None
    token: str | None = None
    address: str | None = None


class Wanted(Ask):
    """Whose keys are to be asked for? Answer once there is one, or after so long."""

    ask: Literal["wanted"] = "wanted"
    wait_ms: int


class Asked(Form):
    """An issuer's server was asked for its keys, for all questions of the engine's up to that one."""

    issuer: str
    question: int
    failed: bool
    fetched_s: int | None
    """When the set came that is used."""


class Keys(Ask):
    """Keys were asked for; those that came are in the plan's material."""

    ask: Literal["keys"] = "keys"
    issuers: list[Asked]


class Shown(Form):
    """The certificate of a challenge, and its key, in PEM."""

    chain: str
    key: str


class ShownInTls(Form):
    """By a handshake of its own (RFC 8737)."""

    kind: Literal["tls-alpn-01"] = "tls-alpn-01"
    name: str
    certificate: Shown


class SaidInTheClear(Form):
    """At a listener of plain HTTP (RFC 8555 §8.3)."""

    kind: Literal["http-01"] = "http-01"
    name: str
    token: str
    text: str


class Challenges(Ask):
    """What authorities are answered whose orders are pending: those and no others."""

    ask: Literal["challenges"] = "challenges"
    challenges: list[Annotated[ShownInTls | SaidInTheClear, Field(discriminator="kind")]]


class Signers(Ask):
    """Have handshakes signed by these lines, which ride along, and by no others; each is to the process that holds the keys."""

    ask: Literal["signers"] = "signers"


class Inspector(Ask):
    """An inspector is ready, by the policies that it is known by; its socket rides along."""

    ask: Literal["inspector"] = "inspector"
    id: str
    at_once: int
    """Questions that it has before it at once."""


class Drain(Ask):
    """Accept no more, finish what is in flight, end by then."""

    ask: Literal["drain"] = "drain"
    drain_s: int


class Retire(Ask):
    """Another engine accepts in your place: accept no more, carry what you carry to its end, leave by then."""

    ask: Literal["retire"] = "retire"
    retire_s: int


class Stop(Ask):
    """End now."""

    ask: Literal["stop"] = "stop"


# Answers.


class Answer(Form):
    protocol: Literal[1]
    answer: str


class Declined(Answer):
    """Any question may be refused; what ran before it still runs."""

    answer: Literal["refused"]
    slug: str
    why: str


class Welcome(Answer):
    """To `hello`."""

    answer: Literal["welcome"]
    pid: int
    version: str
    started_s: int
    plan_digest: str | None
    material_digest: str | None
    generation: int
    threads: int | None
    draining: bool
    leaves_in_s: int | None
    sockets: list[Socket]
    sandbox: Sandboxed | None
    status_bind: str | None


class Listening(Answer):
    """To `listen` and to `reach`."""

    answer: Literal["listening"]


class Applied(Answer):
    """To `apply`."""

    answer: Literal["applied"]
    generation: int
    plan_digest: str


class Named(Answer):
    """To `names`."""

    answer: Literal["named"]


class Reopened(Answer):
    """To `log`."""

    answer: Literal["reopened"]


class Sockets(Answer):
    """To `adopt`: as many descriptors as sockets, and one more where there is a status."""

    answer: Literal["sockets"]
    sockets: list[Socket]
    status: str | None


class Seen(Answer):
    """To `status`. What is for people alone passes through as it comes."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    answer: Literal["status"]
    generation: int
    plan_digest: str | None
    routes: list[dict[str, Any]]


class Troubled(Answer):
    """To `troubles`: what the engine sees itself, which plan it runs, and whom it cannot reach."""

    answer: Literal["troubles"]
    troubles: list[Trouble]
    plan_digest: str | None
    unreached: list[str]
    """Names of backends of which an address could not be reached when it was tried last."""


class Lacking(Form):
    """An issuer of whom a token names a key that is not there, and the number of the question."""

    issuer: str
    question: int


class WantedKeys(Answer):
    """To `wanted`."""

    answer: Literal["wanted"]
    issuers: list[Lacking]


class Heard(Answer):
    """To `keys` and to `inspector`."""

    answer: Literal["heard"]


class Running(Answer):
    """To `plan`."""

    answer: Literal["plan"]
    plan: str | None
    plan_digest: str | None
    material: list[Material]


class Judged(Answer):
    """To `where`. What is for people alone passes through as it comes."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    answer: Literal["where"]
    verdict: str
    route: str | None
    slug: str | None


class Draining(Answer):
    """To `drain` and to `retire`."""

    answer: Literal["draining"]


class Stopping(Answer):
    """To `stop`."""

    answer: Literal["stopping"]


Question = Annotated[
    Hello
    | Listen
    | Apply
    | Names
    | Log
    | Adopt
    | Reach
    | Status
    | Troubles
    | Plan
    | Wanted
    | Keys
    | Challenges
    | Inspector
    | Signers
    | Where
    | Drain
    | Retire
    | Stop,
    Field(discriminator="ask"),
]
QUESTIONS: TypeAdapter[Question] = TypeAdapter(Question)
Told = Annotated[
    Declined
    | Welcome
    | Listening
    | Applied
    | Named
    | Reopened
    | Sockets
    | Seen
    | Troubled
    | Running
    | WantedKeys
    | Heard
    | Judged
    | Draining
    | Stopping,
    Field(discriminator="answer"),
]
ANSWERS: TypeAdapter[Told] = TypeAdapter(Told)


def described() -> dict[str, object]:
    """The protocol as JSON schemas."""
    return {
        "protocol": 1,
        "questions": QUESTIONS.json_schema(mode="serialization"),
        "answers": ANSWERS.json_schema(mode="serialization"),
    }
