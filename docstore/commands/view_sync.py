"""
Read-only views that show a kind's rows in one shape, for programs that do not use docstore.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.core.bson_values import identical
from docstore.core.kind import Kind
from docstore.core.view_pipeline import lowest_shown, view_name, view_pipeline
from docstore.errors import VersionRangeError, ViewRefusedError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.views import Found, Views


class ViewState(StrEnum):
    """How a view stands, or what was done to it."""

    #: Made now.
    CREATED = "created"
    #: It was made of other steps; it has this code's now.
    CHANGED = "changed"
    #: It is as this code makes it.
    CURRENT = "current"
    #: It was made of other steps than this code has; `views sync` changes it.
    STALE = "stale"
    #: It is not there; `views sync` makes it.
    MISSING = "missing"
    #: This code cannot make it; *reason* says why. Where an older one is there, it shows what its steps can bring.
    REFUSED = "refused"
    #: Its version is below the floor; `views sync` drops it.
    RETIRED = "retired"
    #: Its version is above latest: newer code has made it, and this code leaves it alone.
    NEWER = "newer"
    #: A collection, or a view of somebody else, has its name.
    FOREIGN = "foreign"
    #: Dropped now.
    DROPPED = "dropped"


class ViewReport(BaseModel):
    """One view of a kind."""

    model_config = ConfigDict(frozen=True)

    kind: str
    view: str
    version: int
    state: ViewState
    #: Why it is refused; null otherwise.
    reason: str | None = None


async def views_sync(
    database: AnyDatabase, kind: Kind[Any], *, versions: Iterable[int] | None = None
) -> list[ViewReport]:
    """
    Make and mend a kind's views, and drop those that are not wanted; return every view that there is or was.

    There is one for latest, and one for each of *versions*; without *versions*, for each version that has a view
    already. Views of versions below the floor are dropped. Idempotent. Everything that is refused is refused before
    anything is changed; each view is made, changed or dropped in one moment, the whole is not atomic.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        versions: The versions, besides latest, that still have readers; views of others are dropped.

    Raises:
        VersionRangeError: One of *versions* is no version of the kind.
        ViewRefusedError: A step above a view's version cannot run on the server or has no way back; a step below it
            cannot run there, and rows are stored that need it; something that docstore did not make has the name of a
            view; or the database is the mock's. Carries kind, view and reason.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    asked = None if versions is None else sorted(set(versions))
    _require_versions(kind, asked or ())
    views = Views(database, kind.collection)
    found = await views.found()
    ours = [version for version in found if found[version].is_ours and kind.floor <= version <= kind.latest]
    wanted = sorted({kind.latest, *(ours if asked is None else asked)})
    if not views.are_possible:
        raise _refused(kind, kind.latest, "mongomock has no views")
    for version in wanted:
        if version in found and not found[version].is_ours:
            raise _foreign(kind, version)
    pipelines = {version: view_pipeline(kind, version) for version in wanted}
    for version in wanted:
        if version not in found or not identical(found[version].pipeline, pipelines[version]):
            await _require_no_rows_below(views, kind, version)
    reports = [await _put(views, kind, version, pipelines[version], found) for version in wanted]
    for version in sorted(found.keys() - pipelines.keys()):
        report = _standing(kind, found[version])
        if report.state not in {ViewState.FOREIGN, ViewState.NEWER}:
            await views.drop(report.view)
            report = _report(kind, version, ViewState.DROPPED)
        reports.append(report)
    return sorted(reports, key=lambda report: report.version)


async def views_drop(
    database: AnyDatabase, kind: Kind[Any], *, versions: Iterable[int] | None = None
) -> list[ViewReport]:
    """
    Drop the views that docstore has made of a kind; return those that were dropped.

    Idempotent. Views of versions above latest are dropped too where *versions* names them.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose views.
        versions: Which; all up to latest by default.

    Raises:
        ViewRefusedError: *versions* names one that docstore did not make; nothing was dropped.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    views = Views(database, kind.collection)
    found = await views.found()
    if versions is None:
        chosen = [version for version in found if found[version].is_ours and version <= kind.latest]
    else:
        chosen = [version for version in set(versions) if version in found]
        for version in chosen:
            if not found[version].is_ours:
                raise _foreign(kind, version)
    for version in chosen:
        await views.drop(view_name(kind.collection, version))
    return [_report(kind, version, ViewState.DROPPED) for version in sorted(chosen)]


async def views_list(database: AnyDatabase, kinds: Iterable[Kind[Any]]) -> list[ViewReport]:
    """
    Return every view of the kinds, and how it stands; that of latest also where it is missing. Reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    reports: list[ViewReport] = []
    for kind in kinds:
        found = await Views(database, kind.collection).found()
        reports += [_standing(kind, found.get(version, version)) for version in sorted({*found, kind.latest})]
    return reports


async def _require_no_rows_below(views: Views, kind: Kind[Any], version: int) -> None:
    """Refuse a view that would leave rows as they are which are there now, because of a step of functions."""
    lowest, obstacle = lowest_shown(kind, version)
    if obstacle is None:
        return
    below = range(kind.floor, lowest)
    untagged = kind.detect is None and kind.floor <= kind.baseline < lowest
    if await views.holds_rows_at(kind.version_field, below, untagged=untagged):
        raise _refused(
            kind,
            version,
            f"{obstacle}, and rows are stored below version {lowest}",
            f"docstore backfill start {kind.name} --wait brings them up; then the same command goes on",
        )


async def _put(
    views: Views, kind: Kind[Any], version: int, pipeline: Sequence[Mapping[str, Any]], found: Mapping[int, Found]
) -> ViewReport:
    name = view_name(kind.collection, version)
    there = found.get(version)
    if there is None:
        if await views.create(name, pipeline):
            return _report(kind, version, ViewState.CREATED)
        # Somebody was quicker since it was looked up.
        there = (await views.found()).get(version)
        if there is None or not there.is_ours:
            raise _foreign(kind, version)
    if identical(there.pipeline, list(pipeline)):
        return _report(kind, version, ViewState.CURRENT)
    await views.replace(name, pipeline)
    return _report(kind, version, ViewState.CHANGED)


def _standing(kind: Kind[Any], found: Found | int) -> ViewReport:
    """Return how a view stands; a number stands for the version of one that is not there."""
    version = found if isinstance(found, int) else found.version
    if isinstance(found, Found) and not found.is_ours:
        return _report(kind, version, ViewState.FOREIGN)
    if version > kind.latest:
        return _report(kind, version, ViewState.NEWER)
    if version < kind.floor:
        return _report(kind, version, ViewState.RETIRED)
    try:
        pipeline = view_pipeline(kind, version)
    except ViewRefusedError as error:
        return _report(kind, version, ViewState.REFUSED, error.reason)
    if isinstance(found, int):
        return _report(kind, version, ViewState.MISSING)
    state = ViewState.CURRENT if identical(found.pipeline, pipeline) else ViewState.STALE
    return _report(kind, version, state)


def _report(kind: Kind[Any], version: int, state: ViewState, reason: str | None = None) -> ViewReport:
    view = view_name(kind.collection, version)
    return ViewReport(kind=kind.name, view=view, version=version, state=state, reason=reason)


def _require_versions(kind: Kind[Any], versions: Sequence[int]) -> None:
    for version in versions:
        if not kind.floor <= version <= kind.latest:
            raise VersionRangeError(kind=kind.name, asked=version, floor=kind.floor, latest=kind.latest)


def _foreign(kind: Kind[Any], version: int) -> ViewRefusedError:
    name = view_name(kind.collection, version)
    return _refused(
        kind,
        version,
        "something that docstore did not make has this name",
        f"look at it with db.getCollectionInfos({{name: {name!r}}}); once it is gone, the same command goes on",
    )


def _refused(kind: Kind[Any], version: int, reason: str, advice: str | None = None) -> ViewRefusedError:
    return ViewRefusedError(kind=kind.name, view=view_name(kind.collection, version), reason=reason, advice=advice)
