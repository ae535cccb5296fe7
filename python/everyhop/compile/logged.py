"""What the access log becomes in a plan. A place that is named twice is one place, however it is spelt."""

from __future__ import annotations

from posixpath import normpath

from everyhop import plan
from everyhop.model import Config, LogSection, Route, RouteLog


def logged(it: LogSection) -> plan.Log:
    return plan.Log(access=access(it.access), form=form(it.format, it.fields), on_full=it.on_full)


def access(text: str) -> plan.ToOff | plan.ToStdout | plan.ToFile:
    if text == "off":
        return plan.ToOff(to="off")
    return plan.ToStdout(to="stdout") if text == plan.STDOUT else plan.ToFile(to="file", path=text)


def form(name: str, fields: list[str] | None) -> plan.InJson | plan.InCombined:
    if name == "combined":
        return plan.InCombined(format="combined")
    return plan.InJson(format="json", fields=None if fields is None else [field.lower() for field in fields])


def own_log(config: Config, route: Route) -> plan.Quiet | plan.OwnLog | None:
    if route.log is False:
        return plan.Quiet(kind="quiet")
    it = route.own_log
    if it is None:
        return None
    return plan.OwnLog(kind="own", access=access(one_name(config, it.to)), form=form(*said(config, it)))


def said(config: Config, it: RouteLog) -> tuple[str, list[str] | None]:
    """The format and the fields of a route's lines: its own, else those of the file."""
    name = it.format or config.log.format
    return name, config.log.fields if it.fields is None and name == config.log.format else it.fields


def one_name(config: Config, to: str) -> str:
    """As the first one spells it who names the place."""
    own = (it.to for route in config.route if (it := route.own_log) is not None)
    return next(text for text in (config.log.access, *own) if same(text, to))


def same(one: str, other: str) -> bool:
    words = {"off", plan.STDOUT}
    return one == other or (not {one, other} & words and normpath(one) == normpath(other))
