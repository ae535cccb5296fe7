"""Rules about keys that a token has (`pkcs11:`): what their URIs say, and who may sign by them. What files tell is judged by
`../identity/tokens.py`; what the token itself says by `../engine/tokens.py`, which alone asks it."""

from __future__ import annotations

from everyhop.compile.world import Key, World
from everyhop.identity import Unusable
from everyhop.identity.tokens import in_token, read_uri
from everyhop.model import FileIdentity


def unread(reference: str) -> bool:
    """Whether it is refused for its own sake, so that there is nothing to read."""
    try:
        return in_token(reference) and not read_uri(reference)
    except Unusable:
        return True


def judge(world: World) -> None:
    config = world.config
    given: list[tuple[Key, str, str]] = [
        (("site", i, "certs", j, "key"), pair.key, f"site {site.name!r}")
        for i, site in enumerate(config.site)
        for j, pair in enumerate(site.pairs)
    ]
    given += [
        (("identity", i, "key"), it.key, f"identity {it.name!r}")
        for i, it in enumerate(config.identity)
        if isinstance(it, FileIdentity)
    ]
    for key, reference, whose in given:
        if not in_token(reference):
            continue
        try:
            read_uri(reference)
        except Unusable as e:
            world.refuse(e.slug, key, f"{whose}: {e.what}", e.mend)
        if config.engine.keys != "apart":
            what = f"{whose} has its key in a token, and the engine loads no module"
            world.refuse("key/needs-apart", key, what, '[engine] keys = "apart"')
    here = {it.name for it in config.identity if isinstance(it, FileIdentity) and in_token(it.key)}
    for i, issuer in enumerate(config.issuer):
        if issuer.keys.present in here:
            what = f"issuer {issuer.name!r}: identity {issuer.keys.present!r} has its key in a token"
            mend = "present one whose key is in a file: the supervisor asks for keys of issuers, and has no token"
            world.refuse("key/not-there", ("issuer", i, "keys", "present"), what, mend)
