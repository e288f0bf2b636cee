"""
What the server says of writes that it refused, without the values that it quotes.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import BulkWriteError

from docstore.errors import StoreError, StoreUnavailableError
from docstore.mongo.failures import LATER, rejected
from docstore.mongo.row_writer import Inserted

_DUPLICATE_KEY: Final = 11000


def unique_index(details: Mapping[str, Any] | None) -> str | None:
    """
    Return the name of the unique index; the text around it holds values and goes nowhere.
    """
    found = re.search(r" index: (\S+) dup key", str((details or {}).get("errmsg", "")))
    return found[1] if found else None


def partly_inserted(error: BulkWriteError, everything: frozenset[int], *, ordered: bool) -> Inserted:
    """
    Return what an insert of several rows did of which the server refused some.

    Raises:
        StoreUnavailableError: The rows are there, but the write concern was not met.
    """
    faults: list[dict[str, Any]] = list((error.details or {}).get("writeErrors", []))
    if not faults:
        # Only the write concern failed: the rows are there, and nobody knows for how long.
        raise StoreUnavailableError(reason="the write concern was not met") from error
    positions = {int(fault["index"]) for fault in faults}
    first = min(positions)
    stored = {place for place in everything if place < first} if ordered else everything - positions
    duplicates = {int(fault["index"]): unique_index(fault) for fault in faults if fault.get("code") == _DUPLICATE_KEY}
    refusals = {int(fault["index"]): refusal_of(fault) for fault in faults if fault.get("code") != _DUPLICATE_KEY}
    return Inserted(stored=frozenset(stored), duplicates=duplicates, refusals=refusals)


def refusal_of(fault: Mapping[str, Any]) -> StoreError:
    """
    Return the error for one of the writes of a command that the server did not carry out.
    """
    if fault.get("code") in LATER:
        return StoreUnavailableError(reason=f"the server gave up a write (code {fault['code']})")
    return rejected(fault, reason="it does not store the row")
