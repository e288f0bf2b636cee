"""
A control state that remembers how it had rows stored, so that one knows what a write was about.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from docstore.core.canonical_id import canonical
from docstore.core.write_version import ControlState


@dataclass(frozen=True, slots=True)
class ObservedControl(ControlState):
    """
    The control state of one write, while a canary is open.
    """

    #: The version that was decided on for each row, by its id.
    decided: dict[bytes, int] = field(default_factory=dict, compare=False)

    @classmethod
    def of_one_write(cls, control: ControlState) -> "ObservedControl":
        """
        Return the same control state, with nothing decided yet.
        """
        return cls(**{each.name: getattr(control, each.name) for each in fields(ControlState)})

    def version_for(self, id: Any, *, standing: int | None = None) -> int:
        """
        Return the version at which a row is to be stored; see `ControlState.version_for`.
        """
        version = ControlState.version_for(self, id, standing=standing)
        self.decided[canonical(id)] = version
        return version
