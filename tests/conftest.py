"""
What every test may ask for: a real mongod, databases of one's own on each driver, and how thorough to be.

A test that needs a mongod fails where none can be had; nothing is skipped.
"""

import asyncio
import os
import secrets
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import hypothesis
import pytest
from mongomock_motor import AsyncMongoMockClient
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore.backfill.ending import TIME_TO_END, Ending
from docstore.embedded import EmbeddedServer

#: Names the seed of the documents that tests make by chance.
SEED: Final = "DOCSTORE_TEST_SEED"

# A deadline measures the machine, not the code; what is slow meets the timeout of the test.
hypothesis.settings.register_profile("docstore", deadline=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="run the property tests ten times as long")


def pytest_configure(config: pytest.Config) -> None:
    # Set here, so that the workers of pytest-xdist, which are started later, all have the same.
    if os.environ.setdefault(SEED, "1") == "random":
        os.environ[SEED] = str(secrets.randbelow(10**6))
    hypothesis.settings.load_profile("thorough" if config.getoption("--thorough") else "docstore")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave tests that are marked as long to the thorough suite.
    """
    if config.getoption("--thorough"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in set(long)]
    config.hook.pytest_deselected(items=long)


def pytest_report_header() -> str:
    """
    Say from which seed the random documents are made.
    """
    return f"{SEED}={os.environ[SEED]} (any number, or: random)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """
    Print what tests have measured: everything that they recorded as a property.
    """
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, [])]
    measured = [pair for report in reports for pair in report.user_properties]
    for title in sorted({title for title, _ in measured}):
        terminalreporter.section(title)
        for line in sorted(str(value) for name, value in measured if name == title):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """
    Whether the run was asked to take its time (`--thorough`).
    """
    return bool(request.config.getoption("--thorough"))


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let whoever is told to stop finish what is at hand, however long a busy machine takes for it.
    """
    left = Ending.left
    monkeypatch.setattr(Ending, "left", lambda self, of=TIME_TO_END: left(self, 50 * of))


@pytest.fixture(scope="session")
def mongod() -> Iterator[EmbeddedServer]:
    """
    A replica set of one member, for all tests of this worker.

    Transactions and change streams work; for elections ask for `replica_set`.
    """
    yield from _served(EmbeddedServer())


@pytest.fixture(scope="session")
def replica_set() -> Iterator[EmbeddedServer]:
    """
    A replica set of three members, for all tests of this worker that break it; they leave it whole.
    """
    # Members that a busy machine keeps waiting for a second are not dead.
    yield from _served(EmbeddedServer(members=3, election_timeout_ms=3000))


@pytest.fixture(scope="session")
def mongod_uri(mongod: EmbeddedServer) -> str:
    """
    The URI of `mongod`.
    """
    return mongod.uri


@pytest.fixture
def database_name() -> str:
    """
    A name that no other test, worker or run uses.
    """
    return f"test_{uuid.uuid4().hex}"


@pytest.fixture
async def client(mongod_uri: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """
    A PyMongo Async client of `mongod`, bound to the test's own event loop.
    """
    async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
        yield client


@pytest.fixture
async def database(
    client: AsyncMongoClient[dict[str, Any]], database_name: str
) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
    """
    An empty database of PyMongo Async, emptied again after the test.
    """
    database = client[database_name]
    yield database
    await _empty(database)


@pytest.fixture
async def motor_database(
    database: AsyncDatabase[dict[str, Any]], mongod_uri: str
) -> AsyncIterator[AsyncIOMotorDatabase[dict[str, Any]]]:
    """
    The same database as `database`, seen through Motor.
    """
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongod_uri)
    yield client[database.name]
    client.close()


@pytest.fixture
def mock_database(database_name: str) -> Any:
    """
    An empty database of mongomock-motor, in memory.
    """
    return AsyncMongoMockClient()[database_name]


def _served(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


async def _empty(database: AsyncDatabase[dict[str, Any]]) -> None:
    # Dropping the database takes the server 100 ms, whatever is in it; dropping its collections takes 2.
    for name in await database.list_collection_names():
        if not name.startswith("system."):
            await database.drop_collection(name)
