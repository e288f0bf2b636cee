"""
Views that follow a rollout: they know the newer version before its first row is stored.
"""

import datetime
from collections.abc import Callable
from typing import Any, Final

import structlog

from docstore.commands.process import utc_now
from docstore.commands.view_report import ViewReport, ViewState
from docstore.commands.view_sync import views_mend
from docstore.core.kind import Kind
from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase

_log: Final = structlog.get_logger("docstore.commands")


async def views_keep(
    database: AnyDatabase, kind: Kind[Any], *, now: Callable[[], datetime.datetime] = utc_now
) -> list[ViewReport]:
    """
    Do what `views_sync` does, for a kind that has views made by docstore; what cannot be made stands in nobody's way.

    A view that was made of older steps shows rows of a newer version as they are stored. Where it cannot be mended, a
    warning `view_not_in_step` names it; so it does where the server allows no views to be made.

    Raises:
        StoreUnavailableError: The database could not be reached.
        RecordFormatError: A record of the fleet is that of another release of docstore.
    """
    try:
        reports = await views_mend(database, kind, now=now)
    except StoreRejectedError as error:
        # Whoever moves a rollout need not have the privilege to make views.
        _log.warning("view_not_in_step", kind=kind.name, view=None, reason=error.reason)
        return []
    for report in reports:
        if report.state in {ViewState.REFUSED, ViewState.FOREIGN}:
            _log.warning("view_not_in_step", kind=kind.name, view=report.view, reason=report.reason)
    return reports
