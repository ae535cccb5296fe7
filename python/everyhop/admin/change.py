"""Whether a compiled configuration may take over from what runs: decided here, done by `keeper.py`.

Pure: no file, no socket, no clock. All of a configuration holds or none of it does: a setting that is taken in silence
and does not hold is believed to hold.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from everyhop.compile import Compiled
from everyhop.refusals import Finding

Identity = tuple[str, ...]

DATES = {"acceptance/expired", "certificate/expired"}


@dataclass(frozen=True)
class Lasting:
    """What a supervisor and its engine are started with, and what no reload changes."""

    threads: int
    status: str | None
    sandbox: str
    user: str | None
    admin: str | None


SETTINGS = {
    "threads": "[engine] threads",
    "status": "[status] bind",
    "sandbox": "[engine] sandbox",
    "user": "[engine] user",
    "admin": "[admin] socket",
}


def lasting(compiled: Compiled, cores: int) -> Lasting:
    """What `compiled` asks for; `cores` is how many threads "one for each core" means."""
    plan, config = compiled.plan, compiled.config
    return Lasting(
        threads=plan.engine.threads.threads if plan.engine.threads.count == "fixed" else cores,
        status=plan.status.bind if plan.status.kind == "bound" else None,
        sandbox=config.engine.sandbox,
        user=config.engine.user,
        admin=config.admin.socket,
    )


@dataclass(frozen=True)
class Apply:
    """It may take over as a whole."""


@dataclass(frozen=True)
class RestartNeeded:
    """It asks for what only a start gives."""

    settings: tuple[str, ...]

    @property
    def why(self) -> str:
        return f"restart needed: {'; '.join(self.settings)}"


@dataclass(frozen=True)
class Refuse:
    """It brings in a date that is over."""

    findings: list[Finding]


def decide(holds: Lasting, over: frozenset[Identity], after: Compiled, cores: int) -> Apply | RestartNeeded | Refuse:
    """`over` are the dates of what runs that are past by now; `after` was compiled with such dates as warnings."""
    findings = dated(after.findings, over)
    if any(f.severity == "refused" for f in findings):
        return Refuse(findings)
    unheld = differing(holds, lasting(after, cores))
    return RestartNeeded(unheld) if unheld else Apply()


def dated(findings: list[Finding], over: frozenset[Identity]) -> list[Finding]:
    """A date that is over is refused where it is brought in; one that was there before stays closed."""
    return [replace(f, severity="refused") if f.slug in DATES and f.identity not in over else f for f in findings]


def past(findings: list[Finding]) -> frozenset[Identity]:
    return frozenset(f.identity for f in findings if f.slug in DATES)


def differing(holds: Lasting, wanted: Lasting) -> tuple[str, ...]:
    """Each setting of `wanted` that does not hold, as a sentence."""
    return tuple(
        f"{SETTINGS[it.name]} cannot change from {shown(getattr(holds, it.name))} to {shown(getattr(wanted, it.name))}"
        " while running"
        for it in fields(Lasting)
        if getattr(holds, it.name) != getattr(wanted, it.name)
    )


def shown(value: object) -> str:
    return "its default" if value is None else str(value)
