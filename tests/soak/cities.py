"""
Cities at every version, as many as are wanted, and what each of them has to be in the end.
"""

from collections.abc import Sequence
from typing import Any, Final

from docstore.core.bson_values import RawDocument, encode
from upgraders.city import city

TAG: Final = city.version_field
#: Fields that no step touches; the writers have them for themselves.
WRITTEN: Final = ("visits", "note")


class Cities:
    """
    Real cities, repeated with new ids: the city with an id is always the same one, whatever its version.

    Args:
        places: Rows of version 1 without a tag.
        target: The version at which every row has to stand in the end.
    """

    def __init__(self, places: Sequence[RawDocument], *, target: int) -> None:
        self._places = places
        self.target = target
        self._final: dict[int, bytes] = {}

    def row(self, number: int, version: int | None) -> RawDocument:
        """
        Return a city as a version stores it; None stands for a row without a tag, which is at version 1.
        """
        place = self._places[number % len(self._places)]
        if version is None:
            return {**place, "_id": number}
        return city.upgrade({**place, "_id": number, TAG: 1}, to=version)

    def old(self, number: int) -> RawDocument:
        """
        Return a city at one of the versions below the target: most at the first, some later or without a tag.
        """
        return self.row(number, {0: None, 1: 2, 2: 3}.get(number % 10, 1))

    def is_final(self, row: RawDocument) -> bool:
        """
        Tell whether a row is, the writers' own fields apart, exactly what the steps make of its city.
        """
        place = row["_id"] % len(self._places)
        if place not in self._final:
            self._final[place] = _plain(self.row(place, self.target))
        return _plain(row) == self._final[place]


def _plain(row: RawDocument) -> bytes:
    # Bytes, because 1 equals 1.0 and True; the order of the fields is left to whoever writes them.
    fields: dict[str, Any] = {name: row[name] for name in sorted(row) if name not in {"_id", *WRITTEN}}
    return encode(fields)
