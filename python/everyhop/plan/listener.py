"""Where a plan listens, and whom it believes there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from everyhop.model.words import StartTls
from everyhop.plan.hop import Acceptance, Accepted, SameHost
from everyhop.plan.part import Part
from everyhop.plan.told import Always, ByEffect, Never


class Refuse(Part):
    answer: Literal["refuse"]


class AnswerSite(Part):
    answer: Literal["site"]
    site: Never[str]  # the hosts behind the name count


class AnswerRoute(Part):
    answer: Literal["route"]
    route: Never[str]


Unnamed = Annotated[Refuse | AnswerSite | AnswerRoute, Field(discriminator="answer")]


class SpeaksTls(Part):
    kind: Literal["tls"]


class SpeaksRedirect(Part):
    kind: Literal["redirect"]
    https_port: Never[Annotated[int, Field(ge=1, le=65_535)]]


class SpeaksServe(Part):
    kind: Literal["serve"]
    reach: Always[Annotated[SameHost | Accepted, Field(discriminator="kind")]]


class Listener(Part):
    name: Never[str]
    bind: Always[list[str]]
    speaks: Always[Annotated[SpeaksTls | SpeaksRedirect | SpeaksServe, Field(discriminator="kind")]]
    no_sni: Always[Unnamed]
    unknown_sni: Always[Unnamed]
    accept_proxy: Always[list[str]]
    trusted_proxies: Always[list[str]]
    trusted_clients: Always[list[str]]
    believe: ByEffect[
        list[
            Literal[
                "address",
                "client-cert",
                "forwarded",
                "host",
                "port",
                "prefix",
                "proto",
                "request-id",
                "trace-context",
            ]
        ]
    ]  # nothing where nobody is trusted
    connections: Never[int]
    starttls: Never[StartTls | None]  # TLS it is in any case

    @property
    def vouched(self) -> list[str]:
        """Whose word is believed, each as people say it: a network, a client that proved its name, or both in one."""
        who = " or ".join(self.trusted_clients)
        if not who:
            return self.trusted_proxies
        return [f"{net}, proved to be {who}" for net in self.trusted_proxies] or [
            f"whoever proves to be {name}" for name in self.trusted_clients
        ]

    @property
    def is_plain(self) -> bool:
        """What comes here comes in the clear."""
        return self.speaks.kind != "tls"

    @property
    def serves_plain(self) -> bool:
        """What comes in the clear goes on from here."""
        return self.speaks.kind == "serve"

    @property
    def goes_on(self) -> bool:
        """Something goes on from here."""
        return self.speaks.kind != "redirect"

    @property
    def acceptance(self) -> Acceptance | None:
        """Who signed for what comes in the clear from elsewhere; `None` where nothing does."""
        if self.speaks.kind == "serve" and self.speaks.reach.kind == "accepted":
            return self.speaks.reach.acceptance
        return None
