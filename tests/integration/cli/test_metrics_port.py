"""
`docstore worker --metrics-port`, as it is typed.
"""

from typing import Any

from docstore.backfill.metrics import WorkerMetrics, served


def test_a_worker_says_where_its_numbers_are(command_line: Any) -> None:
    worked = command_line.run("worker", "--drain", "--metrics-port", "0")

    assert worked.code == 0
    assert "numbers for Prometheus: http://localhost:" in worked.errors


def test_a_port_that_is_taken_is_a_usage_fault(command_line: Any) -> None:
    with served(WorkerMetrics(), 0) as port:
        worked = command_line.run("worker", "--drain", "--metrics-port", str(port))

    assert worked.code == 2
    assert f"port {port} cannot be had" in worked.errors
