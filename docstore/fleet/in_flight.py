"""
Writes that are under way, by the control state that they were decided under.
"""

from collections import Counter
from types import TracebackType

from docstore.core.write_version import ControlState


class OneWrite:
    """
    The context of one write. A class of its own, because every write enters one.
    """

    __slots__ = ("_control", "_key", "_writes")

    def __init__(self, writes: Counter[tuple[str, int]], control: ControlState) -> None:
        self._writes = writes
        self._control = control
        self._key = (control.kind, control.epoch)

    def __enter__(self) -> ControlState:
        self._writes[self._key] += 1
        return self._control

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writes[self._key] == 1:
            del self._writes[self._key]
        else:
            self._writes[self._key] -= 1


class InFlight:
    """
    Counts writes from their decision to their end.

    A node has acknowledged a change only when nothing that it decided before is still on its way to the server.
    """

    def __init__(self) -> None:
        self._writes: Counter[tuple[str, int]] = Counter()

    def one(self, control: ControlState) -> OneWrite:
        """
        Return the context in which a write counts as under way.
        """
        return OneWrite(self._writes, control)

    def acknowledged(self, control: ControlState) -> int:
        """
        Return the epoch that may be acknowledged by a node that works with a control state.
        """
        return min([control.epoch, *(epoch for kind, epoch in self._writes if kind == control.kind)])
