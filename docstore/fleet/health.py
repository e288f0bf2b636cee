"""
How a node fares, for those who watch it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from docstore.core.write_version import ControlState


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """
    A node at one moment, as it sees itself.
    """

    #: Seconds since the last acknowledged heartbeat was sent.
    heartbeat_age: float
    #: From which age on it does not write.
    heartbeat_limit: float
    #: Whether it may write, as far as the fleet's admission goes.
    admitted: bool
    #: What it stores, by kind.
    controls: Mapping[str, ControlState]

    @property
    def writes(self) -> bool:
        """
        Whether it may write now.
        """
        return self.admitted and self.heartbeat_age < self.heartbeat_limit
