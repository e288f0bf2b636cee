"""
Between which versions a backfill may bring rows: not above the write version, and not below what is retired.
"""

from typing import Any

from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.rollout_gates import retired_blockers
from docstore.errors import BackfillRefusedError
from docstore.fleet.membership import Membership
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase, Driver, driver_of


async def ceiling_of(database: AnyDatabase, kind: str) -> int | None:
    """
    Return a kind's write version; None where no node has worked with it yet, and on the mock. Reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    control = (await ControlRecords(database).view()).controls.get(kind)
    return None if control is None else control.write_version


async def target_of(database: AnyDatabase, kind: Kind[Any], asked: int | None) -> int:
    """
    Return the version to which a backfill brings rows: the one that was asked for, else the write version or latest.

    Raises:
        BackfillRefusedError: The one that was asked for lies above the write version.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    ceiling = await ceiling_of(database, kind.name)
    if asked is None:
        return kind.latest if ceiling is None else min(ceiling, kind.latest)
    if ceiling is not None and asked > ceiling:
        raise BackfillRefusedError(
            kind=kind.name,
            reason=f"version {asked} lies above the write version {ceiling}",
            advice=f"docstore rollout advance {kind.name} raises the write version, once every node reads the next one",
        )
    return asked


async def refuse_retired(database: AnyDatabase, kind: str, target: int) -> None:
    """
    Return if rows of a kind may be brought to a version, as far as its recorded floor says; on the mock they may.

    Raises:
        BackfillRefusedError: The version lies below the recorded floor, or below one that is about to be recorded.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return
    blockers = list(retired_blockers((await ControlRecords(database).view()).floors.get(kind), target))
    if blockers:
        raise BackfillRefusedError(
            kind=kind,
            reason="; ".join(blocker.words for blocker in blockers),
            advice=f"docstore rollout history {kind} says who has retired what; docstore backfill start {kind} "
            "--with-retired --wait lifts rows that are below in spite of it",
        )


def above(member: Membership, kind: str, target: int, direction: Direction) -> str:
    """
    Return why a run may not go on at the moment, by what this node knows; empty if it may. Makes no call.
    """
    ceiling = member.ceiling(kind)
    # Tagging rows changes the version of none.
    if ceiling is None or target <= ceiling or direction is Direction.ADOPT:
        return ""
    return f"its target {target} lies above the write version {ceiling}: docstore rollout advance {kind}"
