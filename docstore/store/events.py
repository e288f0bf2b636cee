"""
What a store logs of itself when it joins the fleet. No event carries the value of a document's field.
"""

from typing import Final

import structlog

_log: Final = structlog.get_logger("docstore.store")


def kind_is_read_only(*, kind: str, write_version: int, latest: int, step: int | None) -> None:
    """
    Rows of the kind are to be stored below a step that has no way back: every write is refused until the flip.
    """
    _log.warning("kind_is_read_only", kind=kind, write_version=write_version, latest=latest, step=step)
