"""Rules about revocation lists that are named by a URL. Their files are judged in `lists.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from everyhop.compile.hop_files import verifications
from everyhop.compile.key_servers import servers
from everyhop.compile.lists import can_be_asked
from everyhop.compile.world import Key, World
from everyhop.model import Authorizer, Side
from everyhop.model.crl import FETCHED, is_url

EXAMPLE = 'crl = "https://ca.example.com/issuing.crl"'


def judge(world: World) -> None:
    urls = [(key, label) for key, label in named(world) if is_url(label)]
    if not urls:
        for name in sorted(world.config.crl.model_fields_set)[:1]:
            what = "no revocation list is named by a URL"
            world.warn("crl/unused", ("crl", name), what, f"{EXAMPLE}, of clients or of verify", of_key=True)
    for key, label in urls:
        if can_be_asked(label):
            continue
        # Who stands before an @ may have a password there.
        shown = "a URL with a user" if "@" in label else f"{label!r}"
        if not label.startswith(FETCHED):
            what, mend = f"a revocation list is to come from {shown}, and only https:// and http:// are asked", EXAMPLE
        else:
            what, mend = f"a revocation list is to come from {shown}, which cannot be asked for as it stands", EXAMPLE
        world.refuse("crl/url", key, what, mend, 'or have it put into a file: crl = "/etc/everyhop/issuing.crl.pem"')


def named(world: World) -> Iterator[tuple[Key, str]]:
    """Every `crl` of the file, with its place."""
    config = world.config
    for i, site in enumerate(config.site):
        if site.clients is not None and site.clients.crl is not None:
            yield ("site", i, "clients", "crl"), site.clients.crl
    for i, route in enumerate(config.route):
        for key, verify, _ in verifications(i, route):
            if verify.crl is not None:
                yield (*key, "crl"), verify.crl
    aside: dict[str, Sequence[Side | Authorizer]] = {
        "collector": config.collector,
        "authorizer": config.authorizer,
        "store": config.store,
    }
    for kind, things in aside.items():
        for i, it in enumerate(things):
            if it.verify is not None and it.verify.crl is not None:
                yield (kind, i, "verify", "crl"), it.verify.crl
    for _, _, by in servers(config):
        if by.server.verify is not None and by.server.verify.crl is not None:
            yield (*by.own, "verify", "crl"), by.server.verify.crl
