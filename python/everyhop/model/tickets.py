"""Keys of session tickets that several edges share. Read next: `compile/ticket_keys.py`."""

from everyhop.model.base import Section


class Tickets(Section):
    """`[tickets]`: clients take their sessions up at every edge that has the same secret and the same site, also after a restart. Without it each engine makes ticket keys of its own, which nobody else has and which end with it."""

    key: str | list[str]
    """Where the secret stands that ticket keys are made of: `file:PATH`, `env:NAME` or `cred:NAME` (systemd), at least 32 random bytes; never the secret itself. Two in a list while one follows the other: keys of the first seal, those of both open. Files are watched. Whoever has a secret can read and forge tickets: [what that means](../how-to/share-ticket-keys.md)."""
    rotate: str = "12h"
    """How long one key seals, and how long a ticket lasts: from `"1h"` to `"84h"`, so that no key is used for longer than a week. The keys of a site that asks for client certificates end no sooner, and its sessions within an hour as ever."""
