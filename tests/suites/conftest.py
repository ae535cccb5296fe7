"""What all outside suites share: nginx behind, and one edge with every pattern in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit import EdgeKit, Pki
from tests.suites.peers import Nginx

VERIFY = 'verify = {{ ca = "{{pki}}/internal-ca.pem", name = "backend.internal" }}'
ROUTES = f"""
[[site]]
name = "private"
hosts = ["m.test"]
certs = [{{{{ chain = "{{{{pki}}}}/private.pem", key = "file:{{{{pki}}}}/private.key" }}}}]
clients = {{{{ ca = "{{{{pki}}}}/public-ca.pem" }}}}
[[route]]
name = "plaintext"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:{{plaintext}}"]
[[route]]
name = "reencrypt"
host = "b.test"
tls = "reencrypt"
to = ["127.0.0.1:{{reencrypt}}"]
{VERIFY}
[[route]]
name = "mutual"
host = "c.test"
tls = "mutual"
to = ["127.0.0.1:{{mutual}}"]
present = "edge"
{VERIFY}
[[route]]
name = "mutual-h2"
host = "g.w.test"
tls = "mutual"
to = ["127.0.0.1:{{mutual}}"]
present = "edge"
upstream_protocol = "h2"
{VERIFY}
[[site]]
name = "here"
hosts = ["localhost"]
certs = [{{{{ chain = "{{{{pki}}}}/here.pem", key = "file:{{{{pki}}}}/here.key" }}}}]
[[route]]
name = "here-h1"
host = "localhost"
path = "/h1"
tls = "plaintext"
to = ["127.0.0.1:{{plaintext}}"]
[[route]]
name = "here-h2"
host = "localhost"
path = "/h2"
tls = "mutual"
to = ["127.0.0.1:{{mutual}}"]
present = "edge"
upstream_protocol = "h2"
{VERIFY}
[[route]]
name = "private"
host = "m.test"
tls = "plaintext"
to = ["127.0.0.1:{{plaintext}}"]
[[route]]
name = "passthrough"
host = "pass.test"
tls = "passthrough"
to = ["127.0.0.1:{{passthrough}}"]
"""


@pytest.fixture(scope="session")
def nginx(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    it = Nginx(tmp_path_factory.mktemp("nginx"), pki)
    yield it
    it.close()


@pytest.fixture(scope="session")
def front(pki: Pki, nginx: Nginx) -> Iterator[EdgeKit]:
    pki.public.leaf("private", "m.test")
    pki.public.leaf("here", "localhost")
    it = EdgeKit(pki, ROUTES.format(**nginx.ports), threads=2)
    yield it
    it.close()
