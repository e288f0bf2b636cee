"""
Which rows the demo loads.
"""

from collections import Counter

import pytest

from docstore.core.bson_values import RawDocument, encode
from docstore.demo.cities import SHOWN, as_stored, read_places, spread
from upgraders.city import city


@pytest.fixture(scope="module")
def places() -> list[RawDocument]:
    return read_places()


def test_all_places_are_read_with_their_geonameid_as_id(places: list[RawDocument]) -> None:
    assert len(places) == 234_908
    assert len({place["_id"] for place in places}) == len(places)
    assert not any("geonameid" in place for place in places)


@pytest.mark.parametrize("rows", [2, 1000, 234_908, 300_000])
def test_spread_chooses_that_many_different_places_the_shown_one_first(places: list[RawDocument], rows: int) -> None:
    chosen = spread(places, rows)

    assert len({place["_id"] for place in chosen}) == len(chosen) == min(rows, len(places))
    assert chosen[0]["_id"] == SHOWN


def test_rows_are_stored_at_four_versions_in_equal_parts_the_same_ones_every_time(places: list[RawDocument]) -> None:
    chosen = spread(places, 1000)

    stored = list(as_stored(chosen, city))

    assert Counter(row["schema_version"] for row in stored) == {1: 250, 2: 250, 3: 250, 4: 250}
    assert stored[0]["schema_version"] == 1
    assert [encode(row) for row in as_stored(spread(places, 1000), city)] == [encode(row) for row in stored]
