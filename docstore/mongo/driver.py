"""
One way to call Motor, PyMongo Async and mongomock-motor.

They share most names; `settled` covers the calls that are awaitable in one and not in the other. Drivers are told
apart by the module of their classes: an unknown attribute of a database is a collection, so `hasattr` tells nothing.
"""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, TypeAlias

from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from docstore.core.bson_values import CODEC

#: A database of Motor, PyMongo Async or mongomock-motor. The three share no base class, and Motor has no types.
AnyDatabase: TypeAlias = Any
#: A collection of one of the three.
AnyCollection: TypeAlias = Any
#: A session of one of the three.
AnySession: TypeAlias = Any


class Driver(Enum):
    """Which library a database object comes from."""

    #: `motor.motor_asyncio`: past its end of life, and what many services run.
    MOTOR = "motor"
    #: `pymongo.asynchronous`, the driver for new services.
    PYMONGO = "pymongo"
    #: mongomock-motor: for users' quick unit tests; see `docs/mock.md` for what it cannot do.
    MOCK = "mongomock"


def driver_of(database: AnyDatabase) -> Driver:
    """
    Tell which library a database object comes from.

    Raises:
        TypeError: It comes from none of the three (a synchronous PyMongo database, for example).
    """
    modules = [base.__module__ for base in type(database).__mro__]
    # Asked first: the mock's classes claim to stand in Motor's module.
    if any(module.startswith("mongomock_motor") for module in modules):
        return Driver.MOCK
    if any(module.startswith("motor.") for module in modules):
        return Driver.MOTOR
    if any(module.startswith("pymongo.asynchronous.") for module in modules):
        return Driver.PYMONGO
    found = f"{type(database).__module__}.{type(database).__qualname__}"
    msg = f"a Motor or PyMongo Async database is needed, not {found}"
    raise TypeError(msg)


async def settled(result: Any) -> Any:
    """Await a result where the driver at hand returned an awaitable, else return it as it is."""
    return await result if inspect.isawaitable(result) else result


def open_collection(
    database: AnyDatabase, name: str, *, majority: bool = False, primary: bool = False
) -> AnyCollection:
    """
    Return a collection that encodes and decodes as docstore does (`CODEC`).

    Args:
        database: A database of any of the three.
        name: The collection's name.
        majority: Read only what a majority of the members has acknowledged, so that it cannot be rolled back.
        primary: Read what was written last, wherever the caller's client reads.
    """
    if driver_of(database) is Driver.MOCK:
        return database.get_collection(name)
    options: dict[str, Any] = {"codec_options": CODEC}
    if majority:
        options["read_concern"] = ReadConcern("majority")
    if primary:
        options["read_preference"] = ReadPreference.PRIMARY
    return database.get_collection(name, **options)


def newest(database: AnyDatabase) -> AnyDatabase:
    """Return the same database, read as the primary has it, wherever the caller's client reads."""
    if driver_of(database) is Driver.MOCK:
        return database
    return database.with_options(read_preference=ReadPreference.PRIMARY)


@asynccontextmanager
async def snapshot_session(database: AnyDatabase) -> AsyncIterator[AnySession]:
    """
    Open a session in which every read sees the database at one and the same moment.

    Needs a replica set. What is read is majority-committed. Writes are not possible in it.
    """
    session = await settled(database.client.start_session(causal_consistency=False, snapshot=True))
    async with session:
        yield session
