"""
The formats of docstore's own records: which number is written, and which are read.

Releases that stand next to each other work with the same records at the same time. So a release may add fields to a
record, and values that others need not understand: whoever does not know them leaves them as they are. What others
have to understand raises the number, in two releases: the first one reads it, the next one writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from docstore.errors import RecordFormatError


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """
    The format of the records of one collection.
    """

    #: The field of a record that holds the number.
    field: str
    written: int = 1
    read: frozenset[int] = frozenset({1})

    @property
    def known(self) -> dict[str, Any]:
        """
        What holds of the records that this release may change, as a filter.
        """
        return {self.field: {"$in": sorted(self.read)}}

    @property
    def unknown(self) -> dict[str, Any]:
        """
        What holds of all others, as a filter.
        """
        return {self.field: {"$nin": sorted(self.read)}}

    def check(self, record: str, stored: Mapping[str, Any]) -> None:
        """
        Return if this release reads a record.

        Args:
            record: What to call it; no value of a row.
            stored: Its document.

        Raises:
            RecordFormatError: It does not.
        """
        found = stored.get(self.field)
        # `type`, because True equals 1.
        if type(found) is bool or found not in self.read:
            raise RecordFormatError(record=record, found=found, known=self.written)


CONTROL: Final = RecordFormat("format")
NODE: Final = RecordFormat("format")
RUN: Final = RecordFormat("schema_version")
BATCH: Final = RecordFormat("schema_version")
SELECTION: Final = RecordFormat("schema_version")
QUARANTINE: Final = RecordFormat("schema_version")
HISTORY: Final = RecordFormat("schema_version")
COVERAGE: Final = RecordFormat("schema_version")


def known_fields(cls: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return those fields of a document that a dataclass has; others are of another release, and none of our business.
    """
    return {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
