"""
A span for every batch, where OpenTelemetry's API is installed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from docstore.backfill.progress import Path
from docstore.core.batch_record import BatchRecord, Tally

try:
    from opentelemetry import trace
except ModuleNotFoundError:  # pragma: no cover - the tests have it
    trace = None  # type: ignore[assignment]


class BatchSpan:
    """
    The span of one batch; without OpenTelemetry it does nothing.
    """

    def __init__(self, span: "trace.Span | None") -> None:
        self._span = span

    def came_to(self, tally: Tally) -> None:
        """
        Say what the batch came to.
        """
        if self._span is not None:
            self._span.set_attributes(
                {
                    "docstore.rows.server": tally.server,
                    "docstore.rows.client": tally.client,
                    "docstore.rows.quarantined": tally.quarantined,
                    "docstore.conflicts": tally.conflicts,
                }
            )


@contextmanager
def batch_span(kind: str, batch: BatchRecord, *, target: int, path: Path) -> Iterator[BatchSpan]:
    """
    Give the span `docstore.backfill.batch`, which lasts as long as the block.

    Its attributes are names, versions and numbers; no id and no value of a row is in it. An error that ends the block
    is told by its class.
    """
    if trace is None:  # pragma: no cover - the tests have it
        yield BatchSpan(None)
        return
    attributes: dict[str, str | int] = {
        "docstore.kind": kind,
        "docstore.run": batch.run,
        "docstore.batch": batch.seq,
        "docstore.target": target,
        "docstore.path": path.value,
    }
    if batch.version is not None:
        attributes["docstore.version"] = batch.version
    tracer = trace.get_tracer("docstore")
    with tracer.start_as_current_span(
        "docstore.backfill.batch", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield BatchSpan(span)
        except BaseException as error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            raise
