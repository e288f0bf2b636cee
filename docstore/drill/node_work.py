"""
The work of one node: writes of every sort to rows that others write too, each written down once it is acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Final

from docstore.core.bson_values import RawDocument, comparison_key
from docstore.core.document import Document, get_origin_row, set_origin_row
from docstore.drill.changing import Changing, differing
from docstore.drill.journal import COUNT, REVISION, WENT_BACK, Act, Entry, Journal
from docstore.drill.sample_rows import new_id
from docstore.errors import (
    ConflictError,
    DocstoreError,
    DocumentExistsError,
    DocumentNotFoundError,
    InvalidDocumentError,
    StaleNodeError,
    StoreUnavailableError,
)
from docstore.store.collection import Collection
from docstore.store.encoding import dumped

#: Rows that every node writes most of the time, so that they meet there.
_CROWDED: Final = 25
_CROWD: Final = 0.6
#: One of so many rows may be deleted.
_MORTAL: Final = 10
#: After a write that a stale node refused, in seconds.
_REST: Final = 0.2


class NodeWork:
    """
    Writes until it is told to stop.

    Args:
        rows: The collection, as this release sees it.
        node: What the node is called in the journal.
        ids: The rows that there are at the beginning, the same in every node.
        changing: Chooses what to change.
        journal: Where acknowledged writes are written down.
        chance: Where all choices come from.
        number: Makes the ids that this node makes up unlike those of others.
    """

    def __init__(
        self,
        rows: Collection[Any],
        *,
        node: str,
        ids: Sequence[Any],
        changing: Changing,
        journal: Journal,
        chance: Random,
        number: int,
    ) -> None:
        self._rows = rows
        self._kind = rows.kind
        self._node = node
        self._ids = list(ids)
        self._changing = changing
        self._journal = journal
        self._chance = chance
        self._number = number
        self._own: list[Any] = []
        self._seen: dict[Any, int] = {}
        self._running = asyncio.Event()
        self._stop = False
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.writes = 0
        self.reads = 0
        self.conflicts = 0
        self.doubtful = 0
        self.refused: Counter[str] = Counter()

    def resume(self) -> None:
        """
        Begin to write, or go on.
        """
        self._running.set()

    async def pause(self) -> None:
        """
        Return when no write is under way, and make none until `resume`.
        """
        self._running.clear()
        await self._idle.wait()

    def stop(self) -> None:
        """
        Have every writer end after its write.
        """
        self._stop = True
        self._running.set()

    async def work(self) -> None:
        """
        Write until `stop`; several may do so at once.
        """
        acts: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._modify, 40),
            (self._replace, 10),
            (self._assign, 14),
            (self._add, 8),
            (self._count, 14),
            (self._read, 8),
            (self._insert, 4),
            (self._delete, 2),
        ]
        choices, weights = [act for act, _ in acts], [weight for _, weight in acts]
        while True:
            await self._running.wait()
            if self._stop:
                return
            (act,) = self._chance.choices(choices, weights)
            self._busy += 1
            self._idle.clear()
            try:
                await self._tried(act)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

    async def _tried(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except (ConflictError, DocumentNotFoundError, DocumentExistsError):
            self.conflicts += 1
        except DocstoreError as error:
            # Whoever refuses by name keeps every promise; how often is in the report.
            self.refused[type(error).__name__] += 1
            if isinstance(error, StaleNodeError | StoreUnavailableError):
                await asyncio.sleep(_REST)

    def _row(self) -> Any:
        if self._own and self._chance.random() < 0.1:  # noqa: PLR2004 - rows that are new get some writes, too
            return self._chance.choice(self._own)
        return self._chance.choice(self._ids[:_CROWDED] if self._chance.random() < _CROWD else self._ids)

    async def _modify(self) -> None:
        row_id = self._row()
        tried: list[tuple[RawDocument, RawDocument]] = []

        def change(document: Document) -> Document:
            before = dumped(document, kind=self._kind.name)
            after = self._next(before)
            tried.append((before, after))
            changed: Document = self._kind.model.model_validate(after)
            return changed

        try:
            await self._rows.modify(row_id, change)
        except StoreUnavailableError:
            if tried:
                self._change(row_id, *tried[-1], doubtful=True)
            raise
        self._change(row_id, *tried[-1])

    async def _replace(self) -> None:
        document = await self._rows.get(self._row())
        before = dumped(document, kind=self._kind.name)
        after = self._next(before)
        changed = self._kind.model.model_validate(after)
        origin = get_origin_row(document)
        if origin is not None:
            set_origin_row(changed, origin)
        try:
            await self._rows.replace(changed)
        except StoreUnavailableError:
            self._change(before["_id"], before, after, doubtful=True)
            raise
        self._change(before["_id"], before, after)

    def _next(self, before: RawDocument) -> RawDocument:
        after = self._changing.change(before)
        return {**after, REVISION: before[REVISION] + 1}

    def _change(self, row_id: Any, before: RawDocument, after: RawDocument, *, doubtful: bool = False) -> None:
        was, now = differing(before, after)
        self._note(Act.CHANGE, row_id, revision=after[REVISION], before=was, after=now, doubtful=doubtful)

    async def _assign(self) -> None:
        chosen = self._changing.assignment()
        if chosen is not None:
            name, value = chosen
            await self._applied(Act.SET, {"$set": {name: value}}, {name: value})

    async def _add(self) -> None:
        chosen = self._changing.increment()
        if chosen is not None:
            name, amount = chosen
            await self._applied(Act.ADD, {"$inc": {name: amount}}, {name: amount})

    async def _applied(self, act: Act, operators: dict[str, Any], after: RawDocument) -> None:
        row_id = self._row()
        operators = {**operators, "$inc": {**operators.get("$inc", {}), REVISION: 1}}
        try:
            found = await self._rows.find_one_and_update({"_id": row_id}, operators, return_document="after")
        except (StoreUnavailableError, InvalidDocumentError):
            # The second is told of operators that took effect.
            self._note(act, row_id, after=after, doubtful=True)
            raise
        if found is not None:
            self._note(act, row_id, revision=getattr(found, REVISION), after=after)

    async def _count(self) -> None:
        row_id, amount = self._row(), self._chance.randint(1, 3)
        try:
            result = await self._rows.update({"_id": row_id}, {"$inc": {COUNT: amount}})
        except StoreUnavailableError:
            self._note(Act.COUNT, row_id, after={COUNT: amount}, doubtful=True)
            raise
        if result.matched:
            self._note(Act.COUNT, row_id, after={COUNT: amount})

    async def _read(self) -> None:
        row_id = self._row()
        known = self._seen.get(comparison_key(row_id), 0)
        try:
            document = await self._rows.get(row_id)
        except (DocumentNotFoundError, StoreUnavailableError):
            return
        except DocstoreError as error:
            self._saw(row_id, type(error).__name__)
            return
        self.reads += 1
        if getattr(document, REVISION) < known:
            self._saw(row_id, WENT_BACK)

    async def _insert(self) -> None:
        donor = self._changing.donor()
        row_id = new_id(donor["_id"], self._number + len(self._own), chance=self._chance)
        if row_id is None:
            return
        fields = self._changing.taken({**donor, "_id": row_id, REVISION: 1, COUNT: 0})
        if fields is None:
            return
        # Known before it is tried, so that no id is used twice.
        self._own.append(row_id)
        after = {name: value for name, value in fields.items() if name not in {"_id", REVISION, COUNT}}
        try:
            await self._rows.insert(self._kind.model.model_validate(fields))
        except StoreUnavailableError:
            self._note(Act.INSERT, row_id, revision=1, after=after, doubtful=True)
            raise
        self._note(Act.INSERT, row_id, revision=1, after=after)

    async def _delete(self) -> None:
        mortal = [*self._own[::2], *self._ids[_CROWDED::_MORTAL]]
        if not mortal:
            return
        row_id = self._chance.choice(mortal)
        try:
            await self._rows.delete(row_id)
        except StoreUnavailableError:
            self._note(Act.DELETE, row_id, doubtful=True)
            raise
        self._note(Act.DELETE, row_id)

    def _saw(self, row_id: Any, fault: str) -> None:
        self._journal.write(Entry(self._node, Act.SAW, row_id, self._kind.latest, fault=fault))

    def _note(
        self,
        act: Act,
        row_id: Any,
        *,
        revision: int | None = None,
        before: RawDocument | None = None,
        after: RawDocument | None = None,
        doubtful: bool = False,
    ) -> None:
        self._journal.write(
            Entry(self._node, act, row_id, self._kind.latest, revision, before or {}, after or {}, doubtful=doubtful)
        )
        if doubtful:
            self.doubtful += 1
            return
        self.writes += 1
        if revision is not None:
            key = comparison_key(row_id)
            self._seen[key] = max(revision, self._seen.get(key, 0))
