"""
Which field of a kind's rows tells when they were made.
"""

import datetime
from typing import Any, Final, get_args

from docstore.core.kind import Kind
from docstore.core.paths import overlap_any

#: What such a field is called, in lower case and without `_`.
_NAMES: Final = frozenset(
    f"{made}{when}" for made in ("created", "inserted") for when in ("", "at", "on", "date", "time")
) | {"creationdate", "creationtime", "datecreated"}


def creation_field(kind: Kind[Any]) -> str | None:
    """
    Return the stored field of the model that holds the time when a row was made; None where none is known to.

    It is called so (`created_at`, `createdAt`, `inserted_on`, ...), holds a time, and no step changes it, so that it
    means the same in rows of every version.
    """
    changed = kind.writes(kind.floor, kind.latest)
    if changed is None:
        return None
    for name, field in kind.model.model_fields.items():
        stored: str = field.serialization_alias or name
        holds_times = datetime.datetime in (field.annotation, *get_args(field.annotation))
        if holds_times and stored.replace("_", "").lower() in _NAMES and not overlap_any((stored,), changed):
            return stored
    return None
