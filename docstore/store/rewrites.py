"""Which changes are rewrites: a row moved to another version and means what it meant."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bson.timestamp import Timestamp

from docstore.core.kind import Kind
from docstore.core.rewriting import is_rewrite
from docstore.mongo.past_rows import PastRows, just_before, key_of
from docstore.mongo.row_events import RowEvent


class Rewrites:
    """
    Finds the rewrites among events of one kind's rows.

    An event is one only if that is proved: the row just before it and the row just after it, both exact, differ in
    their tags and are the same at the latest shape. Only updates that touch the tag, and replacements, are looked at.
    Where the past is not known any more, nothing is proved. Of a transaction that moves a row to another version and
    changes it, one update is enough to tell.
    """

    def __init__(self, kind: Kind[Any], past: PastRows) -> None:
        self._kind = kind
        self._past = past

    async def among(self, events: Sequence[RowEvent]) -> frozenset[int]:
        """
        Return the positions of the rewrites in a batch of events, which must be all events of their time.

        Raises:
            StoreUnavailableError: The past could not be asked for.
        """
        suspects = [place for place, event in enumerate(events) if self._may_be_one(event)]
        if not suspects:
            return frozenset()
        often = Counter(key_of(event.id) for event in events)
        # A row with one event in the batch was before it as it was before the batch, and is after the batch as it was
        # after the event: so two reads serve them all.
        once = {place for place in suspects if often[key_of(events[place].id)] == 1}
        before, after = await asyncio.gather(
            self._rows(just_before(events[0].time), [events[at].id for at in once if events[at].before is None]),
            self._rows(events[-1].time, [events[at].id for at in once if not events[at].exact]),
        )
        if (before is None or after is None) and len(events) > 1:
            # Of some of them the past may be known: the server forgets its oldest part first.
            middle = len(events) // 2
            earlier, later = await self.among(events[:middle]), await self.among(events[middle:])
            return earlier | {middle + place for place in later}
        found = []
        for place in suspects:
            event = events[place]
            known = (before, after) if place in once else ({}, {})
            first = event.before or _inserted(events[:place], event)
            first = first or await self._row(event.id, just_before(event.time), known[0])
            last = event.document if event.exact else await self._row(event.id, event.time, known[1])
            if first is not None and last is not None and is_rewrite(self._kind, first, last):
                found.append(place)
        return frozenset({*found, *self._told_again(events, suspects, found)})

    def _told_again(self, events: Sequence[RowEvent], suspects: Sequence[int], found: Sequence[int]) -> Iterator[int]:
        """
        Yield the positions of updates of which a later one of the same transaction tells all that is known.

        An update below latest is three updates of the row in one transaction: up, the operators, down. Their documents
        are looked up when they are told, so each has the row as it is after all of them.
        """
        # Only what one transaction does to a row happens at one time.
        groups: dict[tuple[Timestamp, bytes], list[int]] = {}
        for place, event in enumerate(events):
            if event.operation in {"update", "replace", "insert", "delete"} and place not in found:
                groups.setdefault((event.time, key_of(event.id)), []).append(place)
        moved = {(events[place].time, key_of(events[place].id)) for place in suspects}
        for key in moved & groups.keys():
            *earlier, last = groups[key]
            if events[last].operation == "update":
                yield from (at for at in earlier if events[at].operation == "update" and not events[at].exact)

    def _may_be_one(self, event: RowEvent) -> bool:
        if event.operation == "update":
            return self._kind.version_field in event.changed
        return event.operation == "replace"

    async def _rows(self, time: Timestamp, ids: Sequence[Any]) -> dict[bytes, bytes] | None:
        return await self._past.at(time, ids) if ids else {}

    async def _row(self, id: Any, time: Timestamp, known: dict[bytes, bytes] | None) -> bytes | None:
        """Return a row as it was, from what was read already or by itself; None where nobody knows."""
        if known is None:
            return None
        key = key_of(id)
        if key not in known:
            known = await self._rows(time, [id]) or {}
        return known.get(key)


def _inserted(earlier: Sequence[RowEvent], event: RowEvent) -> bytes | None:
    """Return the row as the event before has inserted it in the same transaction, where that is so."""
    for other in reversed(earlier):
        if other.time != event.time:
            break
        if key_of(other.id) == key_of(event.id):
            return other.document if other.operation == "insert" else None
    return None
