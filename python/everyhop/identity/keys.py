"""Where a key is kept, and who else could use it. Nothing of a key is ever told but its kind."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from everyhop.identity.mark import Mark
from everyhop.identity.unusable import Unusable, read


def key_bytes(reference: str, base: Path, environ: Mapping[str, str]) -> tuple[bytes, dict[Path, Mark]]:
    """What `file:`, `env:` or `cred:` refers to, and the file that it stands in.

    Raises `Unusable`.
    """
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = environ.get(rest)
        if value is None:
            what, mend = f"the environment has no {rest}", f"set {rest} to the key's PEM"
            raise Unusable("certificate/unreadable", what, mend, "key")
        return value.encode(errors="surrogateescape"), {}
    path = key_path(reference, base, environ)
    data, seen = read(path, "certificate/unreadable", "key")
    if seen.mode & (stat.S_IRWXO | stat.S_IWGRP):
        what = f"{path} can be used by others (mode {stat.S_IMODE(seen.mode):04o})"
        raise Unusable("certificate/key-exposed", what, closing(path), "key")
    return data, {path: seen}


def key_path(reference: str, base: Path, environ: Mapping[str, str]) -> Path:
    kind, _, rest = reference.partition(":")
    if kind != "cred":
        return base / rest
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        what, mend = f"there is no systemd credential {rest}", "run under systemd with LoadCredential="
        raise Unusable("certificate/unreadable", what, mend, "key")
    return Path(folder) / rest


def closing(path: Path) -> str:
    """How its mode is mended, there where it lies: what is mounted for reading has its mode from whoever mounts it."""
    try:
        mounted = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        mounted = False
    if mounted:
        return (
            f"{path} is mounted read-only: set its mode where it is mounted, such as defaultMode: 0400 of a Kubernetes"
            " secret's volume (0440 with fsGroup), or mode: 0400 of a Compose secret"
        )
    return f"chmod 600 {path}"


def named(reference: str, base: Path) -> str:
    """The key in a sentence: its file, or the reference to what is none."""
    kind, _, rest = reference.partition(":")
    return str(base / rest) if kind == "file" else reference


def kind_of(public: object) -> str:
    """What kind of key it is, as people say it."""
    if isinstance(public, rsa.RSAPublicKey):
        return f"RSA of {public.key_size} bits"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"on the curve {public.curve.name}"
    if isinstance(public, dsa.DSAPublicKey):
        return "DSA"
    return type(public).__name__.strip("_").removesuffix("PublicKey")
