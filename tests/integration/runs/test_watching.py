"""
A worker process as those see it who watch: its numbers, its log, and what it does without OpenTelemetry.
"""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import urllib.request
from contextlib import suppress
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from tests.integration.runs.conftest import Processes, old_rows, until

Database = AsyncDatabase[dict[str, Any]]

#: As on a machine where it was never installed.
WITHOUT_OPENTELEMETRY = """
import sys
sys.modules["opentelemetry"] = None
from docstore.backfill import tracing
assert tracing.trace is None
from docstore.cli import main
main()
"""


def scraped(address: str) -> str:
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - the worker named it
        text: str = answer.read().decode()
    return text


def read_to_the_end(terminal: int) -> str:
    """
    Return what a terminal shows until nobody writes to it any more, which is an error for whoever reads.
    """
    parts: list[bytes] = []
    with os.fdopen(terminal, "rb", buffering=0) as screen, suppress(OSError):
        while part := screen.read(4096):
            parts.append(part)
    return b"".join(parts).decode()


async def test_a_worker_serves_its_numbers_while_it_works(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(300))
    await commands.backfill_start(database, counter, by="a test")
    worker = processes.worker("--metrics-port", "0")
    assert worker.stderr is not None
    found = re.search(r"http://\S+", await asyncio.to_thread(worker.stderr.readline))
    assert found is not None

    await commands.backfill_wait(database, "counter")

    async def counted() -> str | None:
        text = await asyncio.to_thread(scraped, found.group())
        return text if 'remaining_rows{kind="counter"} 0.0' in text else None

    text = await until(counted)
    assert 'docstore_backfill_rows_total{kind="counter",outcome="rewritten",path="client"} 300.0' in text
    assert re.search(r'docstore_backfill_batch_seconds_count\{kind="counter",path="client"\} [1-9]', text)
    assert "docstore_backfill_majority_lag_seconds 0.0" in text
    assert "# TYPE docstore_backfill_hold_seconds_total counter" in text


async def test_a_worker_needs_no_opentelemetry(database: Database, processes: Processes, counter: Kind[Any]) -> None:
    await database["counters"].insert_many(old_rows(20))
    await commands.backfill_start(database, counter, by="a test")
    environment = {
        **os.environ,
        "PYTHONPATH": str(processes.folder),
        "DOCSTORE_URI": processes.uri,
        "DOCSTORE_UPGRADERS": "slow_kinds",
    }

    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", WITHOUT_OPENTELEMETRY, "worker", "--drain"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert await database["counters"].count_documents({"schema_version": 2}) == 20


async def test_the_log_is_for_people_on_a_terminal_and_for_programs_elsewhere(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(20))
    command = ["--verbose", "backfill", "start", counter.name, "--wait", "--format", "json"]
    _, _, errors = await processes.run(*command)
    await database["counters"].update_many({}, {"$set": {"schema_version": 1}})

    terminal, end = pty.openpty()
    shown = processes.start(*command, terminal=end)
    os.close(end)
    seen = await asyncio.to_thread(read_to_the_end, terminal)
    code = await asyncio.to_thread(shown.wait)

    logged = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert {"backfill_started", "backfill_ended"} <= {entry["event"] for entry in logged}
    assert code == 0
    assert "backfill_started" in seen
    assert "\x1b[" in seen
    assert '"event"' not in seen
