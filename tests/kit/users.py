"""Files of users, by the commands of others."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path


def by_htpasswd(name: str, password: str, *how: str) -> str:
    """A line as Apache's htpasswd writes it: by bcrypt of the least cost, if nothing else is said."""
    command = ["htpasswd", "-ni", *(how or ("-B", "-C", "4")), name]
    done = subprocess.run(command, input=f"{password}\n", capture_output=True, text=True, check=True)
    return done.stdout.strip() + "\n"


def by_argon2(name: str, password: str, *how: str) -> str:
    """A line with a hash of the reference implementation."""
    command = ["argon2", "salt for tests", "-id", "-e", *(how or ("-k", "64", "-t", "2", "-p", "1"))]
    done = subprocess.run(command, input=password.encode(), capture_output=True, check=True)
    return f"{name}:{done.stdout.decode().strip()}\n"


def write(path: Path, *lines: str) -> Path:
    """In one step: who reads it sees all of it."""
    beside = path.with_suffix(".new")
    beside.write_text("".join(lines), encoding="utf-8")
    return beside.replace(path)


def basic(name: str, password: str) -> str:
    """What Authorization says."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
