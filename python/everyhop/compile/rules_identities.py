"""Rules about identities that come by themselves, about sites that show one, and about whom the roots that came may vouch for. Their files
are judged in `coming.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.coming import DOMAIN
from everyhop.compile.hop_files import verifying
from everyhop.compile.ways_in import WaysIn
from everyhop.compile.world import Key, World
from everyhop.identity.agent import EXTRA, is_installed
from everyhop.model import CaIdentity, ComingIdentity, SpiffeIdentity
from everyhop.model.identity import GIVEN, trust_domain


def judge(world: World, ways: WaysIn | None) -> None:
    folders: dict[str, int] = {}
    for i, it in enumerate(world.config.identity):
        if not isinstance(it, ComingIdentity):
            continue
        if isinstance(it, CaIdentity):
            of_authority(world, i, it)
        elif isinstance(it, SpiffeIdentity):
            of_agent(world, i, it)
        if (first := folders.setdefault(it.folder, i)) != i:
            what = f"identity {it.name!r} is kept in {it.folder}, and so is {world.config.identity[first].name!r}"
            world.refuse(
                "identity/folder",
                ("identity", i, "state" if it.state is not None else "name"),
                what,
                "give each a folder of its own, or let both routes present one",
                also=(("identity", first, "name"),),
            )
    for n in range(len(world.config.site)):
        shown(world, n)
    for key, verify in verifying(world.config):
        if verify.spiffe is not None and verify.ca is not None:
            of_one_domain(world, (*key, "spiffe"), verify.spiffe, verify.ca, (*key, "ca"))
    for i, route in enumerate(world.config.route):
        for j, text in enumerate((route.allow and route.allow.clients) or []):
            for n in sorted(ways.reached.get(i, {})) if ways else []:
                clients = world.config.site[n].clients
                if clients is not None:
                    of_one_domain(
                        world, ("route", i, "allow", "clients", j), text, clients.ca, ("site", n, "clients", "ca")
                    )


def of_authority(world: World, i: int, it: CaIdentity) -> None:
    at = names.address(it.authority)
    if at is None or at.unix is not None or at.service is not None:
        what = f"identity {it.name!r} comes from {it.authority!r}, which is no host and port"
        world.refuse("identity/authority", ("identity", i, "authority"), what, 'authority = "ca.internal:7443"')


def of_agent(world: World, i: int, it: SpiffeIdentity) -> None:
    if (at := names.address(it.agent)) is None or at.unix is None:
        world.refuse(
            "identity/agent",
            ("identity", i, "agent"),
            f"identity {it.name!r} comes from {it.agent!r}, which is no socket of this machine",
            'agent = "unix:/run/spire/sockets/agent.sock": an agent knows who asks by the kernel, which it cannot over a network',
        )
    if names.workload(it.id) is None or it.id.endswith("/*"):
        world.refuse(
            "identity/spiffe-id",
            ("identity", i, "id"),
            f"identity {it.name!r} is to be {it.id!r}, which is no SPIFFE ID of one workload",
            'id = "spiffe://corp.example/edge", as the registration at the agent\'s server has it',
        )
    if not is_installed():
        what = f"identity {it.name!r} comes from an agent of SPIFFE, and what asks that is not installed here"
        world.refuse("identity/needs-extra", ("identity", i, "from"), what, EXTRA)


def of_one_domain(world: World, key: Key, id_: str, label: str, at: Key) -> None:
    """Roots of a trust domain vouch for its own workloads and for nobody else's (SPIFFE Trust Domain and Bundle §5)."""
    it = world.config.given_by(label)
    if not isinstance(it, SpiffeIdentity) or not id_.startswith(names.OF_SPIFFE):
        return
    vouched, asked = it.vouches_for(label), trust_domain(id_)
    if vouched != asked and DOMAIN.fullmatch(vouched):
        given = GIVEN + it.name + ("" if asked == it.domain else f"/{asked}")
        world.refuse(
            "identity/other-domain",
            key,
            f"{id_} is of {asked}, and {label} stands for the roots of {vouched}, which vouch for nobody there",
            f'ca = "{given}": the roots of that trust domain'
            + ("" if asked == it.domain else f", where it is federated with {it.domain}"),
            f"or name a workload of {vouched}",
            also=(at,),
        )


def shown(world: World, n: int) -> None:
    """A site shows an identity for the hosts that it names: those do not hang on what has come."""
    site = world.config.site[n]
    if site.identity is None:
        return
    key: Key = ("site", n, "certs", 0, "identity")
    known = [it.name for it in world.config.identity]
    if site.identity not in known:
        world.refuse(
            "config/unknown-name",
            key,
            f"site {site.name!r} shows {site.identity!r}, and there is no such [[identity]]",
            f"one of: {', '.join(known) or '(none)'}",
        )
    if site.hosts is None:
        what = f"site {site.name!r} shows identity {site.identity!r}, and names no hosts"
        world.refuse("identity/hosts", key, what, 'hosts = ["guard.internal"]: the names in its certificate')
