"""
Whether the code at hand may be deployed on a database.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.core.blocker import Blocker, Cause
from docstore.core.floor_rules import floor_mismatch
from docstore.core.kind import Kind
from docstore.fleet.floors import facts_about, floor_findings_of, stored_rows
from docstore.fleet.home import is_restored
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase


class Finding(BaseModel):
    """
    One thing that is not as it should be.
    """

    model_config = ConfigDict(frozen=True)

    cause: Cause
    kind: str
    #: In words.
    words: str
    #: For programs: names, versions and numbers, never values of rows.
    facts: dict[str, Any]


class FloorReport(BaseModel):
    """
    The floor of one kind, in the code and in the database.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    collection: str
    latest: int
    #: The lowest version that the code reads.
    floor: int
    #: The floor that is recorded in the database; null where none is, and where no database was looked at.
    recorded: int | None = None
    #: Whether the server refused rows below the recorded floor when it was recorded.
    proved: bool = False
    #: What keeps a store of this code from opening.
    refused: tuple[Finding, ...] = ()
    #: What was done to the rows behind the back of the recorded floor.
    bypassed: tuple[Finding, ...] = ()


class CheckReport(BaseModel):
    """
    Whether the code at hand may be deployed.
    """

    model_config = ConfigDict(frozen=True)

    kinds: tuple[FloorReport, ...]
    #: The database that was looked at; null where none was.
    database: str | None = None
    #: Whether it was restored from a backup, or copied, and nobody has worked with it since.
    restored: bool = False

    @property
    def sound(self) -> bool:
        """
        Whether nothing was found.
        """
        return not self.restored and not any(kind.refused or kind.bypassed for kind in self.kinds)


async def check(kinds: Iterable[Kind[Any]], database: AnyDatabase | None = None) -> CheckReport:
    """
    Say whether the floors of kinds fit a database; reads only. Kinds that are at fault do not get here.

    Args:
        kinds: The kinds.
        database: A Motor or PyMongo Async database to look at; without one only the code's own floors are told.

    Raises:
        RecordFormatError: The records are those of another release of docstore.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if database is None:
        return CheckReport(kinds=tuple(_of_code(kind) for kind in kinds))
    restored = await is_restored(database)
    view = await ControlRecords(database).view()
    reports = []
    for kind in kinds:
        record = view.floor_of(kind.name)
        mismatch = floor_mismatch(facts_about(kind, record, await stored_rows(database, kind)))
        bypassed = await floor_findings_of(database, kind, view)
        found = {"refused": _findings(mismatch), "bypassed": _findings(bypassed)}
        settled = {"recorded": record.floor, "proved": record.proved}
        reports.append(_of_code(kind).model_copy(update={**settled, **found}))
    return CheckReport(kinds=tuple(reports), database=str(database.name), restored=restored)


def _of_code(kind: Kind[Any]) -> FloorReport:
    return FloorReport(kind=kind.name, collection=kind.collection, latest=kind.latest, floor=kind.floor)


def _findings(blockers: Iterable[Blocker]) -> tuple[Finding, ...]:
    return tuple(
        Finding(cause=blocker.cause, kind=blocker.kind, words=blocker.words, facts=dict(blocker.facts))
        for blocker in blockers
    )
