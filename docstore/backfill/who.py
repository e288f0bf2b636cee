"""
Who works.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Who:
    """
    A worker: its id, and where it runs.
    """

    id: str
    host: str
    pid: int

    @property
    def name(self) -> str:
        """
        The worker as people read it.
        """
        return f"worker {self.host}:{self.pid}"
