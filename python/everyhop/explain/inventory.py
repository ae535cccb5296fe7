"""Certificates of a configuration's sites, identities and authorities, as their files are now. No key is opened.

What cannot be read is told as such: an inventory that leaves something out is believed to be whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from everyhop.identity import Shelf, shelf
from everyhop.model import ComingIdentity, Config


@dataclass(frozen=True)
class Item:
    """A file of certificates, what it is for, and the id of it in a plan's material."""

    what: str
    id: str
    shelf: Shelf


def inventory(config: Config, base: Path) -> list[Item]:
    items = []
    for site in config.site:
        for n, chain in enumerate(config.acme.issued(site.name) if site.is_by_acme else ()):
            items.append(
                Item(f"site {site.name!r}, shown to clients, by ACME", f"site/{site.name}/{n}", shelf(chain, base))
            )
        for n, pair in enumerate(site.pairs):
            items.append(
                Item(f"site {site.name!r}, shown to clients", f"site/{site.name}/{n}", shelf(pair.chain, base))
            )
    for identity in config.identity:
        by = f", by {identity.by}" if isinstance(identity, ComingIdentity) else ""
        what = f"identity {identity.name!r}, shown to backends{by}"
        items.append(Item(what, f"identity/{identity.name}", shelf(identity.chain, base)))
    for label, users in authorities(config).items():
        items.append(
            Item(f"authority {label!r}, for {', '.join(users)}", f"ca/{label}", shelf(found_at(config, label), base))
        )
    return items


def found_at(config: Config, label: str) -> str:
    """The file of roots that stands for a label."""
    it = config.given_by(label)
    return it.roots(label) if isinstance(it, ComingIdentity) else label


def authorities(config: Config) -> dict[str, list[str]]:
    """Each file of roots, with who is verified against it."""
    found: dict[str, list[str]] = {}

    def use(label: str | None, whose: str) -> None:
        if label and whose not in found.setdefault(label, []):
            found[label].append(whose)

    for site in config.site:
        if site.clients:
            use(site.clients.ca, f"clients of site {site.name!r}")
    for collector in config.collector:
        use(collector.verify.ca if collector.verify else None, f"collector {collector.name!r}")
    for issuer in config.issuer:
        use(issuer.keys.verify.ca if issuer.keys.verify else None, f"the key server of issuer {issuer.name!r}")
    for authorizer in config.authorizer:
        use(authorizer.verify.ca if authorizer.verify else None, f"authorizer {authorizer.name!r}")
    for store in config.store:
        use(store.verify.ca if store.verify else None, f"store {store.name!r}")
    for route in config.route:
        if route.tls == "passthrough":
            continue
        whose = f"backends of route {route.name!r}"
        use(route.verify.ca if route.verify else None, whose)
        for entry in route.to:
            if not isinstance(entry, str):
                use(entry.verify.ca if entry.verify else None, whose)
    return found
