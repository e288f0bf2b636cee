"""
Going down without loss: what an older version cannot express is kept in the row's residue, and comes up again (P11).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, copied, encode, identical, same_values
from docstore.core.chain import Chain
from docstore.core.residue import (
    RESIDUE,
    MalformedResidueError,
    Same,
    UnkeepableError,
    above,
    entry_of,
    largest,
    taken,
)
from docstore.core.step import Step
from docstore.errors import (
    DowngradeFailedError,
    NotExpressibleError,
    NotInvertibleError,
    OperationRefusedError,
    UpgradeFailedError,
)

#: The most bytes that a server stores as one row.
MAX_ROW: Final = 16 * 1024 * 1024


def lowered(chain: Chain, row: RawDocument, version: int, to: int, *, ordered: bool = True) -> RawDocument:
    """
    Bring a row from *version* down to *to* and tag it; returns it, possibly as another dict.

    Brought up again, it is what it was: the same fields with the same BSON, the order of the fields at the top level
    aside. For each step on the way of which that would not be so by itself, the row's residue gets an entry.

    Args:
        chain: The steps.
        row: The row; it is used up.
        version: Where it stands.
        to: Where it is to stand.
        ordered: Keep the order of the fields within documents too. A server that brings rows down does not see it.

    Raises:
        NotExpressibleError: An older version can have no such row, whatever is kept beside it, or has no room for what
            would have to be kept; carries step and path.
        DowngradeFailedError: A step has no way back, raised, or broke its contract; carries the step.
    """
    if to == version:
        return chain.lower(row, version, to)
    same = identical if ordered else same_values
    row_id = row.get("_id")
    fault = partial(DowngradeFailedError, kind=chain.kind, id=row_id, version=version)
    lost = partial(NotExpressibleError, kind=chain.kind, id=row_id, version=version)
    try:
        lower = _at_once(chain, row, version, to, same) if version - to > 1 else None
        if lower is not None:
            return lower
        lower = _kept(chain, row, version, to, same)
        again = chain.lift(_owned(chain, lower, to, version), to, version)
    except MalformedResidueError as error:
        raise fault(step=version, path=RESIDUE, error="it does not hold what docstore writes there") from error
    except NotInvertibleError as error:
        raise fault(step=error.version or version, error="it has no way back") from error
    except UnkeepableError as error:
        raise lost(step=error.step, path=error.path) from error
    except DowngradeFailedError as error:
        if isinstance(error.__cause__, OperationRefusedError):
            raise lost(step=error.step, path=error.path or "") from error
        raise fault(step=error.step, path=error.path, error=error.error) from error.__cause__
    except UpgradeFailedError as error:
        reason = f"what it gives cannot come up again: {error.error}"
        raise fault(step=error.step, path=error.path, error=reason) from error
    different = _different(row, again, chain.field, same)
    if different is not None:
        raise lost(step=to + 1, path=different)
    return _with_room(lower, lost)


def trimmed(chain: Chain, row: RawDocument, version: int, to: int) -> RawDocument:
    """
    As `lowered`, but what an older version has no place for, and what cannot be kept beside it either, is lost.

    The row can be brought up again; it is not what it was then.

    Raises:
        DowngradeFailedError: A step has no way back, raised, or broke its contract; carries the step.
        UpgradeFailedError: What it would leave could not be brought up again; carries the step.
    """
    try:
        return lowered(chain, row, version, to)
    except NotExpressibleError:
        lower = _kept_as_far_as_possible(chain, row, version, to)
    chain.lift(_owned(chain, lower, to, version), to, version)
    return lower


def _at_once(chain: Chain, row: RawDocument, version: int, to: int, same: Same) -> RawDocument | None:
    """
    Return the row at *to* if all steps together give back what one of them alone would not.
    """
    try:
        lower = chain.lower(_owned(chain, row, to, version), version, to)
        again = chain.lift(_owned(chain, lower, to, version), to, version)
    except (UpgradeFailedError, NotInvertibleError):
        return None
    return lower if _different(row, again, chain.field, same) is None else None


def _kept(chain: Chain, row: RawDocument, version: int, to: int, same: Same) -> RawDocument:
    """
    Return the row at *to*, with an entry in its residue for every step that needs one.
    """
    lower = dict(row)
    residue = above(taken(lower), version) if RESIDUE in lower else {}
    for step in reversed(chain.between(to, version)):
        at = step.to or 0
        upper, lower = lower, chain.lower(_owned(chain, lower, at - 1, at), at, at - 1, trimming=True)
        again = chain.lift(_owned(chain, lower, at - 1, at), at - 1, at)
        entry = entry_of(upper, again, _names(chain, step, upper, again), step=at, same=same)
        if entry is not None:
            residue[str(at)] = entry
    if residue:
        lower[RESIDUE] = residue
    return lower


def _with_room(lower: RawDocument, lost: Callable[..., NotExpressibleError]) -> RawDocument:
    if _is_too_large(lower):
        step, path = largest(lower[RESIDUE])
        raise lost(step=step, path=path)
    return lower


def _kept_as_far_as_possible(chain: Chain, row: RawDocument, version: int, to: int) -> RawDocument:
    try:
        lower = _kept(chain, row, version, to, identical)
        if not _is_too_large(lower):
            return lower
    except UnkeepableError:
        pass
    return chain.lower(_owned(chain, row, to, version), version, to, trimming=True)


def _is_too_large(lower: RawDocument) -> bool:
    """
    Tell whether a row cannot be stored with what it keeps.
    """
    try:
        return RESIDUE in lower and len(encode(lower)) > MAX_ROW
    except (BSONError, OverflowError, TypeError, ValueError):
        # What a function has made is nothing that can be stored: whoever stores the row names it.
        return False


def _names(chain: Chain, step: Step, upper: RawDocument, again: RawDocument) -> list[str]:
    """
    Return the fields in which a row may differ from what a step makes of it after it was brought down.
    """
    if step.writes is not None:
        return sorted({path[0] for path in step.writes})
    return [name for name in {**upper, **again} if name not in {chain.field, "_id", RESIDUE}]


def _different(before: RawDocument, again: RawDocument, tag: str, same: Same) -> str | None:
    """
    Return the first field that is not what it was.
    """
    for name in {**before, **again}:
        # The tag may have been of another number type.
        if name != tag and not (name in before and name in again and _is_same(before[name], again[name], same)):
            return name
    return None


def _is_same(before: Any, again: Any, same: Same) -> bool:
    """
    Tell whether two values are the same BSON; what a function made may be nothing that BSON can hold.
    """
    try:
        return same(before, again)
    except (BSONError, OverflowError, TypeError, ValueError):
        return False


def _owned(chain: Chain, row: RawDocument, low: int, high: int) -> RawDocument:
    # Operations replace nested values, functions may change them in place.
    return copied(row) if chain.runs_functions(low, high) else dict(row)
