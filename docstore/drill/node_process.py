"""
A node of a drill as a process of its own: `python -m docstore.drill.node_process`.

It is told what it is on one line, then "resume", "pause" and "resume" again; it ends when its standard input does, and
so with whoever started it. What it says, a `NodeReport` a line, goes to standard output.
"""

import asyncio
import importlib
import sys
import threading
from collections.abc import Callable
from random import Random
from typing import Any, Final

import structlog

from docstore.core.bson_values import RawDocument
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.residue import RESIDUE
from docstore.discovery import find_kinds, kind_named
from docstore.drill.changing import Changing
from docstore.drill.journal import Journal, read_rows
from docstore.drill.node_order import NodeOrder, NodeReport
from docstore.drill.node_work import NodeWork
from docstore.drill.releases import AnyShape, counting
from docstore.drill.sample_rows import FIRST_NUMBER
from docstore.errors import DocstoreError, DocumentError, DrillRefusedError
from docstore.mongo.client import connected
from docstore.store.encoding import dumped, encoded
from docstore.store.rows import RowReader
from docstore.store.store import Store

#: Between two reports, in seconds.
_REPORT: Final = 0.2
#: Apart from the ids that other nodes make up.
_ROOM: Final = 2**32


def released(order: NodeOrder) -> tuple[Kind[Any], Callable[[RawDocument], bool]]:
    """
    Return the kind of the release that a node is of, and what tells whether that release would store a row.

    A model that takes every shape cannot tell: there the whole package is asked, one step further.

    Raises:
        DocstoreError: The package or the kind.
        DrillRefusedError: The model that was named is none.
    """
    # docstore itself stays what runs here: its package is imported already.
    sys.path.insert(0, str(order.folder))
    kind = kind_named(order.kind, find_kinds(order.package), where=f"the package {order.package!r}")
    if order.own_model:
        return counting(kind), lambda _: True
    if order.model is not None:
        return counting(kind, latest=order.latest, model=_model(order.model, kind)), lambda _: True
    pinned, reader = counting(kind, latest=order.latest, model=AnyShape), RowReader(counting(kind))

    def accepts(fields: RawDocument) -> bool:
        try:
            reader.read(encoded({**fields, kind.version_field: pinned.latest}, kind=kind.name))
        except DocumentError:
            return False
        return True

    return pinned, accepts


def _model(name: str, kind: Kind[Any]) -> type[Document]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DrillRefusedError(kind=kind.name, reason=f"there is no {name} to import") from error
    if not (isinstance(found, type) and issubclass(found, Document)):
        raise DrillRefusedError(kind=kind.name, reason=f"{name} is no docstore.Document")
    return found


async def run(order: NodeOrder) -> None:
    """
    Open the store, write as the lines of standard input say, and close it.

    Raises:
        DocstoreError: The kind, the fleet or the database.
    """
    kind, accepts = released(order)
    orders = _lines(asyncio.get_running_loop())
    chance = Random(order.seed)  # noqa: S311 - a drill that can be repeated
    given = read_rows(order.rows)
    changing = Changing(
        kind.model,
        kind=kind.name,
        rows=[_as_stored(kind, row) for row in given],
        copied=None if order.copied is None else frozenset(order.copied),
        chance=chance,
        accepts=accepts,
    )
    async with (
        connected(order.uri, order.database) as database,
        Store(database, [kind], service=order.service, instance=order.instance) as store,
    ):
        with Journal(order.journal) as journal:
            work = NodeWork(
                store.collection(kind),
                node=order.instance,
                ids=[row["_id"] for row in given],
                changing=changing,
                journal=journal,
                chance=chance,
                number=FIRST_NUMBER + order.seed * _ROOM,
            )
            await _work(work, kind, orders, writers=order.writers)
    _say(_report(work, kind, "ended"))


async def _work(work: NodeWork, kind: Kind[Any], orders: "asyncio.Queue[str]", *, writers: int) -> None:
    _say(_report(work, kind, "ready"))
    async with asyncio.TaskGroup() as tasks:
        for _ in range(writers):
            tasks.create_task(work.work())
        state = "paused"
        while True:
            try:
                asked = await asyncio.wait_for(orders.get(), _REPORT)
            except TimeoutError:
                asked = ""
            if asked == "resume":
                work.resume()
                state = "working"
            elif asked == "pause":
                await work.pause()
                state = "paused"
            elif asked == "stop":
                work.stop()
                return
            _say(_report(work, kind, state))


def _as_stored(kind: Kind[Any], row: dict[str, Any]) -> dict[str, Any]:
    fields = kind.upgrade(row)
    fields.pop(RESIDUE, None)
    del fields[kind.version_field]
    return dumped(kind.model.model_validate(fields), kind=kind.name)


def _report(work: NodeWork, kind: Kind[Any], state: str) -> NodeReport:
    return NodeReport(
        state=state,
        latest=kind.latest,
        writes=work.writes,
        conflicts=work.conflicts,
        refused=dict(work.refused),
        doubtful=work.doubtful,
        reads=work.reads,
    )


def _lines(loop: asyncio.AbstractEventLoop) -> "asyncio.Queue[str]":
    """Read standard input in a thread; its end is the order to stop."""
    orders: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line.strip())
        loop.call_soon_threadsafe(orders.put_nowait, "stop")

    threading.Thread(target=read, daemon=True).start()
    return orders


def _say(report: NodeReport) -> None:
    sys.stdout.write(report.model_dump_json() + "\n")
    sys.stdout.flush()


def main() -> int:
    """
    Be a node; return the exit code.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    order = NodeOrder.model_validate_json(sys.stdin.readline())
    try:
        asyncio.run(run(order))
    except DocstoreError as error:
        _say(NodeReport(state="refused", reason=f"{type(error).__name__}: {error}"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
