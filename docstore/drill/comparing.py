"""
Every row against the model: what was lost, stripped, brought back to life, or left where somebody cannot read it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from docstore.core.bson_values import RawDocument, comparison_key
from docstore.core.differences import differing_paths
from docstore.core.extended_json import to_text
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.core.version import tag_version
from docstore.core.write_version import VersionRange
from docstore.drill.expecting import Expected, Model, bare
from docstore.drill.journal import COUNT, REVISION, WENT_BACK, Act, Entry
from docstore.errors import DocumentError


class FaultKind(StrEnum):
    """
    What can be wrong with a row.
    """

    LOST_WRITE = "lost write"
    UNKNOWN_WRITE = "write that nobody was told of"
    WRONG_COUNT = "wrong sum of increments"
    LOST_ROW = "lost row"
    RESURRECTED_ROW = "deleted row that is there again"
    UNKNOWN_ROW = "row that nobody inserted"
    STRIPPED_FIELD = "stripped field"
    EXTRA_FIELD = "field that nobody wrote"
    WRONG_VALUE = "wrong value"
    UNREADABLE_VERSION = "version that a node cannot read"
    WRONG_VERSION = "version at which it must not stand any more"
    UNREADABLE_ROW = "row that cannot be read"
    LEFTOVER_RESIDUE = "residue in a row at latest"
    READ_FAILED = "read that a node could not make"
    READ_WENT_BACK = "read that gave an earlier state"


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Something that must not be, without any value of a row.
    """

    kind: FaultKind
    #: The row's id, as Extended JSON.
    id: str
    #: The field, or what else belongs to the fault.
    path: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What came of comparing all rows.
    """

    rows: int
    #: Acknowledged writes that the rows were held against.
    writes: int
    faults: tuple[Fault, ...]
    #: Rows whose fields could not be compared, because the outcome of a write to them is not known.
    uncertain: int


@dataclass(frozen=True, slots=True)
class Demands:
    """
    Where rows may stand.
    """

    #: What every node reads that is alive.
    readable: VersionRange
    #: Where they have to stand by now: all versions, or a part of them.
    settled: VersionRange


def compare(
    kind: Kind[Any],
    start: Iterable[Mapping[str, Any]],
    entries: Iterable[Entry],
    rows: Iterable[RawDocument],
    *,
    demands: Demands,
    read: Callable[[RawDocument], object],
) -> Comparison:
    """
    Hold every stored row against what the acknowledged writes make of the rows that there were.

    Args:
        kind: The kind of the new release.
        start: The rows as they were stored before anybody wrote.
        entries: What all nodes wrote down.
        rows: The rows as they are stored now, while nobody writes.
        demands: Where they may stand.
        read: Reads a row as the new release does; raises DocumentError where it cannot.
    """
    told: dict[Any, list[Entry]] = {}
    faults: list[Fault] = []
    writes = 0
    for entry in entries:
        if entry.act is Act.SAW:
            faults.append(_sighting(entry))
        else:
            told.setdefault(comparison_key(entry.id), []).append(entry)
            writes += not entry.doubtful
    beginnings = {comparison_key(row["_id"]): row for row in start}
    model = Model(kind)
    number = uncertain = 0
    for row in rows:
        number += 1
        key = comparison_key(row["_id"])
        beginning, of_row = beginnings.pop(key, None), told.pop(key, [])
        if beginning is None and not of_row:
            faults.append(Fault(FaultKind.UNKNOWN_ROW, to_text(row["_id"])))
            continue
        expected = model.replayed(beginning, of_row)
        uncertain += bool(expected.doubtful)
        faults += _faults_of(kind, row, expected, demands, read)
    for key in {**beginnings, **told}:
        expected = model.replayed(beginnings.get(key), told.get(key, []))
        if not (expected.deleted or expected.doubtful_deletion or expected.doubtful_insert):
            faults.append(Fault(FaultKind.LOST_ROW, to_text(expected.id)))
    return Comparison(number, writes, tuple(faults), uncertain)


def _sighting(entry: Entry) -> Fault:
    if entry.fault == WENT_BACK:
        return Fault(FaultKind.READ_WENT_BACK, to_text(entry.id), entry.node)
    return Fault(FaultKind.READ_FAILED, to_text(entry.id), f"{entry.node}: {entry.fault}")


def _faults_of(
    kind: Kind[Any],
    row: RawDocument,
    expected: Expected,
    demands: Demands,
    read: Callable[[RawDocument], object],
) -> Iterator[Fault]:
    shown = to_text(row["_id"])
    if expected.deleted:
        yield Fault(FaultKind.RESURRECTED_ROW, shown)
        return
    yield from _writes_of(row, expected, shown)
    version = tag_version(row[kind.version_field]) if kind.version_field in row else None
    if version is None or not demands.readable.holds(version):
        yield Fault(FaultKind.UNREADABLE_VERSION, shown, "no version" if version is None else f"version {version}")
        return
    if not demands.settled.holds(version):
        yield Fault(FaultKind.WRONG_VERSION, shown, f"version {version}")
    if version == kind.latest and RESIDUE in row:
        yield Fault(FaultKind.LEFTOVER_RESIDUE, shown)
    try:
        read(row)
        fields = bare(kind.upgrade(row), kind)
    except DocumentError as error:
        yield Fault(FaultKind.UNREADABLE_ROW, shown, type(error).__name__)
        return
    if expected.fields is not None:
        yield from _differences(expected.fields, fields, shown)


def _writes_of(row: RawDocument, expected: Expected, shown: str) -> Iterator[Fault]:
    """Compare the numbers that every write leaves in the row."""
    revision, count = row.get(REVISION, 0), row.get(COUNT, 0)
    for number in expected.told_twice:
        yield Fault(FaultKind.LOST_WRITE, shown, f"write {number} was acknowledged twice")
    if revision < expected.revision:
        yield Fault(FaultKind.LOST_WRITE, shown, f"{expected.revision - revision} of {expected.revision} writes")
    unknown = max(revision - expected.revision, 0) + len(expected.told_to_nobody)
    if unknown > expected.doubtful:
        yield Fault(FaultKind.UNKNOWN_WRITE, shown, f"{unknown - expected.doubtful} writes")
    if not expected.count <= count <= expected.count + expected.doubtful_counts:
        path = f"{COUNT}: {count - expected.count:+d}"
        yield Fault(FaultKind.WRONG_COUNT, shown, path)


def _differences(expected: RawDocument, found: RawDocument, shown: str) -> Iterator[Fault]:
    for name in {**expected, **found}:
        if name not in found:
            yield Fault(FaultKind.STRIPPED_FIELD, shown, name)
        elif name not in expected:
            yield Fault(FaultKind.EXTRA_FIELD, shown, name)
        else:
            for path in differing_paths(expected[name], found[name]):
                full = name if path == "(row)" else f"{name}.{path}"
                stripped = _lacks(found[name], path) and not _lacks(expected[name], path)
                yield Fault(FaultKind.STRIPPED_FIELD if stripped else FaultKind.WRONG_VALUE, shown, full)


def _lacks(value: Any, path: str) -> bool:
    parts: Sequence[str] = [] if path == "(row)" else path.split(".")
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return True
    return False
