"""The questions that a supervisor asks an engine, as a form: four bytes of big-endian length, then this as JSON.

`schema/control.schema.json` is generated from here. Descriptors ride on the same message (SCM_RIGHTS): for `listen` the
sockets in order and then the status socket, for `apply` the sealed material and then the log, for `log` the log.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal[1]


class Socket(BaseModel):
    """A listening socket: whose it is and which thread accepts from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listener: str
    bind: str
    thread: int


class Hello(Ask):
    """Who are you, what do you run?"""

    ask: Literal["hello"]


class Listen(Ask):
    """Take these sockets; the first one fixes the number of threads."""

    ask: Literal["listen"]
    threads: int
    sockets: list[Socket]
    status: str | None


class Material(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    chain_sha256: str
    key_sha256: str | None
    not_after_s: int | None


class Apply(Ask):
    """Run this plan with this material: all of it or nothing."""

    ask: Literal["apply"]
    plan: str
    plan_digest: str
    material: list[Material]
    material_digest: str
    names: dict[str, list[str]]
    log: bool


class Names(Ask):
    """New addresses for backends' names."""

    ask: Literal["names"]
    names: dict[str, list[str]]


class Simple(Ask):
    """Questions without fields."""

    ask: Literal["log", "adopt", "status", "plan", "stop"]


class Where(Ask):
    """Where would this request go?"""

    ask: Literal["where"]
    listener: str | None
    sni: str | None
    host: str
    path: str
    method: str
    headers: list[tuple[str, str]]
    client: list[str] | None


class Drain(Ask):
    """Accept no more, finish what is in flight, end by then."""

    ask: Literal["drain"]
    drain_s: int


Question = Annotated[Hello | Listen | Apply | Names | Simple | Where | Drain, Field(discriminator="ask")]
QUESTIONS: TypeAdapter[Question] = TypeAdapter(Question)
