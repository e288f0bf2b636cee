"""
How many rows stand at which version.
"""

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.commands.coverage_counting import Counted, Counting, IndexState
from docstore.commands.process import utc_now
from docstore.core.coverage import Coverage, rows_below
from docstore.core.kind import Kind
from docstore.core.remaining_rows import RemainingRows, remaining_rows
from docstore.errors import VersionRangeError
from docstore.mongo.counting import Way
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.index_cost import MissingIndexCost


class CountResult(BaseModel):
    """What goes with a report on the rows of one kind."""

    model_config = ConfigDict(frozen=True)

    index: IndexState
    #: Rows below the version that was required; None if none was.
    below_required: int | None = None
    #: What was read to count.
    way: Way = Way.ROWS
    #: What the missing index costs; None where it is there, or nobody knows.
    cost: MissingIndexCost | None = None
    #: Whether it is kept: for the history, and for the time that no row has stood below a version.
    recorded: bool = False


class CoverageResult(CountResult):
    """The coverage of one kind, and what goes with it."""

    report: Coverage


class RemainingResult(CountResult):
    """What stands below latest of one kind, and what goes with it."""

    report: RemainingRows


async def coverage(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    require: int | None = None,
    create_index: bool = False,
    on_index_build: Callable[[str], None] | None = None,
    majority: bool = False,
    record: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> list[CoverageResult]:
    """
    Count the rows of each kind by version.

    On a replica set the counts of a kind are of one moment and cannot be rolled back. Reads as many keys of the (tag,
    `_id`) index as there are rows, or, where it is missing, every row. Rows are never written.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kinds: Whose rows to count.
        require: Also count the rows below this version.
        create_index: Build the indexes on the tag first, where one is missing.
        on_index_build: Called with a kind's name before its indexes are built, which can take long.
        majority: First wait until a majority of the members has acknowledged every write that was made before, so that
            none is missed that was made with a lower write concern.
        record: Keep the counts in `docstore_coverage`: for the history, and for the time that no row has stood below a
            version, which a retirement asks for. Where the user may not write there, `recorded` is false.
        now: The clock that the report is dated with.

    Raises:
        VersionRangeError: *require* is no version of a kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    counting = Counting(
        database,
        now,
        majority=majority,
        record=record,
        create_index=create_index,
        on_index_build=on_index_build,
    )
    results = []
    for kind in kinds:
        _refuse_version(kind, require)
        found = await counting.count(kind)
        results.append(CoverageResult(report=found.coverage, **_beside(kind, found, require)))
    return results


async def remaining(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    require: int | None = None,
    create_index: bool = False,
    on_index_build: Callable[[str], None] | None = None,
    majority: bool = False,
    record: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> list[RemainingResult]:
    """
    Count the rows of each kind below latest, for the price of those: what stands at latest is not looked at.

    Where the (tag, `_id`) index is missing every row is read all the same. See `coverage` for the arguments.

    Raises:
        VersionRangeError: *require* is no version of a kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    counting = Counting(
        database,
        now,
        majority=majority,
        record=record,
        create_index=create_index,
        on_index_build=on_index_build,
    )
    results = []
    for kind in kinds:
        _refuse_version(kind, require)
        found = await counting.count(kind, below=kind.latest)
        report = remaining_rows(kind, found.coverage)
        results.append(RemainingResult(report=report, **_beside(kind, found, require)))
    return results


def _beside(kind: Kind[Any], found: Counted, require: int | None) -> dict[str, Any]:
    return {
        "index": found.index,
        "below_required": None if require is None else rows_below(kind, found.coverage, require),
        "way": found.way,
        "cost": found.cost,
        "recorded": found.recorded,
    }


def _refuse_version(kind: Kind[Any], require: int | None) -> None:
    if require is not None and not kind.floor <= require <= kind.latest:
        raise VersionRangeError(kind=kind.name, asked=require, floor=kind.floor, latest=kind.latest)
