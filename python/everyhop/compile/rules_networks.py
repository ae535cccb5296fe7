"""Rules about networks that a file names: each is what it looks like, and says something that the others do not. A bit too many or
too few lets others in. Read next: `names.network`, the engine's own reading of them."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.world import Key, World
from everyhop.model import Allow, Route


def judge(world: World) -> None:
    for i, route in enumerate(world.config.route):
        if route.allow is not None:
            allowed(world, ("route", i, "allow"), route, route.allow)


def allowed(world: World, at: Key, route: Route, it: Allow) -> None:
    """It names somebody, and not everybody."""
    if it.clients is None and it.networks is None:
        world.refuse(
            "route/nothing-to-do",
            at,
            f"route {route.name!r} has an allow that says nothing of whom",
            'allow = { networks = ["10.0.0.0/8"] }',
            'or allow = { clients = ["client.internal"] }',
            "or remove allow",
        )
    if it.networks is None:
        return
    at = (*at, "networks")
    if not it.networks:
        world.refuse(
            "config/wrong-value",
            at,
            f"route {route.name!r} allows no network, and so nobody",
            'name who may pass: networks = ["10.0.0.0/8"]',
            "or remove networks",
        )
    known = []
    for j, text in enumerate(it.networks):
        net = one(world, (*at, j), text, f"route {route.name!r} allows {text!r}")
        if net is not None:
            known.append((net, j))
    spared(world, at, route, it.networks, known)
    if {str(net) for net in names.merged(net for net, _ in known)} == {"0.0.0.0/0", "::/0"}:
        world.refuse(
            "route/nothing-to-do",
            at,
            f"route {route.name!r} allows every address there is",
            "remove networks",
            "or name who may pass",
        )


def one(world: World, at: Key, text: str, said: str) -> names.Network | None:
    """Refused where it is none, and where an address stands for its network: it may be the one that was meant, or the other."""
    net = names.network(text)
    if net is None:
        mend = 'write a network such as "10.1.0.0/16" or "2001:db8::/32"'
        world.refuse("config/wrong-value", at, f"{said}, which is no network", mend)
        return None
    alone = names.network(text.partition("/")[0])
    if alone is not None and alone.network_address != net.network_address:
        world.refuse(
            "config/wrong-value",
            at,
            f"{said}, an address with bits beyond the first {net.prefixlen}",
            f'the network is "{net}"',
            f'or that one address is meant: "{alone.network_address}"',
        )
        return None
    return net


def spared(world: World, at: Key, route: Route, texts: list[str], known: list[tuple[names.Network, int]]) -> None:
    """What is in another is said for nothing. Of two networks one holds the other, or they have no address in common: in order,
    each is in the last that is in none, or in none itself."""
    wide: tuple[names.Network, int] | None = None
    for net, j in sorted(known, key=lambda it: (it[0].version, it[0].network_address, it[0].prefixlen, it[1])):
        if wide is None or net.version != wide[0].version or not net.subnet_of(wide[0]):  # type: ignore[arg-type]
            wide = (net, j)
            continue
        other = texts[wide[1]]
        inside = f"which is {'' if net == wide[0] else 'in '}{other!r}"
        what = f"route {route.name!r} allows {texts[j]!r}{' twice' if texts[j] == other else f', {inside}'}"
        world.warn("route/nothing-to-do", (*at, j), what, "remove it", also=((*at, wide[1]),))
