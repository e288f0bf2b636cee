"""
Writes that are under way, by the control state that they were decided under.
"""

from collections import Counter
from collections.abc import Callable, Hashable
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
        self._held: dict[tuple[str, int, Hashable], Callable[[], bool]] = {}

    def one(self, control: ControlState) -> OneWrite:
        """
        Return the context in which a write counts as under way.
        """
        return OneWrite(self._writes, control)

    def acknowledged(self, control: ControlState) -> int:
        """
        Return the epoch that may be acknowledged by a node that works with a control state.
        """
        self._held = {write: goes_on for write, goes_on in self._held.items() if goes_on()}
        under_way = [*self._writes, *((kind, epoch) for kind, epoch, _ in self._held)]
        return min([control.epoch, *(epoch for kind, epoch in under_way if kind == control.kind)])

    def hold(self, control: ControlState, part_of: Hashable, goes_on: Callable[[], bool]) -> None:
        """
        Count a write as under way for as long as *goes_on* says so: its context may end before it takes effect.

        Args:
            control: What it was decided under.
            part_of: What it is a part of; writes of the same thing count once.
            goes_on: Asked whenever there is something to acknowledge.
        """
        self._held[control.kind, control.epoch, part_of] = goes_on
