"""
The formats of docstore's own records.
"""

import datetime
from dataclasses import dataclass
from typing import Any

import pytest
from bson.objectid import ObjectId

from docstore.core.batch_record import BatchRecord
from docstore.core.control_view import ControlView, Knob, reader_record
from docstore.core.direction import Direction
from docstore.core.fleet_facts import DeclaredReader, NodeFacts, NodeKind, Policy
from docstore.core.node_record import node_of, node_record
from docstore.core.record_format import RecordFormat, known_fields
from docstore.core.run_record import RunOptions, RunRecord, new_run
from docstore.core.selected_rows import SelectedRows
from docstore.core.write_version import ControlState, VersionRange
from docstore.errors import RecordFormatError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SELECTED = SelectedRows(ObjectId(), 3, 3, random=False, mark="m")
UNKNOWN = {"of_the_next_release": {"a": 1}}


def run_document(**fields: Any) -> dict[str, Any]:
    run = new_run(
        id="place-1",
        kind="place",
        collection="places",
        target=2,
        direction=Direction.UP,
        options=RunOptions(),
        fingerprints={},
        selection=SELECTED,
        by="a test",
    )
    return {**run, "state": "running", "state_reason": "", "created": NOW, "now": NOW, **fields}


def batch_document(**fields: Any) -> dict[str, Any]:
    key = {"run": "place-1", "seq": 7, "part": "01"}
    batch = {"schema_version": 1, "task": "rows", "pass": 1, "version": 1, "range": {}, "size": 5, "token": 1}
    return {"_id": key, **batch, "tries": 0, **fields}


def node_document(**fields: Any) -> dict[str, Any]:
    kinds = {"place": NodeKind(1, 3, 3, 2, {"2": "step-2"}, 4)}
    node = NodeFacts("n1", "api", "a", "host", 1, "0.1.0", Policy.ENFORCE, kinds, True, NOW, NOW, 0.0, 10.0)
    return {"_id": "n1", **node_record(node), "started": NOW, "seen": NOW, **fields}


@pytest.mark.parametrize("found", [0, 2, None, "1", True, 1.5])
def test_only_known_numbers_are_read(found: object) -> None:
    with pytest.raises(RecordFormatError) as caught:
        RecordFormat("format").check("thing 7", {"format": found})

    assert (caught.value.record, caught.value.found, caught.value.known) == ("thing 7", found, 1)
    with pytest.raises(RecordFormatError):
        RecordFormat("format").check("thing 7", {})


def test_a_release_may_read_more_formats_than_it_writes() -> None:
    changing = RecordFormat("format", written=1, read=frozenset({1, 2}))

    changing.check("thing", {"format": 2})

    assert changing.known == {"format": {"$in": [1, 2]}}
    assert changing.unknown == {"format": {"$nin": [1, 2]}}


def test_runs_of_an_unknown_format_are_refused_by_name() -> None:
    with pytest.raises(RecordFormatError, match="run place-1 has format 2"):
        RunRecord.of(run_document(schema_version=2))


def test_batches_of_an_unknown_format_are_refused_by_name() -> None:
    with pytest.raises(RecordFormatError, match="batch place-1/701 has format 2"):
        BatchRecord.of(batch_document(schema_version=2))


def test_a_run_reads_the_same_with_fields_of_the_next_release_in_all_its_parts() -> None:
    change = {"name": "rate", "value": 5.0, "until": NOW + datetime.timedelta(seconds=9)}
    hold = {"reason": "r", "detail": "d", "since": NOW, "until": NOW}
    worker = {"id": "w", "host": "h", "pid": 1, "seen": NOW}
    plain = run_document(changes=[change], hold=hold, workers=[worker])

    extended = {
        **plain,
        **UNKNOWN,
        "changes": [change | UNKNOWN],
        "hold": hold | UNKNOWN,
        "workers": [worker | UNKNOWN],
    }
    extended |= {name: plain[name] | UNKNOWN for name in ("options", "selection", "cursor")}

    assert RunRecord.of(extended) == RunRecord.of(plain)
    assert RunRecord.of(extended).options.rate == 5.0
    assert RunRecord.of(extended).selection == SELECTED


def test_batches_and_nodes_read_the_same_with_fields_of_the_next_release() -> None:
    assert BatchRecord.of(batch_document(**UNKNOWN)) == BatchRecord.of(batch_document())

    plain = node_document()
    extended = {**plain, **UNKNOWN, "kinds": [kind | UNKNOWN for kind in plain["kinds"]]}

    assert plain["kinds"]
    assert node_of(extended, now=NOW) == node_of(plain, now=NOW)


def test_control_records_read_the_same_with_fields_of_the_next_release() -> None:
    state, knob = ControlState("place", 2, 4), Knob("search", 1, 100.0, 2)
    reader = reader_record(DeclaredReader("nightly", "place", VersionRange(1, 2), by="me"))
    freeze = {"by": "me", "why": "incident", "at": NOW}
    change = {"epoch": 4, "id": "kind:place", "document": state.stored(), "entry": {}}
    whole = {"format": 1, "epoch": 4, "joins": 0, "freeze": freeze, "readers": [reader], "pending": change}
    old = ControlState("place", 1, 1).stored()
    plain = {"fleet": whole, "kind:place": old, "knob:search": knob.stored()}

    extended = {name: record | UNKNOWN for name, record in plain.items()}
    extended["fleet"] |= {"freeze": freeze | UNKNOWN, "readers": [reader | UNKNOWN], "pending": change | UNKNOWN}
    extended["of_the_next_release"] = {"anything": 1}

    assert ControlView.of(extended) == ControlView.of(plain)
    assert ControlView.of(extended).controls == {"place": state}


def test_only_the_fields_of_a_dataclass_are_taken() -> None:
    @dataclass
    class Pair:
        first: int
        second: int = 2

    assert Pair(**known_fields(Pair, {"first": 1, "third": 3})) == Pair(1, 2)
