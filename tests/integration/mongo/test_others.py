"""
Telling the work of others on a real server from docstore's own.
"""

from typing import Any

import pytest

from docstore.core.throttle import Verdict
from docstore.mongo.others import AGES, COURTESY, LEAST, Others

Database = Any


class Clock:
    """
    A clock that a test moves.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1.0
        return self.seconds


async def read(database: Database, times: int) -> None:
    for _ in range(times):
        await database.places.find_one({"_id": 1})


async def test_reads_of_others_are_company_that_asks_for_a_pause(database: Database) -> None:
    others = Others(database, clock=Clock())
    await others.ask()

    await read(database, 200)
    (answer,) = await others.ask()

    assert (answer.signal, answer.verdict, answer.pause) == ("others", Verdict.SLOW_DOWN, COURTESY)
    assert answer.reason.startswith("others work on the server: ")
    assert (answer.value or 0.0) >= 200


async def test_inserts_and_deletes_of_others_are_company(database: Database) -> None:
    others = Others(database, clock=Clock())
    await others.ask()

    for number in range(60):
        await database.places.insert_one({"_id": number})
        await database.places.delete_one({"_id": number})
    (answer,) = await others.ask()

    assert answer.verdict is Verdict.SLOW_DOWN


async def test_what_a_process_says_that_it_did_is_no_company(database: Database) -> None:
    others = Others(database, clock=Clock())
    await others.ask()

    await read(database, 200)
    others.did(200)
    (answer,) = await others.ask()

    assert answer.verdict is Verdict.NORMAL


async def test_processes_of_docstore_are_no_company_to_each_other(database: Database) -> None:
    clock = Clock()
    here, there = Others(database, clock=clock), Others(database, clock=clock)
    await here.ask()
    await there.ask()

    await read(database, 200)
    there.did(200)
    await there.ask()
    (answer,) = await here.ask()

    assert answer.verdict is Verdict.NORMAL


async def test_the_reads_of_the_other_signals_are_no_company(database: Database) -> None:
    others = Others(database, of_a_round=60, clock=Clock())
    await others.ask()

    await read(database, 60)
    (answer,) = await others.ask()

    assert answer.verdict is Verdict.NORMAL


async def test_what_others_did_while_nobody_asked_is_no_company(database: Database) -> None:
    clock = Clock()
    others = Others(database, clock=clock)
    await others.ask()

    await read(database, 2000)
    clock.seconds += AGES
    (answer,) = await others.ask()

    assert answer.verdict is Verdict.NORMAL


async def test_a_few_operations_are_nobody_however_short_the_time_was(database: Database) -> None:
    moments = iter([1.0, 1.1, 1.2])
    others = Others(database, clock=lambda: next(moments))
    await others.ask()

    await read(database, LEAST - 1)
    (answer,) = await others.ask()

    assert answer.verdict is Verdict.NORMAL
    assert answer.value == pytest.approx(10 * (LEAST - 1))


async def test_a_shared_count_that_was_removed_says_nothing_once(database: Database) -> None:
    others = Others(database, clock=Clock())
    others.did(100)
    await others.ask()

    await database.drop_collection("docstore_probe")
    gone = await others.ask()
    (after,) = await others.ask()

    assert gone == []
    assert after.signal == "others"


async def test_it_works_on_motor_too(motor_database: Database) -> None:
    others = Others(motor_database, clock=Clock())

    (answer,) = await others.ask()

    assert answer.signal == "others"


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        pytest.param([200, 0], Verdict.NORMAL, id="a-run-that-begins"),
        pytest.param([200, 200], Verdict.SLOW_DOWN, id="others"),
    ],
)
async def test_the_first_look_takes_for_company_only_what_is_still_there_a_moment_later(
    database: Database, reads: list[int], expected: Verdict
) -> None:
    each = iter(reads)

    async def meanwhile(_: float) -> None:
        await read(database, next(each))

    (answer,) = await Others(database, clock=Clock(), sleep=meanwhile).ask()

    assert answer.verdict is expected
    assert next(each, None) is None
