"""
A row seen in the shape of another version, and changed through it.

Two laws hold for every row and every change, compared as BSON field by field: what was not changed leaves the row as
it is (get-put), and what was changed is seen again through the same version (put-get). A change that the row cannot
take so is refused. What was not changed is seen again as it would be if the row had merely been rewritten to latest.
"""

from collections.abc import Mapping
from typing import Any

from docstore.core.bson_values import RawDocument, identical
from docstore.core.kind import Kind
from docstore.core.merge import merge
from docstore.core.newer_steps import kind_at, standing
from docstore.core.residue import RESIDUE
from docstore.core.version import tag_version
from docstore.errors import UpdateRefusedError


def seen_at(kind: Kind[Any], row: Mapping[str, Any], version: int, *, trimming: bool = False) -> RawDocument:
    """
    Return a stored row in the shape of *version*, tagged with it, without its residue.

    *trimming* is that of `Kind.downgrade`.

    Raises:
        VersionRangeError: *version* is no version of the kind.
        UpgradeFailedError, DowngradeFailedError, NotInvertibleError: The row cannot be brought there.
        NewerVersionError, RetiredVersionError, UnknownVersionError: See `standing`.
    """
    if RESIDUE in row and standing(kind, row) == version:
        # What a node of that version sees: it knows nothing of what the row keeps.
        row = {name: value for name, value in row.items() if name != RESIDUE}
    elif RESIDUE in row and standing(kind, row) <= kind.latest:
        # At whatever other version it is stored, it is seen as the row that it is at latest.
        row = kind.upgrade(row)
    stands_at = standing(kind, row)
    if stands_at > version:
        shape = kind_at(kind, stands_at).downgrade(row, to=version, trimming=trimming)
    else:
        shape = kind.upgrade(row, to=version)
    shape.pop(RESIDUE, None)
    return shape


def put(
    kind: Kind[Any], row: Mapping[str, Any], shape: Mapping[str, Any], version: int, *, trimming: bool = False
) -> RawDocument:
    """
    Return a stored row at latest, changed so that it is seen as *shape* at *version*.

    What the older shape cannot express stays as the row has it: fields that it does not have, and values that differ
    at latest where it sees no difference.

    Args:
        kind: Whose row it is.
        row: As it is stored.
        shape: What it is to be at *version*: all fields of it. The tag may be left out.
        version: The version of *shape*.
        trimming: Whether *shape* is a change of what `seen_at` shows so.

    Raises:
        UpdateRefusedError: The `_id` was changed, the tag is another version's, a field has a name of docstore's own,
            or the row cannot take the change: carries the fields that would be lost.
        UpgradeFailedError, DowngradeFailedError, VersionRangeError, ...: See `seen_at`; *shape* may be what a step
            refuses.
        NotInvertibleError: A step above *version* has no way back, so nobody could see the change at *version*.
    """
    before = seen_at(kind, row, version, trimming=trimming)
    now = _tagged(kind, before, shape, version)
    latest = kind.upgrade(row)
    if not differing(before, now):
        return latest
    rewritten = seen_at(kind, latest, version, trimming=trimming)

    by_client = set(differing(before, now))

    def lost() -> list[str]:
        """Return the fields that are not as *shape* has them; but for one left alone that a rewrite shows so."""
        seen = seen_at(kind, merged, version, trimming=trimming)
        by_rewrite = set(differing(seen, rewritten))
        return [name for name in differing(seen, now) if name in by_client or name in by_rewrite]

    lifted, changed = kind.upgrade(before), kind.upgrade(now)
    merged = merge(latest, lifted, changed)
    if not lost():
        return merged
    # Parts of one field depend on each other in a way that the merge cannot know (an array grew, say): such fields
    # are taken as a whole.
    for name in {**lifted, **changed}:
        if name not in changed:
            merged.pop(name, None)
        elif name not in lifted or not identical(lifted[name], changed[name]):
            merged[name] = changed[name]
    missing = lost()
    if missing:
        names = ", ".join(map(repr, missing))
        raise UpdateRefusedError(
            kind=kind.name, reason=f"what version {version} says of {names} cannot be expressed at {kind.latest}"
        )
    return merged


def _tagged(kind: Kind[Any], before: RawDocument, shape: Mapping[str, Any], version: int) -> RawDocument:
    now = dict(shape)
    tag = now.setdefault(kind.version_field, version)
    if tag_version(tag) != version:
        raise UpdateRefusedError(kind=kind.name, reason=f"its tag is not that of version {version}, as which it came")
    now[kind.version_field] = version
    if RESIDUE in now:
        raise UpdateRefusedError(kind=kind.name, reason=f"it has a field {RESIDUE!r}, which is docstore's own")
    if "_id" not in now or not identical(now["_id"], before["_id"]):
        raise UpdateRefusedError(kind=kind.name, reason="the document's id was changed")
    # In the order of the row: that the tag and new fields stand elsewhere is no change.
    return {name: now[name] for name in dict.fromkeys((*before, *now)) if name in now}


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """
    Return the top-level fields in which two rows differ.
    """
    return [
        name
        for name in {**first, **second}
        if name not in first or name not in second or not identical(first[name], second[name])
    ]
