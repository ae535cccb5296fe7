"""A file to start from: one service, with a sentence beside each choice, that passes `check --no-files` as it stands.

Plaintext to another host is left without its acceptance, which only a person can give: the one refusal that remains.
"""

from __future__ import annotations

from everyhop.advise.configuration import text
from everyhop.compile.names import address
from everyhop.model.words import Pattern
from everyhop.source.toml_form import formed

WHERE: dict[Pattern, str] = {
    "passthrough": "one session from client to backend: the edge is blind to what is in it",
    "mutual": "TLS ends here, and a second session runs to the backend; both sides prove who they are",
    "reencrypt": "TLS ends here, and a second session runs to the backend, which proves who it is",
    "plaintext": "TLS ends here: what is behind it can be read by whoever gets on the way",
}


HEAD = """\
# Judge it: everyhop check. See who can read what: everyhop explain.
version = 1

[[listener]]
name = "public"
bind = ["[::]:443"]

[[listener]]  # sends who comes without TLS to https, and forwards nothing
name = "web"
bind = ["[::]:80"]
speaks = "http"
"""
SITE = """
[[site]]  # the certificate that clients see; its files are watched
name = {name}
hosts = [{host}]
certs = [{{ chain = "/etc/everyhop/{file}.pem", key = "file:/etc/everyhop/{file}.key" }}]
"""
IDENTITY = """
[[identity]]  # who we are to backends
name = "edge"
chain = "/etc/everyhop/identity.pem"
key = "file:/etc/everyhop/identity.key"
"""


def starting(host: str, to: tuple[str, ...], tls: Pattern) -> str:
    """`host`: the public name. `to`: backends, as in `to` of a route."""
    name = host.removeprefix("*.").partition(".")[0]
    out = [HEAD]
    if tls != "passthrough":
        out.append(SITE.format(name=text(name), host=text(host), file=name))
    if tls == "mutual":
        out.append(IDENTITY)
    out.append(f"\n[[route]]  # {WHERE[tls]}\nname = {text(name)}\nhost = {text(host)}\ntls = {text(tls)}\n")
    out.append(f"to = [{', '.join(map(text, to))}]\n")
    if tls in {"mutual", "reencrypt"}:
        named = all((at := address(it)) is not None and at.name is not None for it in to)
        expected = "" if named else f", name = {text(f'{name}.internal')}"
        out.append(f'verify = {{ ca = "/etc/everyhop/internal-ca.pem"{expected} }}\n')
    if tls == "mutual":
        out.append('present = "edge"\n')
    return formed("".join(out))
