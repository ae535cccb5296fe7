"""A new root, in three steps: it is trusted beside the old one; then it issues; then the old one is retired. Between them those who
verify get the new roots, and those who are verified new certificates: so at no moment does anybody meet a stranger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from everyhop.authority import generation
from everyhop.authority.acts import LIST_LASTS, Authority
from everyhop.authority.generation import ISSUING_KEY
from everyhop.authority.index import Entry
from everyhop.errors import Declined, Misuse


def prepare(it: Authority, passphrase: bytes, *, keep_root: bool = False, root_key: Path | None = None) -> Authority:
    """Makes the next generation, trusts it and publishes its root; the one before goes on issuing. `keep_root`: it stands
    below the root that is there, whose key is asked for.

    Raises `Misuse`.
    """
    with it.changing():
        if it.active != max(it.trusted):
            raise Misuse(
                "a rotation is under way already; nothing was done",
                "  once everybody has the new roots: everyhop ca rotate DIR --activate",
            )
        before = generation.read(it.at, it.active)
        below = (generation.opened_root(before, root_key, passphrase), before) if keep_root else None
        number = max(int(p.name) for p in it.at.iterdir() if p.name.isdigit()) + 1
        generation.make(it.at, number, it.policy, passphrase, it.clock(), below)
        return _kept(replace(it, trusted=(*it.trusted, number)))


def activate(it: Authority) -> Authority:
    """The newest generation issues from now on.

    Raises `Misuse`.
    """
    with it.changing():
        if it.active == max(it.trusted):
            raise Misuse("no rotation is under way; nothing was done", "  begin one: everyhop ca rotate DIR")
        return _kept(replace(it, active=max(it.trusted)))


def retire(it: Authority, *, force: bool = False) -> tuple[Authority, list[int], list[Entry]]:
    """Trusts the generation that issues and no other: gives it, those that are gone, and what was still in force of them. Those
    below the same root are on its list from now on, so that who holds the root alone believes them no more.

    Raises `Declined` while certificates of the others are in force, unless `force`.
    """
    with it.changing():
        if it.active != max(it.trusted):
            raise Misuse(
                "the new authority does not issue yet; nothing was done", "  everyhop ca rotate DIR --activate"
            )
        gone = [n for n in it.trusted if n != it.active]
        if not gone:
            raise Misuse("nothing is there but what issues; nothing was done")
        now = it.clock()
        known = it.index()
        alive = [e for e in known.entries.values() if e.generation in gone and e.in_force(now)]
        if alive and not force:
            anew = {e.names for e in known.entries.values() if e.generation == it.active and e.in_force(now)}
            rows = [
                f"  {e.serial}  until {e.ends:%Y-%m-%d}  {', '.join(e.names)}{', issued anew since' if e.names in anew else ''}"
                for e in sorted(alive, key=lambda e: e.names in anew)[:10]
            ]
            more = [f"  and {len(alive) - len(rows)} more"] if len(alive) > len(rows) else []
            raise Declined(
                f"{len(alive)} certificate(s) of the old authority are in force: whoever shows one would be refused; nothing was done",
                *rows,
                *more,
                "  issue them anew, or take them back: everyhop ca revoke DIR SERIAL; or let them fall: --force",
            )
        after = _kept(replace(it, trusted=(it.active,)))
        for n in gone:
            # What nobody trusts signs nothing any more.
            (it.at / str(n) / ISSUING_KEY).unlink(missing_ok=True)
        return after, gone, alive


def _kept(it: Authority) -> Authority:
    it.keep()
    it._publish(LIST_LASTS)
    return it
