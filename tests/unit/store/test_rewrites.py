"""
Which events of a batch are rewrites, and how few questions that takes.
"""

from collections.abc import Sequence
from typing import Any

from bson.int64 import Int64
from bson.timestamp import Timestamp

from docstore.core.bson_values import decode, encode
from docstore.mongo.past_rows import just_before, key_of
from docstore.mongo.row_events import RowEvent
from docstore.store.rewrites import Rewrites
from tests.kinds import place_kind, stored

TAG = frozenset({"schema_version", "name"})


class Past:
    """
    Rows by time, known from a time on.
    """

    def __init__(self, *, known_from: int = 0) -> None:
        self.rows: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
        self.known_from = known_from
        self.asked: list[tuple[int, int]] = []

    def put(self, time: int, row: dict[str, Any]) -> None:
        self.rows.setdefault(row["_id"], []).append((time, row))

    async def at(self, time: Timestamp, ids: Sequence[Any]) -> dict[bytes, bytes] | None:
        self.asked.append((time.time, len(ids)))
        if time.time < self.known_from:
            return None
        found: dict[bytes, bytes] = {}
        for row_id in ids:
            versions = [row for at, row in self.rows.get(row_id, []) if at <= time.time]
            if versions:
                found[key_of(row_id)] = encode(versions[-1])
        return found


def event(time: int, row_id: Any, *, operation: str = "update", changed: frozenset[str] = TAG, **more: Any) -> RowEvent:
    facts: dict[str, Any] = {"document": None, "exact": False, "before": None, **more}
    # Increments of zero make the moment before an event the second before it.
    return RowEvent(operation, row_id, {}, Timestamp(time, 0), changed, **facts)


async def rewrites(past: Past, events: list[RowEvent]) -> list[int]:
    return sorted(await Rewrites(place_kind(), past).among(events))  # type: ignore[arg-type]


async def test_two_questions_tell_the_rewrites_of_a_whole_batch() -> None:
    past = Past()
    for number in range(100):
        past.put(1, stored(1, number))
        past.put(10 + number, stored(3, number, "Bergen" if number == 50 else "Oslo"))
    events = [event(10 + number, number) for number in range(100)]

    assert await rewrites(past, events) == [*range(50), *range(51, 100)]
    assert past.asked == [(9, 100), (109, 100)]


async def test_a_row_that_is_met_twice_is_asked_for_at_the_very_moments() -> None:
    past = Past()
    past.put(1, stored(1, 1))
    past.put(10, stored(3, 1))
    past.put(11, stored(3, 1, visits=1))
    past.put(12, stored(2, 1, visits=1))
    events = [event(10, 1), event(11, 1, changed=frozenset({"visits"})), event(12, 1)]

    assert await rewrites(past, events) == [0, 2]
    assert past.asked == [(9, 1), (10, 1), (11, 1), (12, 1)]


async def test_of_a_batch_whose_past_is_known_in_part_that_part_is_judged() -> None:
    past = Past(known_from=13)
    for number in range(8):
        past.put(1, stored(1, number))
        past.put(10 + number, stored(3, number))

    assert await rewrites(past, [event(10 + number, number) for number in range(8)]) == [4, 5, 6, 7]


async def test_nothing_is_asked_where_no_event_touches_the_tag_or_images_tell() -> None:
    past = Past()
    before, after = encode(stored(1, 2)), encode(stored(3, 2))
    events = [
        event(10, 1, changed=frozenset({"visits"})),
        event(11, 2, document=after, exact=True, before=before),
        event(12, 3, operation="insert", document=after, exact=True),
        event(13, 4, operation="delete"),
        event(14, None, operation="drop"),
    ]

    assert await rewrites(past, events) == [1]
    assert past.asked == []


async def test_a_row_that_was_not_there_before_or_is_not_after_is_no_rewrite() -> None:
    past = Past()
    past.put(1, stored(1, 2))

    assert await rewrites(past, [event(10, 1), event(11, 3)]) == []


async def test_a_row_whose_tag_stays_is_no_rewrite_even_if_nothing_else_changes() -> None:
    row = encode(stored(3, 1))
    assert decode(row)["schema_version"] == 3
    assert await rewrites(Past(), [event(10, 1, operation="replace", document=row, exact=True, before=row)]) == []


async def test_a_row_that_cannot_be_read_is_no_rewrite() -> None:
    before, after = encode(stored(3, 1)), encode(stored(4, 1))
    assert await rewrites(Past(), [event(10, 1, document=after, exact=True, before=before)]) == []


def test_the_moment_before_the_first_of_a_second_is_the_last_of_the_second_before() -> None:
    assert just_before(Timestamp(5, 3)) == Timestamp(5, 2)
    assert just_before(Timestamp(5, 1)) == Timestamp(5, 0)
    assert just_before(Timestamp(5, 0)) == Timestamp(4, 2**32 - 1)


UP_AND_DOWN = [event(10, 1), event(10, 1, changed=frozenset({"slug"})), event(10, 1)]


async def test_what_a_transaction_does_to_a_row_that_it_takes_up_and_down_is_told_once() -> None:
    past = Past()
    past.put(1, stored(2, 1))
    past.put(10, stored(2, 1, visits=1))

    assert await rewrites(past, UP_AND_DOWN) == [0, 1]
    # Nobody knows whether it changed anything.
    assert await rewrites(Past(known_from=13), UP_AND_DOWN) == [0, 1]


async def test_a_transaction_that_takes_a_row_up_and_down_and_changes_nothing_is_not_told() -> None:
    past = Past()
    past.put(1, stored(2, 1))
    past.put(10, {**stored(2, 1), "schema_version": Int64(2)})

    assert await rewrites(past, UP_AND_DOWN) == [0, 1, 2]


async def test_a_row_that_is_inserted_at_latest_and_taken_down_is_told_as_inserted() -> None:
    inserted = event(10, 1, operation="insert", changed=frozenset(), document=encode(stored(3, 1)), exact=True)
    past = Past()
    past.put(10, stored(2, 1))

    assert await rewrites(past, [inserted, event(10, 1)]) == [1]
    past.put(10, stored(2, 1, visits=1))
    assert await rewrites(past, [inserted, event(10, 1)]) == []


async def test_what_else_happens_to_a_row_in_one_transaction_is_told() -> None:
    past = Past()
    past.put(1, stored(2, 1))
    twice = [event(10, 1, changed=frozenset({"visits"})), event(10, 1, changed=frozenset({"tags"}))]

    assert await rewrites(past, twice) == []
    assert await rewrites(past, [event(10, 1), event(10, 1, operation="delete", changed=frozenset())]) == []
