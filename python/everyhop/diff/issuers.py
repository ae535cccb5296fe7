"""Who issues the certificates of sites by ACME, and who proves for them that the names are ours. It stands in no plan, since what
is issued is the same to whoever comes. Read next: `settings.py`.
"""

from __future__ import annotations

from everyhop.diff.kinds import KINDS, Change
from everyhop.model import AcmeSection, Config
from everyhop.model.acme import DnsUpdate

KINDS.update(
    {
        "authority-changed": ("neutral", "certificates are asked of another authority, or of another kind"),
        "names-proved-otherwise": ("weaker", "somebody else can change the zone by which names are proved"),
    }
)

DEFAULT, MACHINE = "of its own choice", "the machine's roots"


def issuer_changes(old: Config, new: Config) -> list[Change]:
    """Silent where no site has its certificates from there, before or now."""
    if not all(any(site.is_by_acme for site in it.site) for it in (old, new)):
        return []
    return [*authorities(old.acme, new.acme), *zones(old.acme, new.acme)]


def authorities(old: AcmeSection, new: AcmeSection) -> list[Change]:
    out = []
    if old.authority != new.authority:
        what = f"certificates were asked of {', '.join(old.authority)}; now of {', '.join(new.authority)}"
        so = "clients must trust it, and CAA records must name it"
        out.append(Change("authority-changed", "acme", what, so))
    if old.ca != new.ca:
        was, now = (it.ca or MACHINE for it in (old, new))
        what = f"the authority itself was verified by {was}, now by {now}"
        out.append(Change("authority-changed", "acme", what, "whoever they vouch for can stand in for it"))
    if old.profile != new.profile:
        was, now = (it.profile or DEFAULT for it in (old, new))
        what = f"certificates were of the profile {was}, now {now}"
        out.append(Change("authority-changed", "acme", what, "they may last for another time"))
    return out


def zones(old: AcmeSection, new: AcmeSection) -> list[Change]:
    """A program is another by its name and by what it is started with; a service by its URL, its token's place and its roots; a key by its name, its server and where its secret is."""
    was, now = changer(old), changer(new)
    if was == now:
        return []
    if now is None:
        return [
            Change(
                "authority-changed", "acme", f"the zone was changed by {was}, now by nobody", "no wildcard is proved"
            )
        ]
    what = f"the zone was changed by {was or 'nobody'}, now by {now}"
    so = "whoever has that can have certificates for these names issued to them"
    return [Change("names-proved-otherwise", "acme", what, so)]


def changer(it: AcmeSection) -> str | None:
    if "dns-01" not in it.challenges:
        return None
    if it.dns_hook is not None:
        return f"the program {' '.join(it.dns_hook)}"
    if (by := it.dns_http) is not None:
        return f"the service at {by.url} with {by.token or 'no token'}, verified by {by.ca or MACHINE}"
    return None if it.dns_update is None else key(it.dns_update)


def key(it: DnsUpdate) -> str:
    return f"the key {it.key} of {it.server} from {it.secret}"
