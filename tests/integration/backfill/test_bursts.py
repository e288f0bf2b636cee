"""
The few rows between two pauses, for those who work on the same server: how they are found, rewritten and waited for.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from docstore import commands
from docstore.backfill import client_path, server_path
from docstore.backfill.client_path import BURSTS_AT_ONCE, ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.progress import Meter, Path
from docstore.backfill.range_work import compiled
from docstore.backfill.server_path import rewrite_on_server
from docstore.backfill.validation import Validation
from docstore.core.id_range import BEGINNING, IdRange
from docstore.mongo.tag_index import build_tag_index
from tests.integration.backfill.conftest import counters

#: An odd row at the end of bursts of two.
ROWS = 31
#: Rows whose ids are asked for together.
ASKED = 20


class Commands(CommandListener):
    """
    The reads and updates of rows that a client sent, in their order.
    """

    def __init__(self) -> None:
        self.sent: list[CommandStartedEvent] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name in {"find", "update"} and event.command.get(event.command_name) == "counters":
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
    def names(self) -> Sequence[str]:
        """
        What was sent, in short.
        """
        return [event.command_name for event in self.sent]


class Pauses:
    """
    Pauses that take no time.
    """

    def __init__(self, sent: Commands) -> None:
        self._sent = sent
        #: What had been sent when each began, and how many reads that was said to be.
        self.after: list[tuple[int, int]] = []

    async def breathe(self, reads: int) -> None:
        """
        Note a pause.
        """
        self.after.append((len(self._sent.sent), reads))


@pytest.fixture
def sent() -> Commands:
    """
    The commands of `begun`.
    """
    return Commands()


@pytest.fixture
def pauses(sent: Commands) -> Pauses:
    """
    The pauses of `begun`.
    """
    return Pauses(sent)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fewer ids at once than there are rows.
    """
    monkeypatch.setattr(server_path, "IDS_AT_ONCE", ASKED)


@pytest.fixture
async def begun(
    mongod_uri: str, database_name: str, sent: Commands, pauses: Pauses, request: pytest.FixtureRequest
) -> AsyncIterator[RunContext]:
    """
    A run of bursts of two rows, over rows of version 1.
    """
    async with AsyncMongoClient[dict[str, Any]](mongod_uri, event_listeners=[sent]) as client:
        database = client[database_name]
        index = await build_tag_index(database, "counters", "schema_version")
        await database["counters"].insert_many(
            [{"_id": number, "schema_version": 1, "steps": 0} for number in range(ROWS)]
        )
        sent.sent.clear()
        yield RunContext(
            database=database,
            kind=counters(on_server=request.param is Path.SERVER),
            target=3,
            meter=Meter(),
            stop=asyncio.Event(),
            begun=commands.utc_now(),
            with_text=False,
            validation=Validation(None, chance=random.Random(1)),
            now=commands.utc_now,
            index=index,
            collated=False,
            breathe=pauses.breathe,
            burst=lambda _: 2,
        )
        await client.drop_database(database_name)


async def rewritten(context: RunContext) -> None:
    """
    Rewrite all rows inside the server.
    """
    rows = context.old_rows(1)
    chain = compiled(context, 1)
    assert chain is not None
    whole = IdRange(BEGINNING, ROWS - 1)
    await rewrite_on_server(context, rows, chain, whole, ClientPath(context, rows), size=ROWS)
    assert await context.database["counters"].count_documents({"schema_version": 3, "steps": 2}) == ROWS


@pytest.mark.parametrize("begun", [Path.SERVER], indirect=True)
async def test_the_ends_of_many_bursts_are_asked_for_at_once(begun: RunContext, sent: Commands, pauses: Pauses) -> None:
    await rewritten(begun)

    in_each = ASKED // 2
    assert sent.names == ["find", *["update"] * in_each, "find", *["update"] * (ROWS // 2 - in_each + 1)]
    # A pause after each but the last, and the reads are told as docstore's own.
    assert [number for number, _ in pauses.after] == list(range(1, len(sent.sent)))
    assert [reads for _, reads in pauses.after] == [int(name == "find") for name in sent.names[:-1]]


@pytest.mark.parametrize("begun", [Path.SERVER], indirect=True)
async def test_only_the_last_burst_of_a_range_waits_for_the_members(begun: RunContext, sent: Commands) -> None:
    await rewritten(begun)

    *others, last = [event.command.get("writeConcern") or {} for event in sent.sent if event.command_name == "update"]
    assert all(concern is not None and concern["w"] == 1 for concern in others)
    # The server's own default is the majority.
    assert last == {}


@pytest.mark.parametrize("begun", [Path.SERVER], indirect=True)
async def test_the_rest_of_a_range_is_rewritten_at_once_where_nobody_is_there_any_more(
    begun: RunContext, sent: Commands
) -> None:
    sizes = iter([2, 2, 2])

    await rewritten(replace(begun, burst=lambda _: next(sizes, None)))

    # One for the question, and one for each burst.
    assert sent.names == ["find", "update", "update", "update"]


@pytest.mark.parametrize("begun", [Path.CLIENT], indirect=True)
async def test_in_python_nothing_is_asked_of_the_server_during_a_pause(
    begun: RunContext, sent: Commands, pauses: Pauses
) -> None:
    await ClientPath(begun, begun.old_rows(1)).rewrite()

    assert await begun.database["counters"].count_documents({"schema_version": 3, "steps": 2}) == ROWS
    # One read for some bursts; the next comes after all of them, and the last finds nothing more.
    pages, rest = divmod(ROWS, 2 * BURSTS_AT_ONCE)
    of_a_page = ["find", *["update"] * BURSTS_AT_ONCE]
    assert sent.names == [*of_a_page * pages, "find", *["update"] * ((rest + 1) // 2), "find"]
    # A pause after each but the last, and the reads are told as docstore's own.
    assert [number for number, _ in pauses.after] == list(range(1, len(sent.sent)))
    assert [reads for _, reads in pauses.after] == [int(name == "find") for name in sent.names[:-1]]


@pytest.mark.parametrize("begun", [Path.CLIENT], indirect=True)
async def test_in_python_no_further_burst_begins_when_the_worker_is_to_stop(
    begun: RunContext, sent: Commands, pauses: Pauses
) -> None:
    async def breathe(reads: int) -> None:
        await pauses.breathe(reads)
        if sent.names.count("update") == 2:
            begun.stop.set()

    await ClientPath(replace(begun, breathe=breathe), begun.old_rows(1)).rewrite()

    # The burst that was upgraded in the pause is written.
    assert sent.names.count("update") == 3
    assert await begun.database["counters"].count_documents({"schema_version": 3, "steps": 2}) == 3 * 2


@pytest.mark.parametrize("begun", [Path.CLIENT], indirect=True)
@pytest.mark.parametrize("most", [None, 3])
async def test_rows_that_turn_out_slow_are_not_kept_until_their_page_is_done(
    begun: RunContext, sent: Commands, pauses: Pauses, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    # Every row takes longer than the whole page should.
    monkeypatch.setattr(client_path, "TURN", -1.0)
    monkeypatch.setattr(client_path, "SLOW", -1.0)

    async def breathe(reads: int) -> None:
        await pauses.breathe(reads)
        if len(pauses.after) == most:
            begun.stop.set()

    await ClientPath(replace(begun, breathe=breathe, burst=lambda _: None), begun.old_rows(1)).rewrite()

    done = most or ROWS
    assert await begun.database["counters"].count_documents({"schema_version": 3, "steps": 2}) == done
    assert sent.names.count("update") == done
    # The page is read once, and the one after it is found empty.
    assert [reads for _, reads in pauses.after] == [1, *[0] * (done - 1)]
    assert sent.names.count("find") == 2
