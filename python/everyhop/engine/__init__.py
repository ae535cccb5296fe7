"""The handle of the engine's process: its start (`process.py`), its socket (`frames.py`, `control.py`), the addresses it accepts
on (`sockets.py`). Nothing is imported here: a command that only asks needs the frames alone. Read next: `control.py`."""
