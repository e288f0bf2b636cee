"""
Workers that are killed again and again while others write: nothing is lost, and nothing is done twice (P1, P3).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from docstore.core.bson_values import RawDocument
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.soak.cities import Cities
from tests.soak.soaking import WORKERS, Soak
from tests.soak.told import told
from tests.soak.workers import Workers

TITLE = "Workers killed while others write"


@dataclass(frozen=True, slots=True)
class Course:
    """
    Which path the rows take, to which version, and how many there are.
    """

    path: str
    target: int
    rows: int


@pytest.fixture
async def ground(
    request: pytest.FixtureRequest, mongod_uri: str, database_name: str, start_workers: Callable[..., Workers]
) -> AsyncIterator[Workers]:
    """
    Workers on a database; a million rows have a server of their own, which takes them with it.
    """
    if request.getfixturevalue("thorough"):
        async with EmbeddedServer(cache_gb=1.0) as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
            yield start_workers(client[database_name], server.uri)
    else:
        async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
            yield start_workers(client[database_name], mongod_uri)
            await client.drop_database(database_name)


# On the way to version 4 rows are rewritten by the server, on the way to version 6 by the client.
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "course",
    [pytest.param(Course("server", 4, 16_000), marks=pytest.mark.long), Course("client", 6, 10_000)],
    ids=lambda it: it.path,
)
async def test_nothing_is_lost_or_done_twice_when_workers_are_killed_while_others_write(
    course: Course,
    ground: Workers,
    places: Sequence[RawDocument],
    record_property: Callable[[str, object], None],
    *,
    thorough: bool,
) -> None:
    rows, kills = (1_000_000, 20) if thorough else (course.rows, 1)
    cities = Cities(places, target=course.target)
    soak = Soak(ground.database, ground, cities, rows=rows, kills=kills, seed=course.target)

    outcome = await soak.run()

    record_property(TITLE, told(course.path, rows, outcome))
    assert outcome.faults == []
    assert outcome.complaints == []
    assert outcome.quarantined == 0
    assert (outcome.status.state, outcome.status.remaining) == (RunState.SUCCEEDED, 0)
    assert outcome.kills == (kills,) * WORKERS
    assert outcome.taken_over > 0
    assert outcome.book.writes["unanswered"] == 0
    assert min(outcome.book.writes[each] for each in ("increment", "set", "insert", "insert old", "delete")) > 0
    done = {"server": outcome.status.server, "client": outcome.status.client}
    assert done[course.path] > 0
