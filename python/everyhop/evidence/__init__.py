"""What really happened, in the forms that the log, `where` and `status` share, and in words. Read next: `observation.py`."""

from everyhop.evidence.observation import Observation, read_observation
from everyhop.evidence.trouble import Told

__all__ = ["Observation", "Told", "read_observation"]
