"""
Writes that are under way, by the control state that they were decided under.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from docstore.core.write_version import ControlState


class InFlight:
    """
    Counts writes from their decision to their end.

    A node has acknowledged a change only when nothing that it decided before is still on its way to the server.
    """

    def __init__(self) -> None:
        self._writes: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def one(self, control: ControlState) -> Iterator[ControlState]:
        """
        Count a write as under way for as long as the context lasts.
        """
        key = (control.kind, control.epoch)
        self._writes[key] += 1
        try:
            yield control
        finally:
            self._writes[key] -= 1
            if not self._writes[key]:
                del self._writes[key]

    def acknowledged(self, control: ControlState) -> int:
        """
        Return the epoch that may be acknowledged by a node that works with a control state.
        """
        return min([control.epoch, *(epoch for kind, epoch in self._writes if kind == control.kind)])
