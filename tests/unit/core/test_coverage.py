import datetime
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from docstore import Document, Kind, Step
from docstore.core.coverage import ClientVersion, Coverage, TagCount, coverage_of, rows_below
from docstore.core.remaining_rows import remaining_rows

NOW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


def kind(*, latest: int = 4, floor: int = 1, baseline: int = 1, detect: Any = None) -> Kind[Document]:
    steps = [Step(to=version, upgrade=dict) for version in range(floor + 1, latest + 1)]
    return Kind("note", collection="notes", model=Document, steps=steps, floor=floor, baseline=baseline, detect=detect)


def report(of: Kind[Document], *counts: tuple[str, Any, int], quarantined: int = 0, exact: bool = True) -> Coverage:
    tags = [TagCount(type=type_, value=value, rows=rows) for type_, value, rows in counts]
    return coverage_of(of, tags, quarantined=quarantined, counted_at=NOW, exact=exact)


def versions(coverage: Coverage) -> dict[int, int]:
    return {count.version: count.rows for count in coverage.versions}


def test_an_empty_collection_is_covered_and_may_be_retired_up_to_latest() -> None:
    empty = report(kind())

    assert empty.coverage == 1.0
    assert empty.total == 0
    assert empty.retirable_below == 4
    assert empty.blockers == ()


def test_numbers_of_every_type_count_for_one_version() -> None:
    counted = report(kind(), ("int", 3, 2), ("long", Int64(3), 4), ("double", 3.0, 8), ("double", 4.0, 1))

    assert versions(counted) == {3: 14, 4: 1}
    assert counted.unreadable == 0
    assert counted.coverage == 1 / 15


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int", 0),
        ("int", -1),
        ("double", 1.5),
        ("double", float("nan")),
        ("double", float("inf")),
        ("decimal", Decimal128("1")),
        ("string", None),
        ("array", None),
        ("bool", None),
        ("object", None),
    ],
)
def test_a_tag_that_is_no_positive_integer_is_unreadable_and_blocks(type_: str, value: Any) -> None:
    counted = report(kind(), (type_, value, 2), ("int", 4, 1))

    assert counted.unreadable == 2
    assert versions(counted) == {4: 1}
    assert counted.total == 3
    assert counted.retirable_below is None
    assert counted.blockers == ("2 rows whose tag is no positive integer",)


@pytest.mark.parametrize("type_", ["missing", "null", "undefined"])
def test_a_row_without_a_tag_is_untagged_and_blocks(type_: str) -> None:
    counted = report(kind(), (type_, None, 1), ("int", 4, 1))

    assert counted.untagged == 1
    assert counted.coverage == 0.5
    assert counted.retirable_below is None
    assert counted.blockers == ("1 row without a tag",)


def test_untagged_rows_are_covered_when_the_baseline_is_the_latest() -> None:
    counted = report(kind(latest=1), ("missing", None, 3))

    assert counted.coverage == 1.0
    assert counted.blockers == ()


def test_newer_rows_are_in_versions_too_and_do_not_block() -> None:
    counted = report(kind(), ("int", 4, 3), ("int", 5, 1), ("long", 7, 1))

    assert versions(counted) == {4: 3, 5: 1, 7: 1}
    assert counted.newer == 2
    assert counted.coverage == 3 / 5
    assert counted.retirable_below == 4
    assert counted.blockers == ()


def test_what_may_be_retired_is_bounded_by_the_lowest_row() -> None:
    assert report(kind(), ("int", 3, 1), ("int", 4, 9)).retirable_below == 3
    assert report(kind(floor=3), ("int", 3, 1), ("int", 4, 9)).retirable_below is None
    assert report(kind(floor=3), ("int", 2, 1), ("int", 4, 9)).retirable_below is None


def test_rows_below_the_floor_are_named_so() -> None:
    counted = report(kind(floor=2), ("int", 1, 1_500), ("int", 3, 1))

    assert counted.blockers == ("1,500 rows at version 1, below the floor", "1 row at version 3")


def test_a_quarantined_row_blocks_even_if_it_stands_high_enough() -> None:
    counted = report(kind(), ("int", 4, 1), quarantined=1)

    assert counted.quarantined == 1
    assert counted.retirable_below is None
    assert counted.blockers == ("1 row in quarantine",)


def test_rows_below_a_version_include_those_of_which_nobody_knows() -> None:
    tags = [("int", 1, 1), ("int", 3, 2), ("int", 9, 4), ("missing", None, 8), ("string", None, 16)]
    plain, guessed = kind(), kind(detect=lambda _: 1)

    assert rows_below(plain, report(plain, *tags), 3) == 1 + 8 + 16
    assert rows_below(plain, report(plain, *tags), 1) == 16
    assert rows_below(guessed, report(guessed, *tags), 1) == 8 + 16


def test_the_json_has_exactly_the_fields_that_programs_rely_on() -> None:
    assert list(report(kind(), ("int", 4, 1)).model_dump(mode="json")) == [
        "kind",
        "collection",
        "latest",
        "floor",
        "write_version",
        "total",
        "versions",
        "untagged",
        "unreadable",
        "newer",
        "quarantined",
        "coverage",
        "counted_at",
        "exact",
        "retirable_below",
        "blockers",
        "client_versions",
        "recorded_floor",
        "bypassed",
        "remaining",
        "doubles",
        "oldest_below",
    ]


def asked(version: int, asks: int = 3) -> ClientVersion:
    return ClientVersion(version=version, asks=asks, last_asked=NOW)


def test_a_version_that_clients_ask_for_is_not_retired_and_said_to_stand_in_the_way() -> None:
    counted = coverage_of(
        kind(), [TagCount("int", 4, 5)], quarantined=0, counted_at=NOW, exact=True, client_versions=[asked(3), asked(2)]
    )

    assert counted.retirable_below == 2
    assert counted.blockers == (
        "clients asked for version 2, last on 2026-01-02",
        "clients asked for version 3, last on 2026-01-02",
    )
    assert [client.version for client in counted.client_versions] == [2, 3]


def test_versions_at_latest_and_below_the_floor_stand_in_nobodys_way() -> None:
    of = kind(floor=2)
    counted = coverage_of(
        of, [], quarantined=0, counted_at=NOW, exact=True, client_versions=[asked(1), asked(4), asked(9)]
    )

    assert counted.client_versions == ()
    assert counted.retirable_below == 4
    assert counted.blockers == ()


def test_nothing_can_be_retired_while_clients_ask_for_the_floor() -> None:
    counted = coverage_of(kind(), [], quarantined=0, counted_at=NOW, exact=True, client_versions=[asked(1)])

    assert counted.retirable_below is None


def test_what_remains_is_what_stands_below_latest_or_may_stand_there() -> None:
    counts = [
        ("int", 1, 2),
        ("int", 4, 3),
        ("int", 5, 1),
        ("missing", None, 4),
        ("string", None, 1),
        ("double", 4.0, 1),
    ]

    counted = report(kind(), *counts)
    at_baseline = report(kind(latest=2, floor=2, baseline=2), ("missing", None, 4))

    assert (counted.remaining, counted.doubles) == (7, 1)
    assert at_baseline.remaining == 0
    left = remaining_rows(kind(), counted)
    assert (left.remaining, left.untagged, left.unreadable) == (7, 4, 1)
    assert [(count.version, count.rows) for count in left.versions] == [(1, 2)]
