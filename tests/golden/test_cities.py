"""
The sample rows of `upgraders/city`, and real places, up and down the chain.
"""

from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from pymongo.asynchronous.database import AsyncDatabase

from docstore.core.bson_values import RawDocument, encode
from docstore.demo.cities import read_places
from docstore.testing import check_round_trip, check_samples, compare_paths
from upgraders.city import City, city

SAMPLES = Path(__file__).parents[2] / "upgraders" / "city" / "samples"
VERSIONS = range(1, 7)
NAMES = sorted(path.stem for path in (SAMPLES / "v0001").glob("*.json"))
STRIDE = 100  # every hundredth place is enough for every run


def sample(version: int, name: str) -> RawDocument:
    text = (SAMPLES / f"v{version:04d}" / f"{name}.json").read_text(encoding="utf-8")
    row: RawDocument = json_util.loads(text)
    return row


def without(field: str, row: RawDocument) -> RawDocument:
    return {key: row[key] for key in sorted(row) if key != field}


@pytest.fixture(scope="module")
def places() -> list[RawDocument]:
    return read_places()[::STRIDE]


def test_samples_of_every_version_show_the_same_cities() -> None:
    assert len(NAMES) == 7
    for version in VERSIONS:
        folder = SAMPLES / f"v{version:04d}"
        assert sorted(path.stem for path in folder.glob("*.json")) == NAMES
    assert city.latest == VERSIONS[-1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_upgrade_of_a_sample_gives_the_next_sample_byte_for_byte(version: int, name: str) -> None:
    upgraded = city.upgrade(sample(version, name), to=version + 1)

    assert encode(upgraded) == encode(sample(version + 1, name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", VERSIONS[1:-1])
def test_downgrade_of_a_sample_gives_the_values_of_the_sample_before(version: int, name: str) -> None:
    downgraded = city.downgrade(sample(version, name), to=version - 1)

    assert encode(without("", downgraded)) == encode(without("", sample(version - 1, name)))


@pytest.mark.parametrize("name", NAMES)
def test_downgrade_of_version_6_rebuilds_alternatenames_from_all_names(name: str) -> None:
    before, after = sample(5, name), sample(6, name)

    downgraded = city.downgrade(after, to=5)

    assert downgraded["alternatenames"] == after["names"]
    assert set(downgraded["alternatenames"]) >= set(before["alternatenames"])
    assert encode(without("alternatenames", downgraded)) == encode(without("alternatenames", before))


@pytest.mark.parametrize("name", NAMES)
def test_untagged_sample_is_read_as_version_1(name: str) -> None:
    untagged = without("schema_version", sample(1, name))

    assert encode(without("", city.upgrade(untagged))) == encode(without("", sample(6, name)))


@pytest.mark.parametrize("name", NAMES)
async def test_sample_upgraded_inside_the_server_is_the_sample_of_version_4(
    name: str, database: AsyncDatabase[dict[str, Any]]
) -> None:
    compiled = city.compile(1, to=4)
    row = sample(1, name)
    await database.cities.insert_one(row)

    result = await database.cities.update_one({"_id": row["_id"], "$expr": compiled.condition}, compiled.pipeline)

    stored = await database.cities.find_one({"_id": row["_id"]})
    assert result.modified_count == 1
    assert stored is not None
    assert encode(stored) == encode(sample(4, name))


@pytest.mark.parametrize("name", NAMES)
def test_sample_of_the_latest_version_fits_the_model(name: str) -> None:
    row = sample(6, name)

    read = City.model_validate(row)

    assert read.names[0] == read.name
    assert read.location.coordinates == tuple(row["location"]["coordinates"])
    assert "" not in read.search_keys


def test_real_places_come_back_exactly_from_the_version_before_the_contract(places: list[RawDocument]) -> None:
    for place in places:
        back = city.downgrade(city.upgrade(place, to=5), to=1)
        assert encode(without("", back)) == encode(without("", {**place, "schema_version": 1}))


def test_real_places_are_the_same_after_down_and_up_again(places: list[RawDocument]) -> None:
    for place in places:
        up = city.upgrade(place)
        for version in VERSIONS:
            assert encode(city.upgrade(city.downgrade(up, to=version))) == encode(up)


@pytest.mark.parametrize(("source", "target"), [(1, 4), (4, 1), (2, 4), (5, 6), (6, 5)])
async def test_real_places_come_out_of_the_server_as_they_come_out_of_python(
    source: int, target: int, places: list[RawDocument], database: AsyncDatabase[dict[str, Any]]
) -> None:
    rows = [city.upgrade(place, to=source) for place in places]

    comparison = await compare_paths(database, city, rows, to=target)

    comparison.require_same()
    assert comparison.server_share == 1.0


def test_users_own_checks_pass_on_cities(places: list[RawDocument]) -> None:
    assert check_samples(city, SAMPLES) == len(NAMES) * len(VERSIONS)
    assert check_round_trip(city, places, to=5) == len(places)


def test_real_places_fit_the_model(places: list[RawDocument]) -> None:
    for place in places:
        read = City.model_validate(city.upgrade(place))
        assert read.id == place["_id"]
        assert read.location.coordinates == (place["longitude"], place["latitude"])
        assert read.search_keys


def test_fields_that_no_step_knows_survive_the_whole_way() -> None:
    row = {**sample(1, "vila"), "visits": bson.Int64(5), "note": {"by": ["a"]}}

    up = city.upgrade(row)
    back = city.downgrade(up, to=1)

    for changed in (up, back):
        assert type(changed["visits"]) is bson.Int64
        assert changed["note"] == {"by": ["a"]}
