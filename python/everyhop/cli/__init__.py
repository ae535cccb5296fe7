"""The face in the terminal: one module a command. Read next: `app.py`."""
