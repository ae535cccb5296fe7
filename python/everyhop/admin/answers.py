"""What is answered at the admin socket: how it goes, reload, maintenance, drain, certificates by ACME, where,
stop. Asks the engine where only that knows."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from everyhop import __version__
from everyhop.admin.acme_answers import by_hand
from everyhop.engine.control import Control
from everyhop.engine.frames import Lost
from everyhop.engine.messages import Judged, Seen, Status, Where
from everyhop.errors import EveryhopError

if TYPE_CHECKING:
    from everyhop.admin.supervisor import Supervisor


def answered(it: Supervisor, question: dict[str, object]) -> dict[str, object]:
    ask = question.get("ask")
    control = it.keeper.control
    try:
        if ask == "status":
            told = about(it)
            # One that does not answer a short question is not asked a long one: whoever waits would be others.
            return {"answer": "status", "supervisor": told, "engine": None if it.watch.is_silent() else seen(control)}
        if ask == "reload" and it.loop.stopping:
            return refused("admin/stopping", "it is stopping; nothing is taken any more")
        if ask == "reload":
            return {"answer": "reload", **it.changes.reload()}
        if ask == "upgrade" and it.loop.stopping:
            return refused("admin/stopping", "it is stopping; nothing is taken any more")
        if ask == "upgrade":
            return {"answer": "upgrade", **it.upgrade.upgrade()}
        if ask == "maintenance" and it.loop.stopping:
            return refused("admin/stopping", "it is stopping; nothing is taken any more")
        if ask == "maintenance":
            return {"answer": "maintenance", **switched(it, Switch.model_validate(question))}
        if ask == "drain" and it.loop.stopping:
            return refused("admin/stopping", "it is stopping; nothing is taken any more")
        if ask == "drain":
            return {"answer": "drain", **drained(it, Drain.model_validate(question))}
        if ask == "acme":
            return {"answer": "acme", **by_hand(it, question)}
        if ask == "where" and control:
            judged = control.must(Where.model_validate(question), Judged).model_dump(mode="json")
            return {"answer": "where", "judged": judged, "places": places(it), "plan": it.keeper.running.plan_json}
        if ask == "stop":
            it.loop.stopping = True
            return {"answer": "stopping"}
    except ValidationError as e:
        return refused("admin/malformed", str(e.errors(include_url=False)[0]["msg"]))
    except EveryhopError as e:
        return refused("admin/engine", str(e))
    return refused("admin/malformed", f"there is no question {ask!r}")


class Switch(BaseModel):
    """The question of `everyhop maintenance`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    protocol: Literal[1]
    ask: Literal["maintenance"]
    route: str
    until: AwareDatetime | None
    text: Annotated[str, Field(max_length=65_536)] | None
    html: bool = False


def switched(it: Supervisor, question: Switch) -> dict[str, object]:
    plan, now = it.keeper.decided.plan, dt.datetime.now(dt.UTC)
    return it.maintenance.switch(
        plan, question.route, question.until, (question.text, question.html), now, it.keeper.again
    )


class Drain(BaseModel):
    """The question of `everyhop drain`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    protocol: Literal[1]
    ask: Literal["drain"]
    route: str
    at: Annotated[str, Field(max_length=4096)]
    off: bool
    last_too: bool
    """Also where no other backend of the route is left."""


def drained(it: Supervisor, question: Drain) -> dict[str, object]:
    plan, again = it.keeper.decided.plan, it.keeper.again
    if question.off:
        return it.drains.end(plan, question.route, question.at, again)
    return it.drains.begin(plan, question.route, question.at, again, last_too=question.last_too)


def seen(control: Control | None) -> dict[str, object] | None:
    """What the engine saw; `None` where it does not answer, which is a trouble of its own and no reason to say nothing."""
    if control is None:
        return None
    try:
        return control.must(Status(), Seen).model_dump(mode="json")
    except Lost:
        return None


def refused(slug: str, why: str) -> dict[str, object]:
    return {"answer": "refused", "slug": slug, "why": why}


def places(it: Supervisor) -> dict[str, str]:
    return {name: str(place) for name, place in it.keeper.running.places().items()}


def about(it: Supervisor) -> dict[str, object]:
    return {
        "version": __version__,
        "pid": os.getpid(),
        "config": str(it.path.absolute()),
        "plan": it.keeper.running.plan_json,
        "plan_digest": it.keeper.running.plan_digest,
        "material": it.keeper.running.material.entries,
        "started": it.started_at.isoformat(),
        "engine_restarts": it.keeper.restarts,
        "last_reload": it.changes.last,
        "last_upgrade": it.upgrade.last,
        "maintenance": it.maintenance.told(it.keeper.running.plan),
        "drained": it.drains.told(it.keeper.decided.plan),
        "retired": it.keeper.retired.told(),
        "acme": it.issuing.told(),
        "identities": it.renewing.told(),
        "lists": it.fetching.told(),
        "keyholder": it.keeper.keyholding.told(),
        "inspector": it.keeper.inspection.told(it.keeper.pid),
        "troubles": [wrong.told() for wrong in it.watch.now()],
        "places": places(it),
    }
