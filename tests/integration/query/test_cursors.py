"""
How a cursor goes through its rows, and what it asks of the server for them.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from structlog.testing import capture_logs

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.errors import (
    CursorBrokenError,
    InvalidDocumentError,
    NewerVersionError,
    StoreRejectedError,
    StoreUnavailableError,
)
from docstore.store.query import Queries
from docstore.store.rows import RowReader

Row = dict[str, Any]


class Page(Document):
    title: str
    size: int = 0


page = Kind("page", collection="pages", model=Page, steps=[Step(ops.RenameField("headline", "title"), to=2)])


class Commands(CommandListener):
    """
    The commands that a client sent.
    """

    def __init__(self) -> None:
        self.sent: list[CommandStartedEvent] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """
        Nothing to note.
        """

    def failed(self, event: CommandFailedEvent) -> None:
        """
        Nothing to note.
        """

    @property
    def names(self) -> list[str]:
        return [event.command_name for event in self.sent]


@pytest.fixture
async def watched(mongod_uri: str, database: AsyncDatabase[Row]) -> AsyncIterator[tuple[Queries[Page], Commands]]:
    """
    Queries of the test's database on a client whose commands are noted.
    """
    commands = Commands()
    async with AsyncMongoClient[Row](mongod_uri, event_listeners=[commands]) as client:
        yield Queries(client[database.name], page, RowReader(page)), commands


def _row(number: int, **fields: Any) -> Row:
    return {"_id": number, "title": "a", **fields, "schema_version": 2}


def _old(number: int) -> Row:
    return {"_id": number, "headline": "a"}


async def _filled(database: Any, rows: list[Row]) -> Queries[Page]:
    await database["pages"].insert_many(rows)
    return Queries(database, page, RowReader(page))


async def test_nothing_is_asked_before_the_first_document_is_wanted(watched: tuple[Queries[Page], Commands]) -> None:
    queries, commands = watched
    cursor, stale = queries.find(), queries.find({"title": "a"})
    assert commands.names == []
    assert await cursor.to_list() == await stale.to_list() == []
    assert commands.names[0] == "find"


async def test_a_query_on_untouched_paths_is_one_ordinary_find(
    watched: tuple[Queries[Page], Commands], database: AsyncDatabase[Row]
) -> None:
    await database["pages"].insert_many([_old(1), _row(2, size=3)])
    queries, commands = watched
    found = await queries.find({"size": {"$gte": 0}}, sort=[("size", 1)], skip=0, limit=5).to_list()
    assert [one.id for one in found] == [2]
    assert await queries.count({"size": 3}) == 1
    assert commands.names == ["find", "aggregate"]
    assert "readConcern" not in commands.sent[0].command


async def test_a_query_on_touched_paths_is_a_look_and_a_find_once_nothing_old_is_stored(
    watched: tuple[Queries[Page], Commands], database: AsyncDatabase[Row]
) -> None:
    await database["pages"].create_index([("schema_version", 1), ("_id", 1)])
    await database["pages"].insert_many([_row(number) for number in range(5)])
    queries, commands = watched
    assert len(await queries.find({"title": "a"}).to_list()) == 5
    assert commands.names == ["aggregate", "find"]
    look, find = (event.command["readConcern"] for event in commands.sent)
    assert look["level"] == find["level"] == "snapshot"
    assert find["atClusterTime"] is not None


@pytest.mark.parametrize("filter", [{}, {"title": {"$gte": ""}}])
async def test_iteration_holds_one_batch_of_the_servers_at_a_time_and_gives_the_rest_back(
    watched: tuple[Queries[Page], Commands], database: AsyncDatabase[Row], filter: Row
) -> None:
    filling = "x" * 900_000
    for number in range(45):
        await database["pages"].insert_one({**_old(number), "headline": filling})
    queries, commands = watched
    async with queries.find(filter) as cursor:
        fetched = [commands.names.count("getMore") async for _ in cursor]
    assert len(fetched) == 45
    # 16 MB hold 18 such rows: the next batch is not fetched before these are used up.
    assert fetched[0] == fetched[16] < fetched[18] < fetched[44]
    assert "killCursors" not in commands.names
    async with queries.find(filter) as cursor:
        await anext(cursor)
    assert commands.names[-1] in {"killCursors", "endSessions"}
    assert "killCursors" in commands.names


async def test_a_cursor_goes_forward_only(any_database: Any) -> None:
    queries = await _filled(any_database, [_row(number) for number in range(10)])
    cursor = queries.find(sort=[("_id", 1)])
    assert (await anext(cursor)).id == 0
    assert [one.id for one in await cursor.to_list(3)] == [1, 2, 3]
    assert await cursor.to_list(0) == []
    assert [one.id async for one in cursor] == [4, 5, 6, 7, 8, 9]
    assert await cursor.to_list() == []
    assert [one async for one in cursor] == []


async def test_a_closed_cursor_is_at_its_end(any_database: Any) -> None:
    queries = await _filled(any_database, [_row(number) for number in range(200)])
    async with queries.find() as cursor:
        await anext(cursor)
    assert await cursor.to_list() == []
    await cursor.close()
    unopened = queries.find()
    await unopened.close()
    assert await unopened.to_list() == []


async def test_a_row_that_cannot_be_read_ends_the_iteration_where_it_stands(any_database: Any) -> None:
    queries = await _filled(any_database, [_row(1), _row(2), _row(3, size="x"), _row(4)])
    cursor = queries.find(sort=[("_id", 1)])
    assert [(await anext(cursor)).id, (await anext(cursor)).id] == [1, 2]
    with pytest.raises(InvalidDocumentError):
        await anext(cursor)
    assert await cursor.to_list() == []
    with pytest.raises(InvalidDocumentError):
        await queries.find().to_list()


async def test_skipped_rows_are_listed_and_logged_without_their_values(any_database: Any) -> None:
    rows = [_row(1), _row(2, size="secret"), {**_row(3), "schema_version": 7}, _row(4)]
    queries = await _filled(any_database, rows)
    cursor = queries.find(sort=[("_id", 1)], on_error="skip")
    with capture_logs() as logs:
        assert [one.id async for one in cursor] == [1, 4]
    assert [(row.id, row.error) for row in cursor.skipped] == [
        (2, InvalidDocumentError.__name__),
        (3, NewerVersionError.__name__),
    ]
    assert [(entry["event"], entry["kind"], entry["id"]) for entry in logs] == [
        ("row_skipped", "page", 2),
        ("row_skipped", "page", 3),
    ]
    assert "secret" not in str(logs)


async def test_one_row_by_its_id_is_not_taken_for_an_operator(any_database: Any) -> None:
    queries = await _filled(any_database, [_row(1), {**_row(2), "_id": {"x": 1}}])
    assert await queries.raw_by_id(3) is None
    assert await queries.raw_by_id({"$gt": 0}) is None
    raw = await queries.raw_by_id({"x": 1})
    assert raw is not None
    assert RowReader(page).read(raw).id == {"x": 1}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """
    A port that takes connections and never answers.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("filter", [{}, {"title": "a"}])
async def test_a_server_that_does_not_answer_is_one_error_of_docstores(silent_port: int, filter: Row) -> None:
    uri = f"mongodb://127.0.0.1:{silent_port}/?serverSelectionTimeoutMS=50"
    async with AsyncMongoClient[Row](uri) as client:
        queries = Queries(client["nowhere"], page, RowReader(page))
        with pytest.raises(StoreUnavailableError):
            await queries.find(filter).to_list()
        with pytest.raises(StoreUnavailableError):
            await queries.count(filter)


@pytest.mark.parametrize("filter", [{"size": {"$nonsense": 1}}, {"title": {"$nonsense": 1}}])
async def test_a_filter_that_the_server_refuses_is_one_error_of_docstores(server_database: Any, filter: Row) -> None:
    queries = await _filled(server_database, [_old(1), _row(2)])
    with pytest.raises(StoreRejectedError):
        await queries.find(filter).to_list()
    with pytest.raises(StoreRejectedError):
        await queries.count(filter)


async def test_a_cursor_whose_fetch_was_cancelled_does_not_look_like_one_at_its_end(
    database: AsyncDatabase[Row],
) -> None:
    await database.pages.insert_many([{"_id": number, "schema_version": 2, "title": "t"} for number in range(300)])
    cursor = Queries(database, page, RowReader(page)).find()
    first = await anext(cursor)
    for _ in range(100):
        await anext(cursor)
    fetch = asyncio.create_task(cursor.to_list())
    await asyncio.sleep(0)
    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch
    for again in (cursor.to_list, cursor.__anext__):
        with pytest.raises(CursorBrokenError) as caught:
            await again()
        assert caught.value.kind == "page"
    await cursor.close()
    assert first.id == 0
