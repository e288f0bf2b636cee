"""
A comparer that misses a lost write would be worse than none: whatever is planted here has to be found.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from bson.int64 import Int64
from pydantic import Field

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import encode
from docstore.core.residue import RESIDUE
from docstore.core.write_version import VersionRange
from docstore.drill.comparing import Comparison, Demands, Fault, FaultKind, compare
from docstore.drill.journal import COUNT, REVISION, WENT_BACK, Act, Entry
from docstore.store.rows import RowReader


class Shop(Document):
    name: str
    rating: int = 0
    stock: int = 0
    at: dict[str, Any] = Field(default_factory=dict)


shop = Kind(
    "shop",
    collection="shops",
    model=Shop,
    steps=[Step(ops.RenameField("title", "name"), to=2), Step(ops.AddField("rating", 0), to=3)],
)
START = [
    {"_id": 1, "schema_version": 2, "name": "Oslo", "stock": 5, "at": {"x": 1, "y": 2}},
    {"_id": 2, "schema_version": 1, "title": "Rome", "stock": 1, "at": {}},
]
ALL = VersionRange(1, 3)
#: What two nodes did to row 1: the old one changes what the older shape has, the new one what only the newer one has.
WRITES = [
    Entry("new", Act.CHANGE, 1, 3, 1, {"rating": 0}, {"rating": 4}),
    Entry("old", Act.SET, 1, 2, 2, after={"name": "Bergen"}),
    Entry("old", Act.ADD, 1, 2, 3, after={"stock": 2}),
    Entry("new", Act.COUNT, 1, 3, after={COUNT: 7}),
    Entry("old", Act.INSERT, 3, 2, 1, after={"name": "Turku", "stock": 0, "at": {}}),
    Entry("new", Act.INSERT, 4, 3, 1, after={"name": "Kiel", "rating": 1, "stock": 0, "at": {}}),
    Entry("new", Act.DELETE, 4, 3),
]


def stored() -> dict[int, dict[str, Any]]:
    """
    The rows as they have to be after `WRITES`.
    """
    rows: list[dict[str, Any]] = [
        {
            "_id": 1,
            "schema_version": 3,
            "name": "Bergen",
            "stock": 7,
            "at": {"x": 1, "y": 2},
            "rating": 4,
            REVISION: 3,
            COUNT: 7,
        },
        {"_id": 2, "schema_version": 3, "name": "Rome", "stock": 1, "at": {}, "rating": 0},
        {"_id": 3, "schema_version": 3, "name": "Turku", "stock": 0, "at": {}, "rating": 0, REVISION: 1},
    ]
    return {row["_id"]: row for row in rows}


def compared(
    rows: dict[int, dict[str, Any]],
    entries: Iterable[Entry] = WRITES,
    *,
    readable: VersionRange = ALL,
    settled: VersionRange = ALL,
) -> Comparison:
    reader: RowReader[Shop] = RowReader(shop)
    return compare(
        shop,
        START,
        entries,
        rows.values(),
        demands=Demands(readable, settled),
        read=lambda row: reader.read(encode(row)),
    )


def test_rows_that_hold_every_acknowledged_write_are_free_of_faults() -> None:
    assert compared(stored()) == Comparison(rows=3, writes=7, faults=(), uncertain=0)


def test_the_same_rows_stored_below_latest_with_residue_are_free_of_faults() -> None:
    rows = {key: shop.lower(row, to=2) for key, row in stored().items()}

    assert RESIDUE in rows[1]
    assert compared(rows, settled=VersionRange(1, 2)).faults == ()


def plant(**fields: Any) -> Callable[[dict[int, dict[str, Any]]], None]:
    return lambda rows: rows[1].update(fields)


PLANTED: dict[str, tuple[Callable[[dict[int, dict[str, Any]]], Any], Fault]] = {
    "the last write of a row is undone": (
        plant(stock=5, **{REVISION: 2}),
        Fault(FaultKind.LOST_WRITE, "1", "1 of 3 writes"),
    ),
    "a value is that of an earlier write": (plant(name="Oslo"), Fault(FaultKind.WRONG_VALUE, "1", "name")),
    "an increment is undone": (plant(**{COUNT: 6}), Fault(FaultKind.WRONG_COUNT, "1", f"{COUNT}: -1")),
    "an increment is made twice": (plant(**{COUNT: 14}), Fault(FaultKind.WRONG_COUNT, "1", f"{COUNT}: +7")),
    "a write is made twice": (plant(**{REVISION: 4}), Fault(FaultKind.UNKNOWN_WRITE, "1", "1 writes")),
    "a field is stripped": (lambda rows: rows[1].pop("stock"), Fault(FaultKind.STRIPPED_FIELD, "1", "stock")),
    "a nested field is stripped": (plant(at={"y": 2}), Fault(FaultKind.STRIPPED_FIELD, "1", "at.x")),
    "what only the newer shape has is gone": (plant(rating=0), Fault(FaultKind.WRONG_VALUE, "1", "rating")),
    "a field comes from nowhere": (plant(odd=1), Fault(FaultKind.EXTRA_FIELD, "1", "odd")),
    "a value has another BSON type": (plant(stock=Int64(7)), Fault(FaultKind.WRONG_VALUE, "1", "stock")),
    "a row is gone that was there before": (lambda rows: rows.pop(2), Fault(FaultKind.LOST_ROW, "2")),
    "a row is gone that was inserted": (lambda rows: rows.pop(3), Fault(FaultKind.LOST_ROW, "3")),
    "a deleted row is there again": (
        lambda rows: rows.update({4: {**rows[3], "_id": 4}}),
        Fault(FaultKind.RESURRECTED_ROW, "4"),
    ),
    "a row is there that nobody inserted": (
        lambda rows: rows.update({5: {**rows[3], "_id": 5}}),
        Fault(FaultKind.UNKNOWN_ROW, "5"),
    ),
    "a row stands above what is read": (
        plant(schema_version=4),
        Fault(FaultKind.UNREADABLE_VERSION, "1", "version 4"),
    ),
    "a row has lost its tag": (
        lambda rows: rows[1].pop("schema_version"),
        Fault(FaultKind.UNREADABLE_VERSION, "1", "no version"),
    ),
    "a row does not fit the model": (plant(name=3), Fault(FaultKind.UNREADABLE_ROW, "1", "InvalidDocumentError")),
    "a row at latest keeps a residue": (plant(**{RESIDUE: {}}), Fault(FaultKind.LEFTOVER_RESIDUE, "1")),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_fault_is_found_and_no_other(what: str) -> None:
    do, fault = PLANTED[what]
    rows = stored()
    do(rows)

    assert fault in compared(rows).faults
    assert {each.id for each in compared(rows).faults} == {fault.id}


def test_two_writes_that_were_told_the_same_number_are_a_lost_write() -> None:
    twice = Entry("new", Act.SET, 1, 3, 2, after={"at": {}})

    faults = compared(stored(), [*WRITES, twice]).faults

    assert faults == (Fault(FaultKind.LOST_WRITE, "1", "write 2 was acknowledged twice"),)


def test_a_number_that_no_node_was_told_is_a_write_from_elsewhere() -> None:
    faults = compared(stored(), [entry for entry in WRITES if entry.revision != 2]).faults

    assert faults == (Fault(FaultKind.UNKNOWN_WRITE, "1", "1 writes"),)


def test_every_single_acknowledged_write_is_missed_when_the_rows_lack_it() -> None:
    """
    The rows are those after all writes but one: whichever is left out is told to be lost.
    """
    fields = ["rating", "name", "stock"]
    for number, name in enumerate(fields):
        rows = stored()
        rows[1][REVISION] = 2
        rows[1][name] = {"rating": 0, "name": "Oslo", "stock": 5}[name]
        kinds = {fault.kind for fault in compared(rows).faults}
        assert kinds == {FaultKind.LOST_WRITE, FaultKind.WRONG_VALUE}, number


def test_a_row_at_a_version_that_one_of_the_nodes_cannot_read_is_a_fault() -> None:
    faults = compared(stored(), readable=VersionRange(1, 2)).faults

    assert {(fault.kind, fault.id) for fault in faults} == {(FaultKind.UNREADABLE_VERSION, each) for each in "123"}


def test_a_row_that_a_finished_backfill_left_behind_is_a_fault() -> None:
    rows = stored()
    rows[2] = START[1]

    assert compared(rows, settled=VersionRange(3, 3)).faults == (Fault(FaultKind.WRONG_VERSION, "2", "version 1"),)


@pytest.mark.parametrize("happened", [True, False])
def test_a_write_of_unknown_outcome_is_a_fault_in_neither_case(*, happened: bool) -> None:
    doubtful = [*WRITES, Entry("new", Act.SET, 1, 3, after={"name": "Ulm"}, doubtful=True)]
    rows = stored()
    if happened:
        plant(name="Ulm", **{REVISION: 4})(rows)

    assert compared(rows, doubtful) == Comparison(rows=3, writes=7, faults=(), uncertain=1)


def test_a_lost_write_is_found_beside_one_of_unknown_outcome() -> None:
    doubtful = [*WRITES, Entry("new", Act.SET, 1, 3, after={"name": "Ulm"}, doubtful=True)]
    rows = stored()
    plant(name="Oslo", **{REVISION: 1})(rows)

    assert compared(rows, doubtful).faults == (Fault(FaultKind.LOST_WRITE, "1", "2 of 3 writes"),)


@pytest.mark.parametrize("there", [True, False])
def test_a_deletion_and_an_insert_of_unknown_outcome_are_faults_in_neither_case(*, there: bool) -> None:
    entries = [
        *WRITES,
        Entry("new", Act.DELETE, 3, 3, doubtful=True),
        Entry("new", Act.INSERT, 6, 3, 1, after={"name": "Ulm"}, doubtful=True),
    ]
    rows = stored()
    if there:
        rows[6] = {"_id": 6, "schema_version": 3, "name": "Ulm", REVISION: 1}
    else:
        del rows[3]

    assert compared(rows, entries).faults == ()


def test_what_a_node_could_not_read_is_a_fault() -> None:
    seen = [
        Entry("old", Act.SAW, 1, 2, fault="NewerVersionError"),
        Entry("new", Act.SAW, 2, 3, fault=WENT_BACK),
    ]

    assert compared(stored(), [*WRITES, *seen]).faults == (
        Fault(FaultKind.READ_FAILED, "1", "old: NewerVersionError"),
        Fault(FaultKind.READ_WENT_BACK, "2", "new"),
    )


def test_a_change_of_the_old_shape_keeps_what_only_the_newer_shape_has_within_a_document() -> None:
    nested = Kind("shop", collection="shops", model=Shop, steps=[Step(ops.AddField("at.z", 0), to=2)])
    start = [{"_id": 1, "schema_version": 1, "name": "Oslo", "at": {"x": 1}}]
    entries = [
        Entry("new", Act.SET, 1, 2, 1, after={"at": {"x": 1, "z": 9}}),
        Entry("old", Act.CHANGE, 1, 1, 2, {"at": {"x": 1}}, {"at": {"x": 5}}),
    ]
    row = {"_id": 1, "schema_version": 2, "name": "Oslo", "at": {"x": 5, "z": 9}, REVISION: 2}
    demands = Demands(VersionRange(1, 2), VersionRange(1, 2))

    good = compare(nested, start, entries, [row], demands=demands, read=lambda _: None)
    bad = compare(nested, start, entries, [{**row, "at": {"x": 5, "z": 0}}], demands=demands, read=lambda _: None)

    assert good.faults == ()
    assert bad.faults == (Fault(FaultKind.WRONG_VALUE, "1", "at.z"),)


def test_entries_in_any_order_say_the_same() -> None:
    assert compared(stored(), reversed(WRITES)) == compared(stored())
    assert compared(stored(), [replace(entry) for entry in sorted(WRITES, key=lambda each: each.node)]).faults == ()
