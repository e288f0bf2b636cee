"""
The fence in front of a collection: read, put beside what users validate by themselves, and taken away again.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bson.binary import Binary, UuidRepresentation
from pymongo.errors import OperationFailure

from docstore.core.bson_values import CODEC
from docstore.core.fence import FenceBounds, ValidatorParts, merge, split
from docstore.core.fence_level import FenceLevel, Obstacle, RowsAgainst, fence_level
from docstore.core.floor_state import Validation
from docstore.errors import FenceRefusedError, StoreRejectedError, StoreTimeoutError
from docstore.mongo.counting import count_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, newest, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.fence_command import options_of, shell_command

#: How long a change waits for transactions that are open on the collection, in milliseconds.
MAX_TIME_MS: Final = 5_000

_UNAUTHORIZED: Final = 13
_NO_COLLECTION: Final = 26
_NAME_TAKEN: Final = 48


@dataclass(frozen=True, slots=True)
class CollectionFence:
    """
    How a collection is validated, and what of that is a fence.
    """

    #: None where there is no such collection, or where it is a view.
    uuid: uuid.UUID | None
    #: All of it, as the server has it.
    validation: Validation
    parts: ValidatorParts
    #: "collection", or what else has its name: "view", "timeseries"; None where nothing has.
    type: str | None = None

    @property
    def bounds(self) -> FenceBounds | None:
        """
        What the fence lets in; None where there is none, or where its clause was changed by hand.
        """
        return self.parts.bounds

    @property
    def holds(self) -> bool:
        """
        Whether there is a fence as docstore puts it up, and rows outside it are refused.
        """
        return self.parts.bounds is not None and self.validation.action == "error" and self.validation.level != "off"


@dataclass(frozen=True, slots=True)
class RaisedFence:
    """
    What a fence was put beside.
    """

    level: FenceLevel
    #: The users' own part, with the level and the action that it had before any fence.
    own: Validation
    #: How the collection was validated just before, a fence included; None where the collection was not there.
    before: Validation | None


async def read_fence(database: AnyDatabase, collection: str) -> CollectionFence:
    """
    Return how a collection is validated on the primary; reads only. On mongomock, which validates nothing: not at all.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return CollectionFence(None, Validation(), ValidatorParts(None, None))
    # By a command: the driver's own listing decodes by the client's options.
    command = {"listCollections": 1, "filter": {"name": collection}}
    with translated():
        answer = await newest(database).command(command, codec_options=CODEC)
    entries: list[Mapping[str, Any]] = answer["cursor"]["firstBatch"]
    if not entries:
        return CollectionFence(None, Validation(), ValidatorParts(None, None))
    options = entries[0].get("options", {})
    # An empty validator is none.
    validator = options.get("validator") or None
    validation = Validation(
        validator, options.get("validationLevel", "strict"), options.get("validationAction", "error")
    )
    found = entries[0].get("info", {}).get("uuid")
    own_uuid = found.as_uuid(UuidRepresentation.STANDARD) if isinstance(found, Binary) else found
    return CollectionFence(own_uuid, validation, split(validator), entries[0].get("type", "collection"))


async def raise_fence(
    database: AnyDatabase,
    collection: str,
    bounds: FenceBounds,
    *,
    level: FenceLevel | None = None,
    was: Validation | None = None,
    max_time_ms: int = MAX_TIME_MS,
) -> RaisedFence:
    """
    Have the server refuse rows outside *bounds*; a fence that is there is replaced, the users' own rules stay.

    In one moment, and only if nothing is in the way; may be repeated. Where the fence is as it should be, the server is
    not asked for anything. A collection that does not exist is created.

    Args:
        database: A Motor or PyMongo Async database.
        collection: The collection.
        bounds: What is let in.
        level: Strict or moderate, in so many words; by default what `fence_level` says.
        was: What users had before a fence was put up; of it the level and the action count.
        max_time_ms: How long to wait for open transactions. Every other call that begins meanwhile waits too.

    Raises:
        FenceRefusedError: The users' own rules would no longer do what they did; or open transactions did not end in
            time; or this user may not do it (then it carries the command).
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        raise FenceRefusedError(
            kind=bounds.kind, reason="mongomock validates nothing", advice="a real server has validators"
        )
    while True:
        found = await read_fence(database, collection)
        if found.type not in {None, "collection"}:
            raise FenceRefusedError(kind=bounds.kind, reason=f"{collection} is a {found.type}, which has no validator")
        own = own_rules(found, was)
        # A fence that stands at this level already does to the users' own rules what it did.
        stands = level is not None and found.holds and found.validation.level == level
        chosen = level if stands and level else await level_beside(database, collection, bounds, own, level)
        wanted = Validation(merge(own.validator, bounds), chosen.value)
        raised = RaisedFence(chosen, own, None if found.type is None else found.validation)
        if found.type is not None:
            if found.validation != wanted:
                await _change(database, collection, wanted, kind=bounds.kind, max_time_ms=max_time_ms)
            return raised
        if await _create(database, collection, wanted, kind=bounds.kind):
            return raised


async def remove_fence(
    database: AnyDatabase,
    collection: str,
    *,
    kind: str,
    was: Validation | None = None,
    max_time_ms: int = MAX_TIME_MS,
) -> bool:
    """
    Take the fence away, and leave the users' own rules as they are now; tell whether there was one.

    Args:
        database: A Motor or PyMongo Async database.
        collection: The collection.
        kind: The kind's name, for errors.
        was: What users had before a fence was put up; its level and its action come back.
        max_time_ms: How long to wait for open transactions.

    Raises:
        FenceRefusedError: See `raise_fence`.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    found = await read_fence(database, collection)
    if found.bounds is None and not found.parts.altered:
        return False
    await _change(database, collection, own_rules(found, was), kind=kind, max_time_ms=max_time_ms)
    return True


async def put_back(
    database: AnyDatabase, collection: str, before: Validation, *, kind: str, max_time_ms: int = MAX_TIME_MS
) -> None:
    """
    Have a collection validated as it was *before*; may be repeated. A collection that is gone stays so.

    Raises:
        FenceRefusedError: See `raise_fence`.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    found = await read_fence(database, collection)
    if found.type is not None and found.validation != before:
        await _change(database, collection, before, kind=kind, max_time_ms=max_time_ms)


def own_rules(found: CollectionFence, was: Validation | None) -> Validation:
    """
    Return the users' own part of a validator, with the level and the action that it had before any fence (*was*).
    """
    before = found.validation if was is None else was
    return replace(before, validator=found.parts.own)


async def level_beside(
    database: AnyDatabase, collection: str, bounds: FenceBounds, own: Validation, asked: FenceLevel | None
) -> FenceLevel:
    """
    Return the level at which a fence does no harm to the users' own rules; counts rows where that depends on them.

    Rows outside the fence are counted by the (tag, `_id`) index where it exists; those that the users' own rules do not
    let in by reading every row, and only where these are moderate.

    Raises:
        FenceRefusedError: There is none; carries the way out.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = RowsAgainst(0)
    if asked is None or (asked is FenceLevel.STRICT and own.validator):
        counts = await count_rows(database, kind=bounds.kind, collection=collection, field=bounds.field)
        outside = sum(tags.rows for tags in bounds.outside(counts.tags))
        rules = own.validator if own.level == FenceLevel.MODERATE and not outside else None
        rows = RowsAgainst(outside, await rows_against(database, collection, rules) if rules else 0)
    chosen = fence_level(own, rows, asked=asked, name=collection)
    if isinstance(chosen, Obstacle):
        raise FenceRefusedError(kind=bounds.kind, reason=chosen.reason, advice=chosen.advice)
    return chosen


async def rows_against(database: AnyDatabase, collection: str, rule: Mapping[str, Any]) -> int:
    """
    Return how many rows do not meet a rule of a validator. Reads every row.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = open_collection(database, collection, primary=True)
    with translated():
        return int(await rows.count_documents({"$nor": [dict(rule)]}))


async def _change(database: AnyDatabase, collection: str, wanted: Validation, *, kind: str, max_time_ms: int) -> None:
    command = {"collMod": collection, **options_of(wanted), "maxTimeMS": max_time_ms}
    try:
        with translated():
            await database.command(command, codec_options=CODEC)
    except StoreTimeoutError as error:
        raise FenceRefusedError(
            kind=kind,
            reason=f"transactions on {collection} did not end within {max_time_ms / 1000:g} s, and the collection's "
            "rules cannot change under them",
            advice="the same command again, when they are over",
        ) from error
    except StoreRejectedError as error:
        raise _without_privilege(error, collection, wanted, kind=kind) from error


async def _create(database: AnyDatabase, collection: str, wanted: Validation, *, kind: str) -> bool:
    """
    Create the collection; tell whether the name was free.
    """
    try:
        with translated():
            try:
                await database.command({"create": collection, **options_of(wanted)}, codec_options=CODEC)
            except OperationFailure as error:
                if error.code != _NAME_TAKEN:
                    raise
                return False
    except StoreRejectedError as error:
        raise _without_privilege(error, collection, wanted, kind=kind) from error
    return True


def _without_privilege(
    error: StoreRejectedError, collection: str, wanted: Validation, *, kind: str
) -> FenceRefusedError | StoreRejectedError:
    if error.code == _NO_COLLECTION:
        return FenceRefusedError(
            kind=kind, reason=f"{collection} was dropped at the same moment", advice="the same command again"
        )
    if error.code != _UNAUTHORIZED:
        return error
    return FenceRefusedError(
        kind=kind,
        reason=f"this user may not change how {collection} is validated (the privilege collMod is missing)",
        advice="an administrator types the command below into a shell on this database; then the same command again",
        command=shell_command(collection, wanted),
    )
