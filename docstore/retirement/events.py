"""
What is logged of a retirement.
"""

from typing import Final

import structlog

_log: Final = structlog.get_logger("docstore.retirement")


def begun(*, kind: str, below: int, fenced: bool) -> None:
    """
    Tell that a retirement was begun, which somebody has to finish or to undo.
    """
    _log.info("retirement_begun", kind=kind, below=below, fenced=fenced)


def recorded(*, kind: str, below: int, rows: int, fenced: bool) -> None:
    """
    Tell that a floor was recorded, after so many rows were counted.
    """
    _log.info("floor_recorded", kind=kind, below=below, rows=rows, fenced=fenced)


def undone(*, kind: str, below: int) -> None:
    """
    Tell that a retirement was put back.
    """
    _log.info("retirement_undone", kind=kind, below=below)
