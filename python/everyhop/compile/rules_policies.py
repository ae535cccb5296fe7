"""Rules about the TLS that a site speaks: policies that cannot be had here, and those that have aged."""

from __future__ import annotations

from everyhop.compile.policies import gained, newest
from everyhop.compile.world import World
from everyhop.model.site import UNAVAILABLE


def judge(world: World) -> None:
    for i, site in enumerate(world.config.site):
        key = ("site", i, "policy")
        if str(site.policy) == UNAVAILABLE:
            world.refuse(
                "site/policy-unavailable",
                key,
                f"site {site.name!r} asks for FIPS 140-3, and this build's cryptography is not that module",
                'take what it approves of, without its certificate: policy = "modern"',
                "or end TLS of that site where such a module is, and pass it through here",
            )
        elif not site.require_post_quantum and (more := gained(site.policy)):
            world.warn(
                "site/policy-outdated",
                key,
                f"site {site.name!r} keeps to {site.policy}, and there is {newest(site.policy)}: {', '.join(more)}",
                f'take the newest, whichever that is: policy = "{site.policy.partition("-")[0]}"',
            )
