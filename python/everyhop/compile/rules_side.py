"""Rules about the way to somebody who is beside the requests: a collector, who is told of them, a store, which counts them, and an authorizer, who is asked about
them. It is held to what a way to a backend is. Read next: `rules_proof.py`."""

from __future__ import annotations

from everyhop.compile.behind import Behind
from everyhop.compile.places import places
from everyhop.compile.rules_acceptance import dated
from everyhop.compile.rules_hops import LOCALHOST
from everyhop.compile.rules_proof import verified
from everyhop.compile.world import Key, World
from everyhop.model import Authorizer, Side

Beside = Side | Authorizer


def reached(world: World, by: Behind, it: Beside, example: tuple[str, int], hears: str) -> None:
    """`example`: a service and a port, of what is offered to write; `hears`: what of requests it gets, as a verb."""
    in_the_clear: list[str] = []
    for j, _, at in places(world, by, {}, says="is at", example=example):
        if it.tls != "plaintext":
            verified(world, by, j, at)
        elif it.off_host or not at.is_literal_loopback:
            in_the_clear.append(str(at))
    idle(world, by, it)
    acceptance(world, by, it, in_the_clear, hears)


MUTUAL = 'tls = "mutual", with present = "NAME"'


def idle(world: World, by: Behind, it: Beside, mend: str = MUTUAL) -> None:
    """What is said of a proof that nobody gives, to whoever is beside the way of requests."""
    said: list[tuple[str, object, bool]]
    said = [("demand_asks", it.demand_asks, it.tls != "mutual"), ("present", it.present, it.tls == "plaintext")]
    said += [("require_post_quantum", it.require_post_quantum, it.tls == "plaintext")]
    for field, given, is_idle in [*said, ("verify", it.verify, it.tls == "plaintext")]:
        if given and is_idle:
            world.refuse(
                "hop/nothing-to-prove",
                (*by.own, field),
                f"{by.called} is {it.tls} and sets {field}, which has no effect there",
                mend,
                f"or remove {field}",
                of_key=True,
            )


def acceptance(world: World, by: Behind, it: Beside, needed: list[str], hears: str) -> None:
    key: Key = (*by.own, "acceptance")
    encrypt = 'encrypt the hop: tls = "reencrypt" or "mutual"'
    again = "decide again: write a later until, and whose word it is"
    if it.acceptance is None:
        if needed:
            world.refuse(
                "hop/plaintext-without-acceptance",
                (*by.own, "tls"),
                f"{by.called} {hears} in plaintext at {', '.join(needed)} and names no acceptance",
                encrypt,
                'own the risk: acceptance = { owner = "NAME", why = "TEXT", context = "isolated-network", since = DATE, until = DATE }',
                *([LOCALHOST] if any(at.startswith("localhost:") for at in needed) else []),
            )
    elif not needed:
        what = f"{by.called} has an acceptance, and nothing goes there in plaintext across a network"
        world.warn("acceptance/needless", key, what, "remove it")
    else:
        dated(world, key, it.acceptance, by.called, (encrypt, again))
