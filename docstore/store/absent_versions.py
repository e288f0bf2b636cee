"""
When queries may rely on it that no row can stand at a version, instead of looking.
"""

from collections.abc import Callable
from typing import TypeAlias

from docstore.core.absence import UNWATCHED, Absence
from docstore.mongo.driver import AnySession
from docstore.mongo.reading import RowSource

#: Tells at which versions no row of a kind can stand now; makes no call.
KnownAbsence: TypeAlias = Callable[[], Absence]

_EARLIER: Absence = Absence("the session reads the rows of an earlier moment")
_BEHIND: Absence = Absence("a secondary may hold rows that the primary has no more")


def unwatched() -> Absence:
    """Return that nothing is known."""
    return UNWATCHED


def absence_for(known: KnownAbsence, source: RowSource, session: AnySession | None) -> Absence:
    """Return at which versions a read of these rows, in this session, can meet no row."""
    if session is not None and (session.in_transaction or session.options.snapshot):
        return _EARLIER
    return known() if source.reads_primary else _BEHIND
