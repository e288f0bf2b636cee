"""
Choosing the rows of a run that is not about all of them: by their ids, or at random.
"""

import datetime
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bson.objectid import ObjectId

from docstore.backfill.looking import counted
from docstore.backfill.patience import patiently
from docstore.core.bson_values import encode
from docstore.core.kind import Kind
from docstore.core.selected_rows import SelectedRows
from docstore.errors import BackfillRefusedError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.selections import IDS_AT_ONCE, Selection, forget_abandoned
from docstore.mongo.some_rows import random_ids

#: Selections without a run are removed when they are older than this.
ABANDONED: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ChosenIds:
    """
    The rows with these ids.
    """

    ids: Sequence[Any]

    @property
    def mark(self) -> str:
        """
        The same for the same ids, in whatever order they are named.
        """
        return hashlib.sha256(b"".join(sorted({encode({"": each}) for each in self.ids}))).hexdigest()


@dataclass(frozen=True, slots=True)
class RandomRows:
    """
    So many of the rows that stand at the versions from which a run takes rows.
    """

    number: int

    @property
    def mark(self) -> str:
        """
        The same for the same number.
        """
        return f"{self.number} at random"


def chosen_by(ids: Sequence[Any] | None, sample: int | None) -> ChosenIds | RandomRows | None:
    """
    Return what describes the rows of a run: these ids, so many at random, or all of them.

    Raises:
        ValueError: Both were asked for.
    """
    if ids is not None and sample is not None:
        msg = "a run is about rows with certain ids, or about rows picked at random, not both"
        raise ValueError(msg)
    if ids is not None:
        return ChosenIds(ids)
    return None if sample is None else RandomRows(sample)


async def select(
    database: AnyDatabase,
    kind: Kind[Any],
    chosen: ChosenIds | RandomRows,
    versions: Sequence[int | None],
    *,
    now: Callable[[], datetime.datetime],
) -> SelectedRows:
    """
    Record the ids of the chosen rows, so that every worker finds them. Whoever does not use them has to `forget` them.

    Args:
        database: Where the rows and the records are.
        kind: Whose rows.
        chosen: Which of them.
        versions: Where rows are taken from at random (None: untagged).
        now: The clock.

    Raises:
        BackfillRefusedError: None of the ids names a row.
    """
    await patiently(lambda: forget_abandoned(database, older_than=now() - ABANDONED))
    selection = Selection(database, ObjectId())
    if isinstance(chosen, ChosenIds):
        ids = chosen.ids
    else:
        ids = await patiently(
            lambda: random_ids(database, kind.collection, kind.version_field, versions, chosen.number)
        )
    for page in _pages(ids):
        await patiently(lambda: selection.add(page))  # noqa: B023 - awaited here
    size = await patiently(selection.size)
    rows = (await counted(database, kind, now, selection=selection)).total
    if isinstance(chosen, ChosenIds) and not rows:
        await patiently(selection.forget)
        raise none_of_the_ids(kind.name, size)
    return SelectedRows(id=selection.id, ids=size, rows=rows, random=isinstance(chosen, RandomRows), mark=chosen.mark)


def none_of_the_ids(kind: str, size: int) -> BackfillRefusedError:
    """
    Return what is raised where none of so many ids names a row.
    """
    return BackfillRefusedError(
        kind=kind,
        reason=f"none of the {size:,} ids names a row" if size > 1 else "the id names no row",
        advice='ids are compared with their types: 5 is not "5", and an ObjectId is {"$oid": "..."}',
    )


def _pages(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))
