"""
Read-only views that show a kind's rows in one shape, for programs that do not use docstore.
"""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from docstore.commands.process import utc_now
from docstore.commands.view_readers import SEEN, Readers, seen_readers
from docstore.commands.view_report import ViewReader, ViewReport, ViewState
from docstore.core.bson_values import identical
from docstore.core.kind import Kind
from docstore.core.view_pipeline import lowest_shown, view_name, view_pipeline
from docstore.errors import VersionRangeError, ViewRefusedError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.views import Found, Views


async def views_sync(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    versions: Iterable[int] | None = None,
    declared: Iterable[int] = (),
    now: Callable[[], datetime.datetime] = utc_now,
) -> list[ViewReport]:
    """
    Make and mend a kind's views, and drop those that are not wanted; return every view that there is or was.

    There is one for latest, one for each version that clients have asked for within 30 days, one for each that is
    latest to a live node of an older release, one for the highest version of each declared reader (`fleet_declare`),
    and one for each of *declared*. A view that was made for these alone is dropped when there are none any more. One
    that was named in *versions*, or that was latest's, stays, because nobody sees who reads it, until *versions* names
    others. Views of versions below the floor are dropped. A view that newer code has made is left alone.

    Idempotent. Everything that is refused is refused before anything is changed; each view is made, changed or dropped
    in one moment, the whole is not atomic. A view that is wanted for readers that were found and cannot be made is
    reported as refused (or foreign), and stands in nobody's way.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        versions: Versions whose readers nobody sees (BI tools, services in other languages).
        declared: Versions of which the caller knows readers, besides those that the fleet knows. Others than floor to
            latest are left out.
        now: The clock that says how long ago 30 days are.

    Raises:
        VersionRangeError: One of *versions* is no version of the kind.
        ViewRefusedError: A step above a view's version cannot run on the server or has no way back; a step below it
            cannot run there, and rows are stored that need it; something that docstore did not make has the name of a
            view; or the database is the mock's. Carries kind, view and reason.
        RecordFormatError: A record of the fleet is that of another release of docstore.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    asked = None if versions is None else frozenset(versions)
    _require_versions(kind, sorted(asked or ()))
    views = Views(database, kind.collection)
    if not views.are_possible:
        raise _refused(kind, kind.latest, "mongomock has no views")
    wanted_for = await views.found(), await seen_readers(database, kind, declared, now())
    return await _synced(views, kind, *wanted_for, asked, insists=True)


async def views_mend(
    database: AnyDatabase, kind: Kind[Any], *, now: Callable[[], datetime.datetime] = utc_now
) -> list[ViewReport]:
    """
    Do the same for a kind of which docstore has made views before, and nothing for others.

    What cannot be made is reported as refused (or foreign), whoever it is for, and stands in nobody's way.

    Raises:
        RecordFormatError, StoreUnavailableError, StoreRejectedError: See `views_sync`.
    """
    views = Views(database, kind.collection)
    found = await views.found()
    if not any(each.is_ours for each in found.values()):
        return []
    return await _synced(views, kind, found, await seen_readers(database, kind, (), now()), None, insists=False)


async def _synced(
    views: Views,
    kind: Kind[Any],
    found: Mapping[int, Found],
    seen: Readers,
    asked: frozenset[int] | None,
    *,
    insists: bool,
) -> list[ViewReport]:
    wanted = _wanted(kind, found, seen, asked)
    pipelines: dict[int, list[dict[str, Any]]] = {}
    reports: list[ViewReport] = []
    for version, whom in wanted.items():
        if version in found and found[version].is_of_newer_code(kind.latest):
            # This code would show rows above its latest as they are stored, to readers that saw them brought down.
            reports.append(_report(kind, version, ViewState.NEWER, readers=whom))
            continue
        try:
            pipelines[version] = await _possible(views, kind, version, whom, found.get(version))
        except ViewRefusedError as error:
            if insists and not SEEN.issuperset(whom):
                raise
            is_foreign = version in found and not found[version].is_ours
            state, reason = (ViewState.FOREIGN, None) if is_foreign else (ViewState.REFUSED, error.reason)
            reports.append(_report(kind, version, state, reason, readers=whom))
    for version, pipeline in pipelines.items():
        there, readers = found.get(version), wanted[version]
        reports.append(await _put(views, kind, version, pipeline, there=there, readers=readers))
    for version in sorted(found.keys() - wanted.keys()):
        report = _standing(kind, found[version], wanted)
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


async def views_list(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    declared: Mapping[str, Iterable[int]] | None = None,
    now: Callable[[], datetime.datetime] = utc_now,
) -> list[ViewReport]:
    """
    Return every view of the kinds, and how it stands; those that `views_sync` would make also where they are missing.

    Reads only.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kinds: The kinds.
        declared: What `views_sync` is given, by the names of kinds.
        now: See `views_sync`.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    reports: list[ViewReport] = []
    for kind in kinds:
        found = await Views(database, kind.collection).found()
        seen = await seen_readers(database, kind, (declared or {}).get(kind.name, ()), now())
        wanted = _wanted(kind, found, seen, None)
        reports += [_standing(kind, found.get(version, version), wanted) for version in sorted({*found, *wanted})]
    return reports


def _wanted(kind: Kind[Any], found: Mapping[int, Found], seen: Readers, asked: frozenset[int] | None) -> Readers:
    """Return for whom there is to be a view of which version."""
    if asked is None:
        by_hand = {version for version in found if found[version].is_by_hand and kind.floor <= version <= kind.latest}
    else:
        by_hand = set(asked)
    wanted: dict[int, tuple[ViewReader, ...]] = {}
    for version in sorted({kind.latest, *by_hand, *seen}):
        first = (ViewReader.LATEST,) if version == kind.latest else (ViewReader.BY_HAND,) if version in by_hand else ()
        wanted[version] = (*first, *seen.get(version, ()))
    return wanted


async def _possible(
    views: Views, kind: Kind[Any], version: int, whom: Sequence[ViewReader], there: Found | None
) -> list[dict[str, Any]]:
    """Return a view's pipeline; raise if it cannot be."""
    if there is not None and not there.is_ours:
        raise _foreign(kind, version)
    pipeline = view_pipeline(kind, version, found=SEEN.issuperset(whom))
    if there is None or not identical(there.pipeline, pipeline):
        await _require_no_rows_below(views, kind, version)
    return pipeline


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
    views: Views,
    kind: Kind[Any],
    version: int,
    pipeline: Sequence[Mapping[str, Any]],
    *,
    there: Found | None,
    readers: tuple[ViewReader, ...],
) -> ViewReport:
    name = view_name(kind.collection, version)
    if there is None:
        if await views.create(name, pipeline):
            return _report(kind, version, ViewState.CREATED, readers=readers)
        # Somebody was quicker since it was looked up.
        there = (await views.found()).get(version)
        if there is None or not there.is_ours:
            raise _foreign(kind, version)
    if identical(there.pipeline, list(pipeline)):
        return _report(kind, version, ViewState.CURRENT, readers=readers)
    await views.replace(name, pipeline)
    return _report(kind, version, ViewState.CHANGED, readers=readers)


def _standing(kind: Kind[Any], found: Found | int, wanted: Readers) -> ViewReport:
    """Return how a view stands; a number stands for the version of one that is not there."""
    version = found if isinstance(found, int) else found.version
    readers = wanted.get(version, ())
    if isinstance(found, Found) and not found.is_ours:
        return _report(kind, version, ViewState.FOREIGN, readers=readers)
    if version > kind.latest:
        return _report(kind, version, ViewState.NEWER)
    if version < kind.floor:
        return _report(kind, version, ViewState.RETIRED)
    if isinstance(found, Found) and found.is_of_newer_code(kind.latest):
        return _report(kind, version, ViewState.NEWER, readers=readers)
    if not readers:
        return _report(kind, version, ViewState.UNREAD)
    try:
        pipeline = view_pipeline(kind, version, found=SEEN.issuperset(readers))
    except ViewRefusedError as error:
        return _report(kind, version, ViewState.REFUSED, error.reason, readers=readers)
    if isinstance(found, int):
        return _report(kind, version, ViewState.MISSING, readers=readers)
    state = ViewState.CURRENT if identical(found.pipeline, pipeline) else ViewState.STALE
    return _report(kind, version, state, readers=readers)


def _report(
    kind: Kind[Any],
    version: int,
    state: ViewState,
    reason: str | None = None,
    *,
    readers: tuple[ViewReader, ...] = (),
) -> ViewReport:
    view = view_name(kind.collection, version)
    return ViewReport(kind=kind.name, view=view, version=version, state=state, readers=readers, reason=reason)


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
