"""
Spans of batches, as OpenTelemetry's own memory keeps them.
"""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from docstore.backfill import tracing
from docstore.backfill.progress import Path
from docstore.backfill.tracing import batch_span
from docstore.core.batch_record import BatchRecord, Tally
from docstore.core.id_range import IdRange


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def batch(*, version: int | None = 2) -> BatchRecord:
    return BatchRecord(
        run="r1",
        seq=7,
        part="",
        task="rows",
        number_of_pass=1,
        version=version,
        range=IdRange("secret id", "secret id"),
        size=10,
        token=1,
        tries=0,
    )


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_a_batch_has_a_span_with_what_it_came_to_and_no_id_of_a_row(spans: InMemorySpanExporter) -> None:
    with batch_span("place", batch(version=2), target=3, path=Path.SERVER) as span:
        span.came_to(Tally(server=5, client=1, quarantined=2, conflicts=4))

    span_of_batch = only(spans)
    assert span_of_batch.name == "docstore.backfill.batch"
    assert dict(span_of_batch.attributes or {}) == {
        "docstore.kind": "place",
        "docstore.run": "r1",
        "docstore.batch": 7,
        "docstore.target": 3,
        "docstore.path": "server",
        "docstore.version": 2,
        "docstore.rows.server": 5,
        "docstore.rows.client": 1,
        "docstore.rows.quarantined": 2,
        "docstore.conflicts": 4,
    }


def test_a_batch_of_untagged_rows_has_no_version(spans: InMemorySpanExporter) -> None:
    with batch_span("place", batch(version=None), target=3, path=Path.CLIENT):
        pass

    assert "docstore.version" not in (only(spans).attributes or {})


def test_a_batch_that_fails_is_told_by_the_class_of_its_error_alone(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="secret"), batch_span("place", batch(), target=3, path=Path.CLIENT):
        raise ValueError("secret")

    span = only(spans)
    assert not span.status.is_ok
    assert span.status.description == "ValueError"
    assert "secret" not in span.to_json()


def test_without_opentelemetry_there_is_no_span_and_no_error(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "trace", None)

    with batch_span("place", batch(), target=3, path=Path.CLIENT) as span:
        span.came_to(Tally(client=1))

    assert spans.get_finished_spans() == ()
