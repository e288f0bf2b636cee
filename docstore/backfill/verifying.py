"""
Holding the server path against Python, before rows are rewritten: the first batch row by row, later ones by a sample.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.directing import brought
from docstore.backfill.fitting import misfit
from docstore.backfill.patience import patiently
from docstore.backfill.validation import Validation
from docstore.core.bson_values import RawDocument, encode
from docstore.core.chain import CompiledChain
from docstore.core.differences import differing_paths
from docstore.core.id_range import IdRange
from docstore.core.kind import Kind
from docstore.errors import DocumentError, PathsDifferError, StoreRejectedError
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.server_results import ServerResults

#: Fewer rows than this are no sample.
_LEAST: Final = 10


@dataclass(frozen=True, slots=True)
class _Part:
    """
    The rows of a range to compare: how many to leave out, how many to take (None: all), and from which end.
    """

    skip: int = 0
    limit: int | None = None
    backwards: bool = False


class Verifier:
    """
    Compares what the server and Python make of rows, both computed from the same image of each row.

    The first range of every source version is compared as a whole, later ones by a run of neighbours at a random
    place. Nothing is written. May be shared by the lanes of a worker.

    Args:
        kind: Whose rows.
        target: The version to bring them to.
        results: What the server makes of rows.
        validation: Whether they have to fit the model, and how large a sample is.
    """

    def __init__(self, kind: Kind[Any], target: int, results: ServerResults, validation: Validation) -> None:
        self._kind = kind
        self._target = target
        self._results = results
        self._validation = validation
        self._begun: set[int | None] = set()
        self._first = asyncio.Lock()

    async def verified(self, range: IdRange, chain: CompiledChain, *, size: int) -> CompiledChain | None:
        """
        Compare rows of a range; return the chain, which now declines the rows that do not fit the model.

        None if the server fails at a row, so that nothing was compared: the range is for Python alone then. Rows before
        that one would be rewritten as nobody has looked at it.

        Args:
            range: The rows that are about to be rewritten.
            chain: The way to the target.
            size: How many rows the range holds, as far as is known.

        Raises:
            PathsDifferError: The two do not agree on a row; carries its id and the paths.
            StoreUnavailableError: The database stayed away.
        """
        if self.knows(chain.source):
            return await self._held_against(range, chain, self._sample(size))
        # Lanes that come second go on once the first range was found equal; they then need a sample only.
        async with self._first:
            if not self.knows(chain.source):
                return await self._held_against(range, chain, _Part())
        return await self._held_against(range, chain, self._sample(size))

    def knows(self, source: int | None) -> bool:
        """
        Tell whether a whole range of a source version was compared already.
        """
        return source in self._begun

    async def _held_against(self, range: IdRange, chain: CompiledChain, part: _Part) -> CompiledChain | None:
        try:
            rows, misfits = await patiently(lambda: self._compare(range, chain, part))
        except StoreRejectedError as error:
            if reaction_to(error) is Reaction.FAIL:
                raise
            # The pipeline fails at a row, as the rewrite would, and the client path finds out which one it is; or a row
            # and what becomes of it do not fit into one document.
            events.verification_refused(kind=self._kind.name, reason=error.reason, code=error.code)
            return None
        self._begun.add(chain.source)
        events.rows_verified(kind=self._kind.name, version=chain.source, rows=rows, misfits=len(misfits))
        if not misfits:
            return chain
        for row_id in misfits:
            self._validation.suspect(row_id)
        declined = {"$in": ["$_id", {"$literal": misfits}]}
        return replace(chain, condition={"$and": [chain.condition, {"$not": [declined]}]})

    def _sample(self, size: int) -> _Part:
        """
        Return neighbours at a random place of a range.
        """
        limit = max(_LEAST, round(size * self._validation.share))
        longest = max(0, size - limit)
        skip = self._validation.chance.randint(0, longest)
        # Rows that are left out cost the server time too, so it goes there from the nearer end.
        return _Part(min(skip, longest - skip), limit, backwards=skip > longest - skip)

    async def _compare(self, range: IdRange, chain: CompiledChain, part: _Part) -> tuple[int, list[Any]]:
        rows = 0
        misfits: list[Any] = []
        found = self._results.of_range(range, chain, skip=part.skip, limit=part.limit, backwards=part.backwards)
        async with aclosing(found) as batches:
            async for pairs in batches:
                rows += len(pairs)
                # In a thread, so that a lease can be renewed meanwhile.
                misfits += await asyncio.to_thread(self._misfits, pairs, chain.source)
        return rows, misfits

    def _misfits(self, pairs: Sequence[tuple[RawDocument, RawDocument]], source: int | None) -> list[Any]:
        """
        Compare pairs of rows; return the ids of those that do not fit the model.
        """
        return [stored["_id"] for stored, server in pairs if not self._fits(stored, server, source)]

    def _fits(self, stored: RawDocument, server: RawDocument, source: int | None) -> bool:
        python = brought(self._kind, stored, self._target)
        if not isinstance(python, DocumentError) and encode(python) == encode(server):
            return (
                not self._validation.on_server
                or self._target != self._kind.latest
                or misfit(self._kind, python) is None
            )
        if isinstance(python, DocumentError):
            paths: tuple[str, ...] = (getattr(python, "path", None) or "(row)",)
        else:
            paths = differing_paths(python, server)
        raise PathsDifferError(kind=self._kind.name, id=stored["_id"], version=source, target=self._target, paths=paths)
