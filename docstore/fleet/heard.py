"""
What a process has heard of the control records: what it stores, and the knobs, answered from memory.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from docstore.core.control_view import ControlView
from docstore.core.kind import Kind

if TYPE_CHECKING:
    from docstore.core.write_version import ControlState


class Heard:
    """
    The newest control state of each kind, and everything else as it was read last.

    Args:
        kinds: What the process works with.
    """

    def __init__(self, kinds: Sequence[Kind[Any]]) -> None:
        self.kinds = tuple(kinds)
        self.view = ControlView()
        self.controls: dict[str, ControlState] = {}

    def adopt(self, view: ControlView) -> bool:
        """
        Work with what the records say from now on; tell whether that is anything new of these kinds.
        """
        before = dict(self.controls)
        self.view = view
        for kind in self.kinds:
            control, held = view.controls.get(kind.name), self.controls.get(kind.name)
            # Two reads may overtake each other.
            if control is not None and (held is None or control.epoch > held.epoch):
                self.controls[kind.name] = control
        return self.controls != before

    def moves_with(self, view: ControlView) -> bool:
        """
        Tell whether anybody has joined, or anything was changed, between what was read last and this.
        """
        return (view.epoch, view.joins) != (self.view.epoch, self.view.joins)

    def knob(self, name: str, default: Any, *, key: Any) -> Any:
        """
        Return a knob's value for a key, or *default* where nobody has turned it.
        """
        knob = self.view.knobs.get(name)
        return default if knob is None else knob.value_for(key, default)
