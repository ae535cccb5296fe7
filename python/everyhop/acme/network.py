"""What is said to an authority and what it says back: verified, bounded in bytes and in time, and never elsewhere than asked.

The `acme` package signs and reads; this is its network with the bounds that it lacks. An authority that hangs, drips, sends
without end or sends elsewhere is one that does not answer. Read next: `client.py`.
"""

from __future__ import annotations

import contextlib
import email.utils
import socket
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import requests
import urllib3
from acme import client, errors, messages
from josepy.jwa import ES256
from josepy.jwk import JWK
from requests.adapters import HTTPAdapter

from everyhop.acme.problem import Leaving, Problem, Stopped, of_error, printable, stopped
from everyhop.download import Opened, Watched, is_bounded, reason

STEP_S = 30.0
"""For all that one step asks of an authority."""
CONNECT_S, SILENT_S = 5.0, 15.0
"""For one connection, and between two bytes: an authority may think before it answers."""
MOST_BYTES = 1 << 18
"""Of one answer. A chain has some KB, an order of a hundred names 20."""
NONCE_TRIES = 16
"""A nonce may be refused for no fault of ours (RFC 8555 §6.5): where every second one is, one request in 65,536 fails."""


class Network(client.ClientNetwork):
    """The only way to one authority. `begin` starts the time of a step; after it has ended nothing is asked any more."""

    def __init__(self, who: str, roots: str, key: JWK | None = None, step_s: float = STEP_S) -> None:
        super().__init__(key, alg=ES256, user_agent=f"everyhop/{version('everyhop')}")
        self.who, self.roots, self.step_s = who, roots, step_s
        self.opened = Opened()
        self.leaving = False
        """Nothing is asked any more, whatever is left of a step."""
        self.until = time.monotonic() + step_s
        self.last: requests.Response | None = None
        # Neither proxies nor passwords nor roots that the environment names: what is not configured is not used.
        self.session.trust_env = False
        self.session.mount("https://", Watched(self.opened))
        self.session.mount("http://", Nowhere())

    def begin(self) -> None:
        self.until = time.monotonic() + self.step_s

    def left_s(self) -> float:
        return self.until - time.monotonic()

    def is_late(self) -> bool:
        """What is left of the step is for what it has begun."""
        return self.left_s() < self.step_s / 3

    def leave(self) -> None:
        """By any thread: what is under way there ends with `Leaving`."""
        self.leaving = True
        self.opened.end()

    def close(self) -> None:
        self.cut()
        self.session.close()

    def cut(self) -> None:
        """Ends what is under way, whatever it waits for."""
        while self.opened:
            it = self.opened.pop()
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
            it.close()

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for again in range(NONCE_TRIES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as e:
                if e.code != "badNonce" or again == NONCE_TRIES - 1:
                    raise
                # The answer that refuses one brings another (RFC 8555 §6.5), and those in store are as old.
                self._nonces.clear()
                if self.last is not None:
                    with contextlib.suppress(errors.NonceError):
                        self._add_nonce(self.last)
        raise AssertionError("never here")

    def _send_request(self, method: str, url: str, *_: Any, **kwargs: Any) -> requests.Response:
        left = self.left_s()
        if self.leaving:
            raise Leaving
        if left <= 0:
            raise stopped("outage", f"no answer within {self.step_s:.0f} s", authority=self.who)
        if not url.startswith("https://"):
            raise stopped("outage", f"sends us to {printable(url)}, which is not https", authority=self.who)
        headers = {"User-Agent": self.user_agent, "Accept-Encoding": "identity", **kwargs.pop("headers", {})}
        timer = threading.Timer(left, self.cut)
        timer.daemon = True
        timer.start()
        try:
            response = self.session.request(
                method,
                url,
                data=kwargs.get("data"),
                headers=headers,
                verify=self.roots,
                timeout=(min(CONNECT_S, left), min(SILENT_S, left)),
                allow_redirects=False,
                stream=True,
            )
            bounded = is_bounded(response.raw)
            self.read(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as e:
            self.cut()
            if self.leaving:
                raise Leaving from e
            why = f"no answer within {self.step_s:.0f} s" if self.left_s() <= 0 else printable(reason(e))
            raise stopped("outage", why, authority=self.who) from e
        finally:
            timer.cancel()
        if self.leaving:
            raise Leaving
        if self.left_s() <= 0:
            # What was cut off may read like an answer that ends there.
            raise stopped("outage", f"no answer within {self.step_s:.0f} s", authority=self.who)
        if not bounded:
            said = "does not say how long its answer is, so none could see that it was cut short"
            raise stopped("outage", said, authority=self.who)
        self.last = response
        return response

    def read(self, response: requests.Response) -> None:
        """All of the answer, if it is one."""
        if 300 <= response.status_code < 400:
            where = printable(response.headers.get("Location", "nowhere"))
            response.close()
            raise stopped("outage", f"sends us to {where} (a redirect); name that as the authority", authority=self.who)
        body = b""
        for piece in response.iter_content(1 << 14):
            body += piece
            if len(body) > MOST_BYTES:
                response.close()
                raise stopped("outage", f"answers with more than {MOST_BYTES} bytes", authority=self.who)
        response._content = body
        response.encoding = "utf-8"

    def retry_after_s(self) -> float | None:
        """Of the last answer, seconds from now by the clock that nobody sets."""
        told = self.last.headers.get("Retry-After") if self.last is not None else None
        return None if told is None else seconds_of(told, self.last.headers.get("Date", "") if self.last else "")

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Whatever goes wrong meanwhile is one `Stopped`, in the authority's words where it has some."""
        try:
            yield
        except Stopped:
            raise
        except messages.Error as e:
            status = self.last.status_code if self.last is not None else 0
            raise Stopped(of_error(e, status, self.retry_after_s(), self.who)) from e
        except errors.ConflictError as e:
            if self.last is None or self.last.status_code != 409:
                raise  # An account that is there already: `account.py` wants to know where.
            raise Stopped(self.conflict()) from e
        except Exception as e:  # a stranger's answer may be anything, and the package reads it without a doubt
            status = self.last.status_code if self.last is not None else 0
            if status == 429:
                said = "asks for patience (429)"
                raise Stopped(Problem("limited", said, (), "", self.who, self.retry_after_s())) from e
            said = (
                f"answers with {status}" if status >= 400 else f"answers what no ACME server does ({type(e).__name__})"
            )
            raise Stopped(Problem("outage", said, (), "", self.who, self.retry_after_s())) from e

    def conflict(self) -> Problem:
        """What 409 says, which the package keeps to itself, such as `alreadyReplaced` (RFC 9773 §5)."""
        assert self.last is not None
        try:
            error = messages.Error.from_json(self.last.json())
        except Exception:
            return Problem("refused", "answers with 409", (), "", self.who)
        return of_error(error, 409, self.retry_after_s(), self.who)


class Nowhere(HTTPAdapter):
    """Nothing is said in the clear."""

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise requests.exceptions.InvalidSchema("it is not https")


def seconds_of(told: str, date: str) -> float | None:
    """`Retry-After` in seconds; a date is taken by the clock that wrote it, which stands in `Date`."""
    if told.isascii() and told.isdigit() and len(told) < 10:
        return float(told)
    try:
        when = email.utils.parsedate_to_datetime(told)
        return max((when - email.utils.parsedate_to_datetime(date)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
