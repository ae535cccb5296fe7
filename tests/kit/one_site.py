"""The least configuration with a certificate of its own: one site, whose route goes on in plaintext. The files are the test's."""

TEXT = """\
version = 1
[[listener]]
name = "l"
bind = ["127.0.0.1:8443"]
[[site]]
name = "s"
hosts = ["a.test"]
certs = [{ chain = "leaf.pem", key = "file:leaf.key" }]
[[route]]
name = "r"
host = "a.test"
tls = "plaintext"
to = ["127.0.0.1:1"]
"""
