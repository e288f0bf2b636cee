"""
An update of the latest shape, made on rows in an older one.

Filter and operators go back through the operations, the newest first (`FieldOperation.earlier`, and `translation` for
the filter). What comes of it is sent to the server for rows of that one version: it is atomic, and nothing is
rewritten. Exact or not at all: the row comes up as it would be had it been brought up before the update.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from typing import Any, Final

from docstore.core.operation import FieldOperation, Operation
from docstore.core.origins import Moved
from docstore.core.path_update import RENAME, Earlier, PathUpdate, nothing_at
from docstore.core.paths import FieldPath, dotted, overlap, overlap_any
from docstore.core.query import EVERYTHING, read_query
from docstore.core.residue import FIELDS, RESIDUE
from docstore.core.step import Step
from docstore.core.translation import NEVER, before, without

#: Speaks of rows that are inserted; of those that are there it says nothing.
ON_INSERT: Final = "$setOnInsert"
#: Stands for the element that the filter found.
_FOUND: Final = "$"

_Filter = Mapping[str, Any]
_Operators = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """
    An update for the rows of one stored version.

    It updates no row that the update of the latest shape would leave out. One that it leaves out may match all the
    same: what the row keeps, or lacks, is in the way.
    """

    filter: _Filter
    operators: _Operators


def translate_update(filter: _Filter, operators: _Operators, steps: Sequence[Step]) -> StoredUpdate | None:
    """
    Translate an update of the shape after *steps* into one of the shape before them; None where that is not exact.

    Args:
        filter: As users write it.
        operators: Update operators with their paths. Array filters stay as they are.
        steps: In the order in which they run.
    """
    updates = path_updates(operators)
    asked = [filter]
    positional = any(_FOUND in update.path for update in updates)
    for step in reversed(steps):
        if not step.operations:
            return None
        nothing_kept = _nothing_kept(step, updates, asked)
        ways_back = step.inverse if step.has_way_back else ()
        for operation, way_back in zip_longest(reversed(step.operations), ways_back):
            earlier = _all_earlier(updates, operation, way_back)
            if earlier is None:
                return None
            # A condition on a list would move the position that the filter found in it.
            if positional and (any(each.conditions for each in earlier) or not _only_moves(operation, filter=asked[0])):
                return None
            found = _asked_before(asked, operation, earlier)
            if found is None:
                return None
            updates, asked = [each.update for each in earlier], found
        asked += nothing_kept
    if positional and not _same_conditions(filter, asked[0]):
        return None
    translated = _sent(updates, operators)
    return None if translated is None else StoredUpdate(_both(asked), translated)


def path_updates(operators: _Operators) -> list[PathUpdate]:
    """
    Return what update operators do to rows that are there, path by path.
    """
    return [
        PathUpdate(operator, tuple(path.split(".")), operand)
        for operator, fields in operators.items()
        if operator != ON_INSERT
        for path, operand in fields.items()
    ]


def touched_fields(operators: _Operators) -> frozenset[str]:
    """
    Return the top-level fields that update operators touch in rows that are there.
    """
    return frozenset(end[0] for update in path_updates(operators) for end in _ends(update))


def stepped_on(step: Step) -> frozenset[str] | None:
    """
    Return the top-level fields that a step, or its way back, reads or changes; None where nobody can tell.
    """
    if not step.operations:
        # What a function reads is not declared.
        return None
    each = [*step.operations, *(step.inverse if step.has_way_back else ())]
    paths = {path for operation in each for path in operation.reads | operation.writes}
    return None if EVERYTHING in paths else frozenset(path[0] for path in paths)


def _all_earlier(
    updates: Iterable[PathUpdate], operation: Operation, way_back: Operation | None
) -> list[Earlier] | None:
    """Return what does the same before an operation."""
    found: list[Earlier] = []
    for update in updates:
        earlier = _earlier(update, operation, way_back)
        if earlier is None:
            return None
        found.append(earlier)
    return found if sum(each.removes for each in found) <= 1 else None


def _earlier(update: PathUpdate, operation: Operation, way_back: Operation | None) -> Earlier | None:
    if not isinstance(operation, FieldOperation):
        return None
    earlier = operation.earlier(update)
    if earlier is None or way_back is None:
        return earlier
    # What only the way back reads: nodes of the older version would go on seeing what it made of it before.
    own = operation.reads | operation.writes
    others = [path for path in way_back.reads | way_back.writes if path not in own]
    return None if EVERYTHING in others or overlap_any(update.path, others) else earlier


def _asked_before(asked: Iterable[_Filter], operation: Operation, earlier: Sequence[Earlier]) -> list[_Filter] | None:
    """Return the filters in the shape before an operation, and the conditions of what is done there."""
    nowhere = {path for each in earlier for path in each.absent}
    found: list[_Filter] = []
    for part in asked:
        said = before(part, operation, simple=False)
        for path in nowhere:
            narrower = without(said.filter, path)
            said = narrower if said.exact else said
        if not said.exact or said.filter == NEVER:
            return None
        found.append(said.filter)
    for condition in (condition for each in earlier for condition in each.conditions):
        if condition not in found:
            found.append(condition)
    return [*found, *map(nothing_at, sorted(nowhere))]


def _nothing_kept(step: Step, updates: Iterable[PathUpdate], asked: Iterable[_Filter]) -> list[_Filter]:
    """Return the conditions that a row keeps nothing beside its shape of what is updated, or asked, after a step."""
    named = {end[0] for update in updates for end in _ends(update)}
    named |= {path[0] for part in asked for path in read_query(part).paths if path != EVERYTHING}
    written = {path[0] for path in step.writes or ()}
    return [nothing_at((RESIDUE, str(step.to), FIELDS, name)) for name in sorted(named & written)]


def _ends(update: PathUpdate) -> list[FieldPath]:
    return [update.path, *([tuple(str(update.operand).split("."))] if update.operator == RENAME else ())]


def _only_moves(operation: Operation, *, filter: _Filter) -> bool:
    """Tell whether all that an operation does to what a filter asks about is to move it as a whole."""
    touched = read_query(filter).touched(operation.writes)
    return all(isinstance(operation.origin(path), Moved) for path in touched)


def _same_conditions(first: _Filter, second: _Filter) -> bool:
    """Tell whether two filters hold the same conditions in the same order, so that `$` is the same element."""
    one, other = list(_leaves(first)), list(_leaves(second))
    return len(one) == len(other) and all(each is same for each, same in zip(one, other, strict=True))


def _leaves(filter: _Filter) -> Iterator[Any]:
    for key, value in filter.items():
        if key == "$and" and isinstance(value, list):
            for part in value:
                yield from _leaves(part)
        else:
            yield value


def _sent(updates: Sequence[PathUpdate], operators: _Operators) -> _Operators | None:
    """Return the operators as they are sent; None where a server refuses what was asked, which is for it to say."""
    on_insert = operators.get(ON_INSERT, {})
    asked = [end for update in path_updates(operators) for end in _ends(update)]
    sent = [end for update in updates for end in _ends(update)]
    inserted = [tuple(path.split(".")) for path in on_insert]
    if any(overlap(*pair) for ends in (asked, sent) for pair in combinations([*ends, *inserted], 2)):
        return None
    found: dict[str, dict[str, Any]] = {operator: {} for operator in operators}
    found.update({ON_INSERT: dict(on_insert)} if ON_INSERT in operators else {})
    for update in updates:
        found[update.operator][dotted(update.path)] = update.operand
    return found


def _both(asked: Sequence[_Filter]) -> _Filter:
    kept = [part for part in asked if part]
    return kept[0] if len(kept) == 1 else {"$and": kept} if kept else {}
