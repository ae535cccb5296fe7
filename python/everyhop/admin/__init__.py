"""The supervisor and its socket. Read next: `supervisor.py`."""

from everyhop.admin.client import Client
from everyhop.admin.paths import admin_socket, engine_socket
from everyhop.admin.supervisor import Supervisor

__all__ = ["Client", "Supervisor", "admin_socket", "engine_socket"]
