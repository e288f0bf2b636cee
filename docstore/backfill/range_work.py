"""
What is done to the rows of one batch: inside the server where that is possible, in Python otherwise.
"""

import time

from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.directing import on_server
from docstore.backfill.progress import Path, Phase
from docstore.backfill.server_path import rewrite_on_server
from docstore.backfill.verifying import Verifier
from docstore.core.batch_record import BatchRecord, Tally
from docstore.core.chain import CompiledChain
from docstore.errors import NotCompilableError, NotInvertibleError


class RangeWork:
    """
    Rewrites the rows of one batch.

    May be cancelled, and repeated by anybody, at any time: a row that is done does not stand at the batch's version
    any more, and a rewrite takes effect only on the row that it was computed from (P1, P3).
    """

    def __init__(self, context: RunContext, batch: BatchRecord, verifier: Verifier) -> None:
        self._context = context
        self._batch = batch
        self._verifier = verifier
        #: The rows at the batch's version.
        self.rows = context.old_rows(batch.version)
        self._client = ClientPath(context, self.rows)
        self._chain = compiled(context, batch.version)
        self.path = Path.CLIENT if self._chain is None else Path.SERVER
        #: How long rows were compared before any was rewritten, in seconds.
        self.comparing = 0.0

    @property
    def tally(self) -> Tally:
        """
        What has been done so far.
        """
        counted = self._context.meter.now
        return Tally(
            server=counted.server,
            client=counted.client,
            conflicts=counted.conflicts,
            quarantined=counted.quarantined,
            contested=self._client.contested,
            untouched=self._client.untouched,
        )

    async def rewrite(self) -> None:
        """
        Rewrite the rows; ends early when the context's `stop` is set.
        """
        batch = self._batch
        self._context.meter.set(phase=Phase.REWRITE, path=self.path, version=batch.version)
        chain = self._chain
        if chain is not None:
            begun = time.monotonic()
            chain = await self._verifier.verified(batch.range, chain, size=batch.size)
            self.comparing = time.monotonic() - begun
            self._context.computed(self.comparing)
        if chain is not None:
            await rewrite_on_server(self._context, self.rows, chain, batch.range, self._client, size=batch.size)
            return
        self.path = Path.CLIENT
        self._context.meter.set(path=self.path)
        await self._client.rewrite(batch.range.after, batch.range.upto)


def compiled(context: RunContext, source: int | None) -> CompiledChain | None:
    """
    Return the way from *source* to the target as the server runs it, or None if rows take the client path.

    A way that is operations first and functions later goes through Python as a whole: each row is rewritten once.
    """
    if source not in context.ways:
        context.ways[source] = _compiled(context, source)
    return context.ways[source]


def _compiled(context: RunContext, source: int | None) -> CompiledChain | None:
    kind = context.kind
    if (kind.baseline if source is None else source) < kind.floor or context.validation.by_python_only:
        return None
    try:
        return on_server(context.direction, kind, source, context.target)
    except (NotCompilableError, NotInvertibleError):
        # Where there is no way back, Python says so of each row.
        return None
