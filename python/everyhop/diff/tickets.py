"""Keys of session tickets: those of each engine are known to nobody, those that edges share to whoever has the secret.

What that comes to: a ticket of TLS 1.2 goes over the wire in the clear and holds the master secret (RFC 5077 3.3, 3.2), so that what was
recorded of its session, and of all that took it up, can be read. One of TLS 1.3 holds a secret beside which each session agrees on another
one (`psk_dhe_ke`, RFC 8446 2.2, 4.2.9; nothing is taken early), so that nothing recorded can be read; but whoever has it is believed by
either side. And a ticket holds what a client proved: whoever can seal one comes as any client.
"""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change, either
from everyhop.plan import Plan
from everyhop.trust.keys import whoever_has_it

KINDS.update(
    {
        "tickets-shared": ("weaker", "keys of session tickets are made of a secret that stands in a file"),
        "tickets-apart": ("stronger", "each engine makes ticket keys of its own, which nobody else has"),
        "ticket-key-moved": ("weaker", "keys of session tickets are made of a secret that stands elsewhere"),
        "ticket-key-removed": ("stronger", "tickets of a secret are opened no more"),
        "ticket-key-turned": ("neutral", "another secret seals tickets than did, and the same ones open them"),
        "tickets-lengthened": ("weaker", "session tickets last longer, and so do their keys"),
        "tickets-shortened": ("stronger", "session tickets last for a shorter time, and so do their keys"),
    }
)

ABOUT = "tickets"
OWN_S = 12 * 3600
"""How long those last that an engine makes itself."""


def ticket_changes(old: Plan, new: Plan) -> list[Change]:
    a, b = old.tickets, new.tickets
    if a is None and b is None:
        return []
    out = []
    if a is None and b is not None:
        what = f"each engine had ticket keys of its own; now they are made of {', '.join(b.keys)}"
        out.append(Change("tickets-shared", ABOUT, what, whoever_has_it(new, new.sites)))
    elif a is not None and b is None:
        what = f"ticket keys were made of {', '.join(a.keys)}; now each engine has its own"
        so = "they end with the engine and are in no file; who comes back to another edge, or after a restart, shakes hands anew"
        out.append(Change("tickets-apart", ABOUT, what, so))
    elif a is not None and b is not None:
        come, gone = ([it for it in x if it not in y] for x, y in ((b.keys, a.keys), (a.keys, b.keys)))
        if come:
            what = f"ticket keys were made of {', '.join(a.keys)}, now of {', '.join(b.keys)}"
            out.append(Change("ticket-key-moved", ABOUT, what, whoever_has_it(new, new.sites)))
        elif gone:
            what = f"tickets of {', '.join(gone)} are opened no more"
            out.append(
                Change("ticket-key-removed", ABOUT, what, "whoever has that secret alone gets nothing more by it")
            )
        elif a.keys != b.keys:
            what = f"tickets were sealed by {a.keys[0]}, now by {b.keys[0]}"
            out.append(Change("ticket-key-turned", ABOUT, what, "both are opened as before"))
    was, now = (OWN_S if it is None else it.rotate_s for it in (a, b))
    if was != now:
        what = f"a ticket lasted {was // 3600} hours, now {now // 3600}"
        follows = (
            "a session that was taken can be taken up for longer",
            "a session that was taken is worth nothing sooner",
        )
        out.append(either(now > was, ("tickets-lengthened", "tickets-shortened"), ABOUT, what, follows))
    return out
