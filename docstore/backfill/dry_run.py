"""
What a backfill would do, tried on some real rows in memory: no write of any kind, not even an index.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from docstore.backfill.choosing import none_of_the_ids
from docstore.backfill.directing import brought, on_server
from docstore.backfill.dry_run_result import Change, DryRunResult, Example, Failure, PathDifference
from docstore.backfill.fitting import misfit
from docstore.backfill.patience import patiently
from docstore.backfill.poison import record_of
from docstore.backfill.selection_status import SelectionStatus
from docstore.core.bson_values import RawDocument, encode, identical
from docstore.core.chain import CompiledChain
from docstore.core.coverage import Coverage, VersionCount
from docstore.core.differences import differing_paths
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.row_faults import decoded, id_of
from docstore.core.run_scope import RunScope
from docstore.core.version import tag_version
from docstore.errors import (
    DocumentError,
    NewerVersionError,
    NotCompilableError,
    NotInvertibleError,
    StoreRejectedError,
)
from docstore.mongo.chosen_rows import CHOSEN_AT_ONCE, chosen_rows
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.reading import RowSource
from docstore.mongo.server_results import ServerResults
from docstore.mongo.some_rows import random_rows, rows_at
from docstore.mongo.tag_index import find_tag_index

#: Rows looked at for every version.
BATCH: Final = 500
_EXAMPLES: Final = 3
#: Failures and differences that are told one by one.
_TOLD: Final = 20

_What: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(slots=True)
class _Seen:
    """
    What has been found out so far.
    """

    rows: set[bytes] = field(default_factory=set)
    changed: int = 0
    untouched: int = 0
    server: set[bytes] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    differences: list[PathDifference] = field(default_factory=list)
    changes: Counter[tuple[str, _What]] = field(default_factory=Counter)
    examples: dict[int | None, list[Example]] = field(default_factory=dict)
    #: Rows of the run by their tags (None: without one).
    at: Counter[int | None] = field(default_factory=Counter)


class DryRun:
    """
    Tries a backfill on a batch of every old version and on random rows.

    Args:
        database: Where the rows are.
        kind: Whose rows.
        target: The version to bring them to.
        direction: From where.
        sample: How many random rows to look at besides.
        validates: Whether rows at latest have to fit the model.
        every_row: Whether every row has to, so that none is left to the server. The two are compared all the same.
        ids: Look at the rows with these ids, and at no others.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        target: int,
        direction: Direction,
        sample: int = 0,
        validates: bool = True,
        every_row: bool = False,
        ids: Sequence[Any] | None = None,
    ) -> None:
        self._database = database
        self._kind = kind
        self._target = target
        self._direction = direction
        self._sample = sample
        self._validates = validates and target == kind.latest
        self._in_python = every_row
        self._ids = None if ids is None else list({encode({"": each}): each for each in ids}.values())
        self._seen = _Seen()

    async def run(self, coverage: Coverage) -> DryRunResult:
        """
        Look at rows and say what would become of them.

        Args:
            coverage: Where rows stand.

        Raises:
            BackfillRefusedError: None of the ids names a row.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if self._ids is not None:
            return await self._run_over(self._ids, coverage)
        sources = RunScope(self._kind, self._target, self._direction).sources(coverage)
        for source in sources:
            await self._try_page(await self._batch(source), [source])
        await self._try_page(await self._random(), sources)
        return self._result([count for count in coverage.versions if count.version in sources], coverage.untagged)

    async def _run_over(self, ids: Sequence[Any], coverage: Coverage) -> DryRunResult:
        sources = RunScope(self._kind, self._target, self._direction).sources(coverage)
        for first in range(0, len(ids), CHOSEN_AT_ONCE):
            await self._try_page(await self._those(ids[first : first + CHOSEN_AT_ONCE]), sources)
        seen = self._seen
        if not seen.rows:
            raise none_of_the_ids(self._kind.name, len(ids))
        found = SelectionStatus(ids=len(ids), rows=len(seen.rows), missing=len(ids) - len(seen.rows), random=False)
        counts = [VersionCount(version=version, rows=seen.at[version]) for version in sources if version is not None]
        return self._result([count for count in counts if count.rows], seen.at[None], found)

    async def _those(self, ids: Sequence[Any]) -> list[bytes]:
        return await patiently(lambda: chosen_rows(self._database, self._kind.collection, ids))

    async def _batch(self, source: int | None) -> list[bytes]:
        kind = self._kind
        return await patiently(lambda: rows_at(self._database, kind.collection, kind.version_field, source, BATCH))

    async def _random(self) -> list[bytes]:
        if not self._sample or driver_of(self._database) is Driver.MOCK:
            return []
        return await patiently(lambda: random_rows(self._database, self._kind.collection, self._sample))

    async def _try_page(self, rows: Sequence[bytes], sources: Sequence[int | None]) -> None:
        """
        Try rows in Python, and the same ones inside the server.
        """
        self._look_at(rows)
        if rows and driver_of(self._database) is not Driver.MOCK:
            await self._compare(sources, [id_of(raw) for raw in rows])

    def _look_at(self, rows: Iterable[bytes]) -> None:
        for raw in rows:
            key = encode({"": id_of(raw)})
            if key not in self._seen.rows:
                self._seen.rows.add(key)
                self._try(raw)

    def _try(self, raw: bytes) -> None:
        kind, seen = self._kind, self._seen
        try:
            stored = decoded(raw, kind)
        except DocumentError as error:
            seen.failures.append(self._failure(error, id_of(raw), None))
            return
        source = stored.get(kind.version_field)
        if self._is_elsewhere(stored):
            seen.untouched += 1
            return
        if source is None or tag_version(source) is not None:
            seen.at[tag_version(source)] += 1
        after = brought(kind, stored, self._target)
        if not isinstance(after, DocumentError) and self._validates:
            known = source if isinstance(source, int) else None
            after = misfit(kind, after, version=known) or after
        if isinstance(after, DocumentError):
            seen.failures.append(self._failure(after, stored["_id"], source))
        elif identical(stored, after):
            seen.untouched += 1
        else:
            seen.changed += 1
            seen.changes.update(_changes(stored, after))
            seen.examples.setdefault(source, []).append(Example(id=stored["_id"], before=stored, after=after))
            del seen.examples[source][_EXAMPLES:]

    def _is_elsewhere(self, row: RawDocument) -> bool:
        """
        Tell whether the run is not about a row, because it stands on the other side of the target, or above latest.
        """
        kind = self._kind
        try:
            version = kind.version(row)
        except NewerVersionError:
            return True
        except DocumentError:
            return False
        return version < self._target if self._direction is Direction.DOWN else version > self._target

    def _failure(self, error: DocumentError, row_id: Any, version: Any) -> Failure:
        known = version if isinstance(version, int) else None
        record = record_of(
            error, id=row_id, target=self._target, direction=self._direction, version=known, with_text=False
        )
        return Failure(
            id=row_id,
            version=record.version,
            step=record.step,
            error=record.error,
            reason=record.reason,
            path=record.path,
        )

    async def _compare(self, sources: Sequence[int | None], ids: Sequence[Any]) -> None:
        kind, database = self._kind, self._database
        index = await patiently(lambda: find_tag_index(database, kind.collection, kind.version_field))
        collated = await patiently(RowSource(database, kind.collection).has_collation)
        results = ServerResults(database, kind.collection, field=kind.version_field, index=index, collated=collated)
        for source in sources:
            chain = self._compiled(source)
            if chain is not None:
                await self._compare_with(results.of_ids(ids, chain))

    def _compiled(self, source: int | None) -> CompiledChain | None:
        start = self._kind.baseline if source is None else source
        if start < self._kind.floor:
            return None
        try:
            return on_server(self._direction, self._kind, source, self._target)
        except (NotCompilableError, NotInvertibleError):
            return None

    async def _compare_with(self, pairs: AsyncGenerator[Sequence[tuple[RawDocument, RawDocument]], None]) -> None:
        try:
            async with aclosing(pairs) as batches:
                async for batch in batches:
                    for stored, server in batch:
                        self._compare_pair(stored, server)
        except StoreRejectedError:
            return  # the pipeline fails at a row: the rewrite would too, and Python would take the rows over

    def _compare_pair(self, stored: RawDocument, server: RawDocument) -> None:
        key = encode({"": stored["_id"]})
        if key in self._seen.server:
            return
        self._seen.server.add(key)
        python = brought(self._kind, stored, self._target)
        if isinstance(python, DocumentError):
            paths: tuple[str, ...] = ("(row)",)
        elif encode(python) == encode(server):
            return
        else:
            paths = differing_paths(python, server)
        version = stored.get(self._kind.version_field)
        self._seen.differences.append(PathDifference(id=stored["_id"], version=version, paths=paths))

    def _result(
        self, counts: Sequence[VersionCount], untagged: int, selection: SelectionStatus | None = None
    ) -> DryRunResult:
        seen = self._seen
        taken = 0 if self._in_python else len(seen.server & seen.rows)
        changes = [Change(path=path, change=what, rows=rows) for (path, what), rows in sorted(seen.changes.items())]
        return DryRunResult(
            kind=self._kind.name,
            target=self._target,
            direction=self._direction,
            versions=tuple(counts),
            untagged=untagged,
            selection=selection,
            looked_at=len(seen.rows),
            would_change=seen.changed,
            would_fail=len(seen.failures),
            untouched=seen.untouched,
            by_server=taken,
            differing=len(seen.differences),
            changes=tuple(changes),
            failures=tuple(seen.failures[:_TOLD]),
            differences=tuple(seen.differences[:_TOLD]),
            examples=tuple(_mixed(list(seen.examples.values()))[:_EXAMPLES]),
        )


def _changes(before: RawDocument, after: RawDocument) -> Iterable[tuple[str, _What]]:
    for name in {**before, **after}:
        if name not in after:
            yield name, "removed"
        elif name not in before:
            yield name, "added"
        elif not identical(before[name], after[name]):
            yield name, "changed"


def _mixed(groups: Sequence[Sequence[Example]]) -> list[Example]:
    """Return the examples so that every group has had its first before any has its second."""
    return [group[place] for place in range(_EXAMPLES) for group in groups if place < len(group)]
