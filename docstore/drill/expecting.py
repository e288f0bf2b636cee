"""
The model: what must stand in a row, from the row as it was and the writes that were acknowledged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bson.int64 import Int64

from docstore.core.bson_values import RawDocument, identical
from docstore.core.kind import Kind
from docstore.core.merge import merged_value
from docstore.core.paths import MISSING
from docstore.core.residue import RESIDUE
from docstore.drill.journal import COUNT, REVISION, Act, Entry


@dataclass(slots=True)
class Expected:
    """
    One row as it must be.
    """

    id: Any
    #: Its fields at the latest shape, without the tag and the drill's own; None where nothing can be said.
    fields: RawDocument | None
    revision: int = 0
    count: int = 0
    #: A node has deleted it.
    deleted: bool = False
    #: Writes whose outcome nobody knows: of those that raise the revision, of counts, of deletions.
    doubtful: int = 0
    doubtful_counts: int = 0
    doubtful_deletion: bool = False
    #: Whether it may be missing because only a write of unknown outcome made it.
    doubtful_insert: bool = False
    #: Revisions that two writes were told, and those that none was told although a later one was.
    told_twice: list[int] = field(default_factory=list)
    told_to_nobody: list[int] = field(default_factory=list)


class Model:
    """
    Replays acknowledged writes over a row.

    A node of the release before sees and changes a row in the older shape. Of such a change the latest shape shows what
    it makes of it; everything else, above all what the older shape has no place for, stays as it was.

    Args:
        kind: The kind of the new release.
    """

    def __init__(self, kind: Kind[Any]) -> None:
        self._kind = kind

    def replayed(self, start: Mapping[str, Any] | None, entries: Iterable[Entry]) -> Expected:
        """
        Return what a row must be.

        Args:
            start: The row as it was stored before the first write; None where it was not there.
            entries: What the nodes wrote down about it.
        """
        told = list(entries)
        row_id = told[0].id if start is None else start["_id"]
        expected = Expected(row_id, {} if start is None else self._fields(start))
        numbered = self._tally(told, expected)
        first = 1
        for entry in numbered:
            number = entry.revision or 0
            if number < first:
                expected.told_twice.append(number)
                continue
            expected.told_to_nobody += range(first, number)
            first = number + 1
        expected.revision = first - 1
        if start is None and not any(entry.act is Act.INSERT for entry in numbered):
            expected.doubtful_insert = True
        if expected.told_twice or expected.told_to_nobody or expected.doubtful:
            expected.fields = None
            return expected
        for entry in numbered:
            if expected.fields is not None:
                expected.fields = self._after(entry, expected.fields)
        return expected

    def _tally(self, entries: Iterable[Entry], expected: Expected) -> list[Entry]:
        """Count what has no revision, and return the rest in the order in which the row went through it."""
        numbered = []
        for entry in entries:
            match entry.act:
                case Act.SAW:
                    continue
                case Act.COUNT:
                    amount = int(entry.after[COUNT])
                    if entry.doubtful:
                        expected.doubtful_counts += amount
                    else:
                        expected.count += amount
                case Act.DELETE:
                    expected.deleted = expected.deleted or not entry.doubtful
                    expected.doubtful_deletion = expected.doubtful_deletion or entry.doubtful
                case _ if entry.doubtful or entry.revision is None:
                    expected.doubtful += 1
                case _:
                    numbered.append(entry)
        return sorted(numbered, key=lambda entry: entry.revision or 0)

    def _after(self, entry: Entry, fields: RawDocument) -> RawDocument:
        latest = self._kind.latest
        if entry.act is Act.INSERT:
            return self._at(dict(entry.after), entry.shape, latest)
        if entry.shape == latest:
            return changed(fields, entry)
        older = self._at(fields, latest, entry.shape)
        before = self._at(older, entry.shape, latest)
        after = self._at(changed(older, entry), entry.shape, latest)
        return {
            name: value
            for name in {**fields, **after}
            if (value := _moved(_get(fields, name), _get(before, name), _get(after, name))) is not MISSING
        }

    def _fields(self, row: Mapping[str, Any]) -> RawDocument:
        return bare(self._kind.upgrade(row), self._kind)

    def _at(self, fields: RawDocument, version: int, to: int) -> RawDocument:
        row = {"_id": None, self._kind.version_field: version, **fields}
        # What the older release sees of a row; what it does not see is in the residue, which is not looked at.
        moved = self._kind.upgrade(row, to=to) if to > version else self._kind.lower(row, to=to)
        return bare(moved, self._kind)


def bare(row: Mapping[str, Any], kind: Kind[Any]) -> RawDocument:
    """
    Return a row's fields without its id, its tag, its residue, and what the drill itself counts in it.
    """
    own = {"_id", kind.version_field, RESIDUE, REVISION, COUNT}
    return {name: value for name, value in row.items() if name not in own}


def changed(fields: RawDocument, entry: Entry) -> RawDocument:
    """
    Return fields after a write that has their shape.
    """
    result = dict(fields)
    for name in {**entry.before, **entry.after}:
        now = _get(entry.after, name)
        stored = _get(result, name)
        if entry.act is Act.ADD:
            value = _sum(stored, now)
        elif entry.act is Act.SET:
            value = now
        else:
            value = _moved(stored, _get(entry.before, name), now)
        if value is MISSING:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def _moved(stored: Any, before: Any, now: Any) -> Any:
    """Return a stored value with the change that leads from *before* to *now*; each may be missing."""
    if before is now or (before is not MISSING and now is not MISSING and identical(before, now)):
        return stored
    if stored is MISSING or before is MISSING or now is MISSING:
        return now
    return merged_value(stored, before, now)


def _sum(stored: Any, amount: Any) -> Any:
    if stored is MISSING:
        return amount
    total = stored + amount
    return Int64(total) if isinstance(stored, Int64) else total


def _get(fields: Mapping[str, Any], name: str) -> Any:
    return fields.get(name, MISSING)
