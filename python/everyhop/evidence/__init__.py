"""What really happened, in the forms that the log, `where` and `status` share, and in words. Read next: `observation.py`."""

from typing import TYPE_CHECKING

from everyhop.evidence.trouble import Told
from everyhop.lazily import lazily

if TYPE_CHECKING:
    from everyhop.evidence.observation import Observation, read_observation
else:
    # A supervisor tells of troubles, and reads no log.
    __getattr__ = lazily(__name__, dict.fromkeys(("Observation", "read_observation"), "observation"))

__all__ = ["Observation", "Told", "read_observation"]
