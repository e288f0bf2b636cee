"""
Going down without loss: a row is brought to an older version only if coming up again gives back what it held (P11).
"""

from collections.abc import Iterable
from typing import Any

from bson.errors import BSONError

from docstore.core.bson_values import RawDocument, copied, identical
from docstore.core.chain import Chain
from docstore.errors import DowngradeFailedError, NotExpressibleError, NotInvertibleError, UpgradeFailedError


def lowered(chain: Chain, row: RawDocument, version: int, to: int) -> RawDocument:
    """
    Bring a row from *version* down to *to* and tag it; returns it, possibly as another dict.

    Whatever the row held is there again, with the same types and values, when the row is brought up. Only the order of
    fields may differ, and fields may be there that were missing.

    Raises:
        NotExpressibleError: An older version has no place for something that the row holds; carries step and path.
        DowngradeFailedError: A step has no way back, refused the row, raised, or broke its contract; carries the step.
    """
    before = _owned(chain, row, to, version)
    row_id = row.get("_id")
    try:
        lower = chain.lower(row, version, to)
        again = chain.lift(_owned(chain, lower, to, version), to, version)
    except NotInvertibleError as error:
        raise DowngradeFailedError(
            kind=chain.kind, id=row_id, version=version, step=error.version or version, error="it has no way back"
        ) from error
    except DowngradeFailedError:
        raise
    except UpgradeFailedError as error:
        raise DowngradeFailedError(
            kind=chain.kind,
            id=row_id,
            version=version,
            step=error.step,
            error=f"what it gives cannot come up again: {error.error}",
            path=error.path,
        ) from error
    writes = chain.writes(to, version)
    names = before.keys() - {chain.field} if writes is None else {path[0] for path in writes}
    lost = lost_path(before, again, sorted(names))
    if lost is not None:
        step = _step_at_fault(chain, before, version, to)
        raise NotExpressibleError(kind=chain.kind, id=row_id, version=version, step=step, path=lost)
    return lower


def lost_path(before: Any, again: Any, names: Iterable[str] | None = None) -> str | None:
    """
    Return the first path at which a value is not what it was, or is gone; None if everything is there again.

    The order of fields is nothing that a row holds, and a field that was not there before is no loss.

    Args:
        before: The value as it was.
        again: The value as it is.
        names: The fields to look at; all of them by default.
    """
    for name in before if names is None else names:
        if name not in before:
            continue
        if name not in again:
            return name
        inner = _lost_within(before[name], again[name], name)
        if inner is not None:
            return inner
    return None


def _lost_within(before: Any, again: Any, path: str) -> str | None:
    if _same(before, again):
        return None
    if isinstance(before, dict) and isinstance(again, dict):
        inner = lost_path(before, again)
        return None if inner is None else f"{path}.{inner}"
    if isinstance(before, list) and isinstance(again, list) and len(before) == len(again):
        pairs = enumerate(zip(before, again, strict=True))
        return next((lost for at, (one, other) in pairs if (lost := _lost_within(one, other, f"{path}.{at}"))), None)
    return path


def _step_at_fault(chain: Chain, row: RawDocument, version: int, to: int) -> int:
    """
    Return the step below which the row does not come back as it was.
    """
    for at in range(version, to + 1, -1):
        before = _owned(chain, row, at - 1, at)
        row = chain.lower(row, at, at - 1)
        try:
            again = chain.lift(_owned(chain, row, at - 1, at), at - 1, at)
        except UpgradeFailedError:
            return at
        if lost_path(before, again, before.keys() - {chain.field}) is not None:
            return at
    return to + 1


def _same(before: Any, again: Any) -> bool:
    """
    Tell whether two values are the same BSON; what a function made may be nothing that BSON can hold.
    """
    try:
        return identical(before, again)
    except (BSONError, OverflowError, TypeError, ValueError):
        return False


def _owned(chain: Chain, row: RawDocument, low: int, high: int) -> RawDocument:
    # Operations replace nested values, functions may change them in place.
    return copied(row) if chain.runs_functions(low, high) else dict(row)
