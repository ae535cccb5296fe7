"""What an engine is handed: sockets, and plans with their material. Every descriptor that is made for it is closed
again, whatever it answers. Read next: `keeper.py`, which says when."""

from __future__ import annotations

import os
from collections.abc import Mapping

from everyhop.admin.inspection import Inspection
from everyhop.admin.keyholding import Keyholding
from everyhop.compile import Compiled
from everyhop.engine import messages as m
from everyhop.engine.control import Control, sealed
from everyhop.engine.resolver import Places
from everyhop.engine.sockets import Bound, one


def hand_over(
    control: Control, threads: int, sockets: list[Bound], status: str | None = None, bound: int | None = None
) -> None:
    """Sockets to accept on, and the address of its status, which is bound here unless it is `bound` already."""
    fds = [b.fd for b in sockets]
    status_fd = None
    if status is not None:
        status_fd = one(status, shared=True).detach() if bound is None else os.dup(bound)
    try:
        question = m.Listen(threads=threads, sockets=[b.told() for b in sockets], status=status)
        control.must(question, m.Listening, fds if status_fd is None else [*fds, status_fd])
    finally:
        if status_fd is not None:
            os.close(status_fd)


def give_plan(
    control: Control,
    compiled: Compiled,
    names: Places,
    logs: Mapping[str, int],
    inspection: Inspection,
    keyholding: Keyholding,
) -> None:
    """The plan and what it refers to, once somebody is there who inspects as it says, and who signs. At a place that is not in `logs` what is
    open stays."""
    inspector = inspection.ready(control, compiled)
    material = sealed(keyholding.ready(control, compiled))
    try:
        control.must(
            m.Apply(
                plan=compiled.plan_json,
                plan_digest=compiled.plan_digest,
                material=[m.Material.model_validate(entry) for entry in compiled.material.entries],
                material_digest=compiled.material.digest,
                names=names,
                logs=list(logs),
                zone=compiled.zone,
                inspector=inspector,
            ),
            m.Applied,
            [material, *logs.values()],
        )
        keyholding.runs()
    finally:
        os.close(material)
