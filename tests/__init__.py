"""Everyhop's tests."""

import os
from pathlib import Path

# Hundreds of tests start a command; none of them is to compile Everyhop anew.
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).resolve().parent.parent / "target" / "pycache"))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
