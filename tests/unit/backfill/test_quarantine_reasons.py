"""
Rows in quarantine are told reason by reason, and no number of reasons is too great.
"""

import datetime
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from docstore.backfill import quarantine_reasons as module
from docstore.backfill.quarantine_reasons import quarantine_reasons
from docstore.core.direction import Direction
from docstore.mongo.quarantine import KeptRecord, Quarantine, QuarantineRecord
from tests.kinds import place_kind

NOON = datetime.datetime(2026, 3, 14, 12, tzinfo=datetime.UTC)


def kept(hour: int, *, error: str = "ValueError", path: str | None = None) -> KeptRecord:
    record = QuarantineRecord(
        row_id=hour, version=1, target=3, direction=Direction.UP, step=2, error=error, reason="why", path=path
    )
    at = NOON + datetime.timedelta(hours=hour)
    return KeptRecord(record=record, tries=1, first_seen=at, last_seen=at + datetime.timedelta(minutes=1))


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[KeptRecord]:
    found: list[KeptRecord] = []

    async def all_of(*_: Any, **__: Any) -> AsyncGenerator[KeptRecord, None]:
        for each in found:
            yield each

    monkeypatch.setattr(Quarantine, "__init__", lambda *_: None)
    monkeypatch.setattr(Quarantine, "kept", all_of)
    return found


async def told() -> Sequence[module.QuarantineReason]:
    database: Any = None
    return await quarantine_reasons(database, place_kind())


async def test_the_reason_of_the_most_rows_comes_first_with_when_it_was_seen(records: list[KeptRecord]) -> None:
    records += [kept(5, error="TypeError"), kept(3, path="a"), kept(9, path="a"), kept(1, path="a")]

    first, second = await told()

    assert (first.error, first.path, first.rows) == ("ValueError", "a", 3)
    assert (first.first_seen, first.last_seen) == (
        NOON + datetime.timedelta(hours=1),
        NOON + datetime.timedelta(hours=9, minutes=1),
    )
    assert (second.error, second.version, second.target, second.step) == ("TypeError", 1, 3, 2)


async def test_paths_that_hold_keys_of_rows_do_not_fill_the_memory(records: list[KeptRecord]) -> None:
    records += [kept(0, path=f"names.{number}") for number in range(1500)]

    found = await told()

    assert len(found) == 1001
    assert (found[0].path, found[0].rows) == (None, 500)
    assert sum(each.rows for each in found) == 1500
