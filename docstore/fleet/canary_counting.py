"""
What one process has seen of rows at a canary's version.
"""

from docstore.core.abort_rule import CanaryFigures
from docstore.core.write_version import ControlState


class CanaryCounting:
    """
    Counts operations on rows at the canary's version, from the moment at which this process hears of the canary.
    """

    def __init__(self) -> None:
        self._figures: dict[str, CanaryFigures] = {}

    def observed(self, control: ControlState, version: int, *, failed: bool) -> None:
        """
        Count an operation on a row of a version; nothing where that is not the version of an open canary.
        """
        canary = control.canary
        if canary is None or version != canary.version:
            return
        so_far = self._of(control.kind, canary.began)
        counted = CanaryFigures(canary.began, so_far.operations + 1, so_far.failures + failed)
        self._figures[control.kind] = counted

    def figures(self, control: ControlState) -> CanaryFigures | None:
        """
        Return what was counted of a kind's canary; None where none is open.
        """
        return None if control.canary is None else self._of(control.kind, control.canary.began)

    def _of(self, kind: str, began: int) -> CanaryFigures:
        figures = self._figures.get(kind)
        return figures if figures is not None and figures.began == began else CanaryFigures(began)
