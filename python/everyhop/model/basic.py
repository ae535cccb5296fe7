"""Names and passwords that a route asks for (HTTP's Basic scheme, RFC 7617). Read next: `route.py`."""

from everyhop.model.base import Section


class Basic(Section):
    """A request passes with a name and a password of this file alone."""

    file: str
    """A file of users as htpasswd has it, `name:hash` a line: hashes by argon2id (as `everyhop password NAME` makes them) and bcrypt (`htpasswd -B`), and no others. It is watched: who is taken out of it, or has another password, is out from then on. 1 MiB and 10,000 users at most."""
    realm: str | None = None
    """What people are told that the password is for. Default: the host that was asked for."""
    forward: str | None = None
    """The field by which the backend is told the name: `"x-user"`. Whatever a client sends in a field of that name, or of one that is read alike (`X_User`), goes no further."""
    strip: bool = False
    """Name and password go no further than the edge. Without it the backend sees them, and whoever reads there."""
