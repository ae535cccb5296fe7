"""What really happened, in the form that the log, `where` and `status` share. Read next: `observation.py`."""

from everyhop.evidence.observation import Observation, read_observation

__all__ = ["Observation", "read_observation"]
