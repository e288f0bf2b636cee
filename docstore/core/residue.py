"""
The residue: what a row keeps of newer shapes while it is stored in an older one (P11).

It stands in the row as `{"3": {"fields": {"status": {"was": "new", "is": "sold"}}}}`: an entry for every step through
which the row was brought down and that would not give back what the row held. *was* is what the step makes of the
older shape, *is* what it has to become; where one of them is left out, the field is absent.

Coming up, a field that still is what it was becomes what it is to be. Where it is not, somebody changed the older shape
meanwhile: that change wins, and of documents and lists the parts that it left alone are what they are to be. Whether a
field still is what it was is asked as the server's `$eq` asks: 1 equals 1.0, and a missing field equals only that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, encode, identical
from docstore.core.merge import EQUAL, merged_value
from docstore.core.paths import MISSING

#: The field of a row that holds its residue. docstore's own: no model, query or step sees it.
RESIDUE: Final = "__docstore_residue"

#: Tells whether two values are one and the same.
Same: TypeAlias = Callable[[Any, Any], bool]

#: The names within an entry, and within what it says of a field.
FIELDS: Final = "fields"
WAS: Final = "was"
IS: Final = "is"


class MalformedResidueError(Exception):
    """
    The field does not hold what docstore writes there; a signal to the chain, which names the row.
    """


class UnkeepableError(Exception):
    """
    A step gives something that BSON cannot hold; a signal to whoever brings the row down, who names it.
    """

    def __init__(self, path: str, *, step: int) -> None:
        self.path = path
        self.step = step
        super().__init__(path)


def taken(row: RawDocument) -> dict[str, Any]:
    """
    Remove the residue from a row, and return its entries by the version that their step produces.

    Raises:
        MalformedResidueError: It is no residue.
    """
    residue = row.pop(RESIDUE)
    if not isinstance(residue, dict):
        raise MalformedResidueError
    return residue


def above(residue: Mapping[str, Any], version: int) -> dict[str, Any]:
    """
    Return the entries of the steps above a version: those that a row at that version still needs.
    """
    return {step: entry for step, entry in residue.items() if _number(step) > version}


def entry_of(
    upper: Mapping[str, Any], again: Mapping[str, Any], names: Iterable[str], *, step: int, same: Same = identical
) -> RawDocument | None:
    """
    Return what has to be kept so that *again* becomes *upper*; None where nothing differs.

    Args:
        upper: The row as it stands at the version that a step produces.
        again: What the step makes of it after it was brought down through that step.
        names: The fields in which they may differ.
        step: The step's version.
        same: What counts as no difference.

    Raises:
        UnkeepableError: What the step makes of a field has no place in BSON; carries field and step.
    """
    kept: RawDocument = {}
    for name in names:
        is_, was = upper.get(name, MISSING), again.get(name, MISSING)
        if not _same(is_, was, name, step, same):
            said = ((WAS, was), (IS, is_))
            kept[name] = {word: value for word, value in said if value is not MISSING}
    return {FIELDS: kept} if kept else None


def largest(residue: Mapping[str, Any]) -> tuple[int, str]:
    """
    Return the step and the field of which a residue keeps the most bytes.
    """
    sizes = [(len(encode(said)), _number(step), name) for step in residue for name, said in _fields(residue[step])]
    _, step, name = max(sizes)
    return step, name


def restore(row: RawDocument, residue: Mapping[str, Any], version: int) -> None:
    """
    Bring back into a row what was kept of it, after the step that produces *version*.

    Values of the residue are put into the row as they are, not copied.

    Raises:
        MalformedResidueError: The entry is none that docstore writes.
    """
    for name, said in _fields(residue.get(str(version))):
        value = _restored(said.get(IS, MISSING), said.get(WAS, MISSING), row.get(name, MISSING))
        if value is not MISSING:
            row[name] = value
        else:
            row.pop(name, None)


def _fields(entry: Any) -> Iterator[tuple[str, RawDocument]]:
    if entry is None:
        return
    fields = entry.get(FIELDS) if isinstance(entry, dict) else None
    if not isinstance(fields, dict):
        raise MalformedResidueError
    for name, said in fields.items():
        if not isinstance(said, dict):
            raise MalformedResidueError
        yield name, said


def _restored(is_: Any, was: Any, now: Any) -> Any:
    if now is MISSING or was is MISSING:
        return is_ if now is was else now
    if EQUAL.same(now, was):
        return is_
    return now if is_ is MISSING else merged_value(is_, was, now, by=EQUAL)


def _same(is_: Any, was: Any, name: str, step: int, same: Same) -> bool:
    if is_ is MISSING or was is MISSING:
        return is_ is was
    try:
        if not same(is_, was):
            # Whatever differs is going to be stored.
            encode({"": was})
            return False
    except (BSONError, OverflowError, TypeError, ValueError):
        # What a function has made may be nothing that can be stored. The cause would show the value.
        raise UnkeepableError(name, step=step) from None
    return True


def _number(step: str) -> int:
    if not step.isdigit():
        raise MalformedResidueError
    return int(step)
