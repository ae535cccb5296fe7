"""What a configuration says of who is asked about requests, in the form of the plan. Read next: `rules_authorizers.py`."""

from __future__ import annotations

from everyhop import plan
from everyhop.compile.hops import hop, place
from everyhop.compile.world import World, backends, ends_at
from everyhop.model import Authorizer, PassAcceptance


def authorizer(it: Authorizer) -> plan.Authorizer:
    down: plan.WhenDownRefuse | plan.WhenDownPass = plan.WhenDownRefuse(kind="refuse")
    if it.when_down == "pass":
        assert it.pass_acceptance is not None, "judged before"
        down = plan.WhenDownPass(kind="pass", acceptance=accepted(it.pass_acceptance))
    speaks: plan.SpeaksHttp | plan.SpeaksEnvoy = plan.SpeaksEnvoy(kind="envoy")
    if it.speaks == "http":
        assert it.path is not None, "judged before"
        speaks = plan.SpeaksHttp(kind="http", target=it.path)
    return plan.Authorizer(
        name=it.name,
        speaks=speaks,
        sends=sorted({name.lower() for name in it.sends}),
        takes=sorted({name.lower() for name in it.takes}),
        when_down=down,
        deadline_ms=it.deadline_ms,
        at_once=it.at_once,
        backends=[plan.Backend(at=place(b.at), hop=hop(it, b)) for b in backends(it)],
    )


def accepted(given: PassAcceptance) -> plan.PassAcceptance:
    return plan.PassAcceptance(
        owner=given.owner,
        why=given.why,
        since=given.since.isoformat(),
        until=given.until.isoformat(),
        closes_at_s=int(ends_at(given.until).timestamp()),
    )


def taken(world: World, asks: str | None, request: plan.Edits) -> plan.Edits:
    """What backends are told of an answer, among what else is set: in the place of what clients say."""
    it = next((it for it in world.config.authorizer if it.name == asks), None)
    if it is None or not it.takes:
        return request
    names = sorted({name.lower() for name in it.takes})
    told = [plan.Edit(name=name, value=[plan.OfAnswer(kind="answer", name=name)]) for name in names]
    return request.model_copy(update={"set": sorted([*request.set, *told], key=lambda edit: edit.name)})
