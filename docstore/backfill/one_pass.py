"""One pass: every row that stands below the target is met once."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.progress import Path, Phase
from docstore.backfill.server_path import ServerPath
from docstore.core.chain import CompiledChain
from docstore.core.coverage import Coverage
from docstore.errors import DocstoreError, NotCompilableError, UnknownVersionError
from docstore.mongo.driver import Driver, driver_of
from docstore.mongo.unreadable_rows import unreadable_rows

_RECORDS_AT_ONCE: Final = 500


@dataclass(slots=True)
class PassOutcome:
    """What a pass leaves: rows that others kept changing, and rows that need nothing."""

    contested: int = 0
    untouched: int = 0


async def run_pass(context: RunContext, coverage: Coverage) -> PassOutcome:
    """
    Go through the old rows, version by version.

    Args:
        context: The run.
        coverage: Where rows stand; versions that are not in it are not visited.
    """
    outcome = PassOutcome()
    sources: list[int | None] = [count.version for count in coverage.versions if count.version < context.target]
    if coverage.untagged:
        sources.append(None)
    for source in sources:
        if not context.stop.is_set():
            await _rewrite(context, source, outcome)
    if coverage.unreadable and not context.stop.is_set():
        await _put_unreadable_aside(context)
    return outcome


async def _rewrite(context: RunContext, source: int | None, outcome: PassOutcome) -> None:
    rows = context.old_rows(source)
    client = ClientPath(context, rows)
    chain = _compiled(context, source)
    path = Path.CLIENT if chain is None else Path.SERVER
    context.meter.set(phase=Phase.REWRITE, path=path, version=source)
    if chain is None:
        await client.rewrite()
    else:
        await ServerPath(context, rows, chain, client).rewrite()
    outcome.contested += client.contested
    outcome.untouched += client.untouched


def _compiled(context: RunContext, source: int | None) -> CompiledChain | None:
    """
    Return the way from *source* to the target as the server runs it, or None if rows take the client path.

    A way that is operations first and functions later goes through Python as a whole: each row is rewritten once.
    """
    kind = context.kind
    below_floor = (kind.baseline if source is None else source) < kind.floor
    if below_floor or driver_of(context.database) is Driver.MOCK:
        return None
    try:
        return kind.compile(source, to=context.target)
    except NotCompilableError:
        return None


async def _put_unreadable_aside(context: RunContext) -> None:
    kind = context.kind
    errors: list[tuple[Any, DocstoreError]] = []
    found = unreadable_rows(context.database, kind.collection, kind.version_field)
    async with aclosing(found) as rows:
        async for row_id, tag_type in rows:
            error = UnknownVersionError(kind=kind.name, id=row_id, found_type=tag_type, field=kind.version_field)
            errors.append((row_id, error))
            if len(errors) == _RECORDS_AT_ONCE:
                await context.aside.put(errors, version=None)
                errors = []
    await context.aside.put(errors, version=None)
