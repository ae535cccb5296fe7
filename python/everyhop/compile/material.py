"""What the engine is given beside a plan: keys, certificates, revocation lists, pages, keys of issuers, users, passwords,
secrets of ticket keys."""

from __future__ import annotations

import base64
import json

from everyhop.compile.compiled import Life, Material
from everyhop.compile.world import World
from everyhop.identity import Pair
from everyhop.identity.chain import is_root, shown, way_up
from everyhop.identity.tokens import TokenKey
from everyhop.plan import canonical, digest


def material(world: World) -> Material:
    """What the plan refers to and nothing else: an engine of passthrough routes alone is sent no key."""
    certs: dict[str, dict[str, str | None]] = {}
    tokens: dict[str, TokenKey] = {}
    lives: dict[str, Life] = {}
    entries: list[dict[str, object]] = []

    def pair(id_: str, key: tuple[str | int, ...]) -> None:
        it = world.pairs.get(key)
        if it is None:
            return
        certs[id_] = {"chain": it.chain_pem.decode(), "key": None if it.token else it.key_pem.decode()}
        if it.token is not None:
            tokens[id_] = it.token
            # As with a store's password: of another PIN its file alone tells.
            mark = digest(canonical([it.token.uri, *(str(one) for one in it.files.items())]))
            entries.append({"id": f"token/{id_}", "chain_sha256": mark, "key_sha256": None, "not_after_s": None})
        ends = int(it.not_after.timestamp())
        lives[id_] = life(it)
        entries.append({"id": id_, "chain_sha256": it.chain_sha256, "key_sha256": it.key_sha256, "not_after_s": ends})

    for i, site in enumerate(world.config.site):
        for j in range(len(world.config.acme.keys) if site.is_by_acme else len(site.pairs)):
            pair(f"site/{site.name}/{j}", ("site", i, "certs", j))
    for i, identity in enumerate(world.config.identity):
        pair(f"identity/{identity.name}", ("identity", i))
    cas: dict[str, str] = {}
    for label, roots in world.roots.items():
        cas[f"ca/{label}"] = roots.pem.decode()
        entries.append({"id": f"ca/{label}", "chain_sha256": roots.sha256, "key_sha256": None, "not_after_s": None})
    pages: dict[str, str] = {}
    for label, page in world.pages.items():
        pages[f"page/{label}"] = base64.b64encode(page.data).decode()
        entries.append({"id": f"page/{label}", "chain_sha256": page.sha256, "key_sha256": None, "not_after_s": None})
    crls: dict[str, str] = {}
    for label, crl in world.crls.items():
        crls[f"crl/{label}"] = crl.pem.decode()
        lives[f"crl/{label}"] = Life(int(crl.this_update.timestamp()), int(crl.next_update.timestamp()))
        ends = int(crl.next_update.timestamp())
        entries.append({"id": f"crl/{label}", "chain_sha256": crl.sha256, "key_sha256": None, "not_after_s": ends})
    issuers: dict[str, str] = {}
    for issuer in world.config.issuer:
        if (keys := world.key_sets.get(issuer.keys.file or "")) is not None:
            issuers[id_ := f"issuer/{issuer.name}"] = keys.text
            entries.append({"id": id_, "chain_sha256": keys.sha256, "key_sha256": None, "not_after_s": None})
    users: dict[str, str] = {}
    for label, read in world.users.items():
        users[f"users/{label}"] = read.sealed
        entries.append({"id": f"users/{label}", "chain_sha256": read.sha256, "key_sha256": None, "not_after_s": None})
    stores: dict[str, str] = {}
    for i, password in world.passwords.items():
        stores[id_ := f"store/{world.config.store[i].name}"] = password.sealed
        # A digest of a password would let it be guessed: what is listed tells a change of it alone.
        mark = digest(canonical([str(it) for it in password.files.items()]))
        entries.append({"id": id_, "chain_sha256": mark, "key_sha256": None, "not_after_s": None})
    for i, ticket_key in enumerate(world.ticket_keys):
        mark = ticket_key.fingerprint
        entries.append({"id": f"tickets/{i}", "chain_sha256": mark, "key_sha256": None, "not_after_s": None})
    for label, rules in world.rules.items():
        # Listed, so that a change of it is one; the engine asks who was given it.
        entries.append({"id": f"rules/{label}", "chain_sha256": rules.sha256, "key_sha256": None, "not_after_s": None})
    entries.sort(key=lambda e: str(e["id"]))
    blob: dict[str, object] = {
        **{"certs": certs, "cas": cas, "crls": crls, "pages": pages},
        **{"issuers": issuers, "users": users, "stores": stores},
    }
    if world.ticket_keys:
        blob["tickets"] = [it.sealed for it in world.ticket_keys]
    return Material(entries, digest(canonical(entries)), json.dumps(blob).encode(), tokens, lives)


def life(it: Pair) -> Life:
    leaf, *issuers = way_up(it.certs)
    begins_s, ends_s = int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp())
    # A root in a chain is believed for being known, whatever its dates.
    first = min((c for c in issuers if not is_root(c)), key=lambda c: c.not_valid_after_utc, default=None)
    if first is None or first.not_valid_after_utc >= leaf.not_valid_after_utc:
        return Life(begins_s, ends_s)
    return Life(begins_s, ends_s, shown(first.subject), int(first.not_valid_after_utc.timestamp()))
