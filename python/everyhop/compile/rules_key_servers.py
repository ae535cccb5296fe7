"""Rules about where the keys of issuers come from: a file, or a server that is known as a backend is. Whoever can answer in its
place says who gets in. Read next: `rules_proof.py`."""

from __future__ import annotations

from everyhop.compile import names
from everyhop.compile.key_servers import AtIssuer, Url, servers, url
from everyhop.compile.rules_proof import verified
from everyhop.compile.rules_side import idle
from everyhop.compile.world import Key, World
from everyhop.model import Issuer

FILE = 'keys = { file = "/etc/everyhop/corp.jwks.json" }'
FROM = 'keys = { from = "https://login.example.com/jwks.json", verify = { ca = "system" } }'


def judge(world: World) -> None:
    for i, it in enumerate(world.config.issuer):
        one(world, i, it)
    for _, at, by in servers(world.config):
        reached(world, at, by)


def one(world: World, i: int, it: Issuer) -> None:
    key: Key = ("issuer", i, "keys")
    given = it.keys
    if given.file is None and given.from_ is None:
        what = f"the keys of issuer {it.name!r} are nowhere: neither a file is named nor a URL"
        world.refuse("issuer/keys", key, what, FILE, f"or {FROM}")
    elif given.file is not None and given.from_ is not None:
        what = f"the keys of issuer {it.name!r} are in a file and at a URL"
        world.refuse("issuer/keys", (*key, "from"), what, "keep one of them", also=((*key, "file"),))
    elif given.from_ is not None and url(given.from_) is None:
        # Who stands before an @ may have a password there.
        named = "a URL with a user" if "@" in given.from_ else f"{given.from_!r}, which is no URL that can be asked for"
        what = f"the keys of issuer {it.name!r} come from {named}"
        world.refuse("issuer/keys", (*key, "from"), what, FROM)
    elif given.file is not None:
        for word in ("verify", "present", "demand_asks", "require_post_quantum"):
            if getattr(given, word):
                what = f"the keys of issuer {it.name!r} are in a file, and {word} has no effect there"
                world.refuse("hop/nothing-to-prove", (*key, word), what, FROM, f"or remove {word}", of_key=True)


def reached(world: World, at: Url, by: AtIssuer) -> None:
    address = names.address(at.at)
    assert address is not None
    if by.server.tls != "plaintext":
        verified(world, by, 0, address)
    elif not address.is_literal_loopback:
        world.refuse(
            "issuer/keys-in-the-clear",
            by.address(0),
            f"{by.called} is asked in the clear at {at.at}",
            f'from = "https://{at.authority}{at.path}", with verify = {{ ca = "system" }} or your own authority',
            f"or fetch them otherwise, and name the file: {FILE}",
        )
    proven = f'from = "https://{at.authority}{at.path}", with verify, and present = "NAME" to be known there'
    idle(world, by, by.server, proven)
