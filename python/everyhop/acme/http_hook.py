"""`dns-01` by a service of the user's: a POST of what is to be there, and another at the end. It is verified like any server, known to it
by a token, and asked at that URL alone. Whatever it answers but 2xx is told, and the order waits; what is served stays.

Nothing that it says is repeated where it repeats the token. Read next: `../download.py`, which bounds what is asked.
"""

from __future__ import annotations

import requests

from everyhop.acme.problem import printable
from everyhop.acme.publisher import record
from everyhop.download import asking
from everyhop.errors import Surroundings

TIMEOUT_S = 60.0
"""For one change, as a program has it."""
MOST_BYTES = 4096
"""Of an answer that says why not."""


class HttpHook:
    """`roots`: the file by which it is verified. `token` does not show in `repr`."""

    kinds = ("dns-01",)

    def __init__(
        self, url: str, token: str | None, roots: str, *, timeout_s: float = TIMEOUT_S, settle_s: float = 0.0
    ) -> None:
        self.url, self.token, self.roots = url, token, roots
        self.timeout_s, self.settle_s = timeout_s, settle_s

    def publish(self, kind: str, name: str, token: str, key_authorization: str) -> float:
        self.post("present", name, key_authorization)
        return self.settle_s

    def withdraw(self, kind: str, name: str, token: str, key_authorization: str) -> None:
        self.post("cleanup", name, key_authorization)

    def post(self, action: str, name: str, key_authorization: str) -> None:
        """Raises `OSError`."""
        where, value = record(name, key_authorization)
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            with (
                asking(self.timeout_s) as session,
                session.post(
                    self.url,
                    json={"action": action, "fqdn": f"{where}.", "value": value},
                    headers=headers,
                    verify=self.roots,
                    timeout=(self.timeout_s, self.timeout_s),
                    allow_redirects=False,
                    stream=True,
                ) as answer,
            ):
                why = self.refused(answer)
        except Surroundings as e:
            why = f"no answer that counts: {e}"
        if why is not None:
            raise OSError(f"the hook {self.url} {action} {where}: {why}")

    def refused(self, answer: requests.Response) -> str | None:
        if 200 <= answer.status_code < 300:
            return None
        if 300 <= answer.status_code < 400:
            return f"it answered with {answer.status_code}, a redirect, and no other URL is asked"
        said = answer.raw.read(MOST_BYTES, decode_content=False).decode(errors="replace").strip()
        line = self.without_token(said).partition("\n")[0]
        return f"it answered with {answer.status_code}{': ' if line else ''}{printable(line)}"

    def without_token(self, said: str) -> str:
        return said if self.token is None else said.replace(self.token, "******")
