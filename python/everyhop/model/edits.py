"""Fields that a route changes in what passes: those of requests to its backends, those of answers to its clients."""

from everyhop.model.base import Section


class Edits(Section):
    """First `remove`, then `set`, then `add`. Values may name what the edge knows: `{client.address}`, `{client.name}` (the
    first name of a verified certificate), `{tls.version}`, `{request.id}`, `{host}`, `{path}`, `{query}` (with its `?`),
    `{method}` and, in requests where the route asks for a token, `{claim.sub}` (`{claim.realm_access.roles}` for what stands in an object),
    where it asks for a password, `{user}`; `{{` is a brace. A value that comes to nothing leaves its field out."""

    remove: list[str] = []
    """Names of fields; all of that name go."""
    set: dict[str, str] = {}
    """In place of all that had the name."""
    add: dict[str, str] = {}
    """Beside what has the name."""
