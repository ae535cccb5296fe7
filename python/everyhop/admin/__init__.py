"""The supervisor and its socket. Read next: `supervisor.py`.

What asks a running edge needs the client alone: the supervisor, with all that it reads and starts, is imported by who runs it.
"""

from everyhop.admin.client import Client
from everyhop.admin.paths import admin_socket, engine_socket

__all__ = ["Client", "admin_socket", "engine_socket"]
