"""Which changes are rewrites: a row moved to another version and means what it meant."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from bson.timestamp import Timestamp

from docstore.core.kind import Kind
from docstore.core.rewriting import is_rewrite, means_the_same
from docstore.mongo.past_rows import PastRows, just_before, key_of
from docstore.mongo.row_events import RowEvent

_CHANGES: Final = frozenset({"update", "replace"})


class Rewrites:
    """
    Finds the rewrites among events of one kind's rows.

    An event is one only if that is proved: the row just before it and the row just after it, both exact, differ in
    their tags and are the same at the latest shape. Only updates that touch the tag, and replacements, are looked at.
    Where the past is not known any more, nothing is proved.

    What one transaction did to one row is told once, if it moved the row's version on the way: nobody ever saw the row
    in between. An update of a row that is stored below latest is such a transaction.
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
        return await self._proved(events) | await self._told_by_others(events)

    async def _proved(self, events: Sequence[RowEvent]) -> frozenset[int]:
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
            earlier, later = await self._proved(events[:middle]), await self._proved(events[middle:])
            return earlier | {middle + place for place in later}
        found = []
        for place in suspects:
            event = events[place]
            known = (before, after) if place in once else ({}, {})
            first = event.before or await self._row(event.id, just_before(event.time), known[0])
            last = event.document if event.exact else await self._row(event.id, event.time, known[1])
            if first is not None and last is not None and is_rewrite(self._kind, first, last):
                found.append(place)
        return frozenset(found)

    async def _told_by_others(self, events: Sequence[RowEvent]) -> frozenset[int]:
        """Return the positions of events whose transaction another event of the row tells, or that says nothing."""
        parts: defaultdict[tuple[Timestamp, bytes], list[int]] = defaultdict(list)
        for place, event in enumerate(events):
            # Only the writes of a transaction share a time.
            parts[event.time, key_of(event.id)].append(place)
        found: set[int] = set()
        for places in parts.values():
            # Where images are kept, each event is judged by its own.
            if len(places) > 1 and any(self._moves(events[at]) and events[at].before is None for at in places):
                found.update(await self._told_again(events, places))
        return frozenset(found)

    async def _told_again(self, events: Sequence[RowEvent], places: list[int]) -> list[int]:
        first, last = events[places[0]], events[places[-1]]
        if any(events[place].operation not in _CHANGES for place in places[1:]):
            return []
        after = last.document if last.exact else await self._row(last.id, last.time, {})
        if first.operation == "insert":
            before = first.document
        elif first.operation in _CHANGES:
            before = first.before or await self._row(first.id, just_before(first.time), {})
        else:
            return []
        same = before is not None and after is not None and means_the_same(self._kind, before, after)
        if first.operation == "insert":
            return places[1:] if same else []
        return places if same else places[:-1]

    def _may_be_one(self, event: RowEvent) -> bool:
        return self._moves(event) or event.operation == "replace"

    def _moves(self, event: RowEvent) -> bool:
        return event.operation == "update" and self._kind.version_field in event.changed

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
