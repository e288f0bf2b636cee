"""
Reports to render as a page: one of everything that can happen, and the odd ones.
"""

import datetime
import math
from collections.abc import Mapping, Sequence

from docstore.backfill.quarantine_reasons import QuarantineReason
from docstore.backfill.run_status import HistoryEntry, RunStatus, WorkerStatus
from docstore.commands import CoverageResult, DatabaseReport, IndexState, KindReport
from docstore.core.control_view import Freeze
from docstore.core.coverage import ClientVersion, Coverage, OldestRow, VersionCount
from docstore.core.direction import Direction
from docstore.core.fence import FenceBounds, merge, split
from docstore.core.floor_state import FenceRecord, FloorState, Proof, Retiring, Validation
from docstore.core.rollout_state import RolloutState
from docstore.core.run_state import RunState
from docstore.core.way_back import WayBack
from docstore.fleet.rollout_status import CanaryStatus, RolloutRun, RolloutStatus
from docstore.fleet.status import FleetStatus, Life, NodeKindStatus, NodeStatus, ReaderStatus
from docstore.mongo.coverage_samples import CoverageSample
from docstore.mongo.fence import CollectionFence

AT = datetime.datetime(2026, 3, 14, 9, 26, tzinfo=datetime.UTC)
HOSTILE = "<script>alert('x')</script>\"&'\u202eevil\x00\ud800"
NOBODY = FleetStatus(nodes=(), readers=())


def coverage(
    name: str = "city",
    versions: Mapping[int, int] | None = None,
    *,
    latest: int = 6,
    floor: int = 1,
    write_version: int | None = None,
    untagged: int = 0,
    unreadable: int = 0,
    quarantined: int = 0,
    retirable_below: int | None = None,
    blockers: Sequence[str] = (),
    client_versions: Sequence[ClientVersion] = (),
    collection: str = "cities",
    oldest_below: OldestRow | None = None,
    doubles: int = 0,
    exact: bool = True,
    bypassed: Sequence[str] = (),
) -> Coverage:
    held = dict(versions or {})
    total = sum(held.values()) + untagged + unreadable
    return Coverage(
        kind=name,
        collection=collection,
        latest=latest,
        floor=floor,
        write_version=write_version,
        total=total,
        versions=tuple(VersionCount(version=version, rows=rows) for version, rows in sorted(held.items())),
        untagged=untagged,
        unreadable=unreadable,
        newer=sum(rows for version, rows in held.items() if version > latest),
        quarantined=quarantined,
        coverage=held.get(latest, 0) / total if total else 1.0,
        counted_at=AT,
        exact=exact,
        retirable_below=retirable_below,
        blockers=tuple(blockers),
        client_versions=tuple(client_versions),
        remaining=total - held.get(latest, 0),
        doubles=doubles,
        oldest_below=oldest_below,
        bypassed=tuple(bypassed),
    )


def kind_report(
    report: Coverage,
    *,
    index: IndexState = IndexState.READY,
    rollout: RolloutStatus | None = None,
    run: RunStatus | None = None,
    quarantine: Sequence[QuarantineReason] = (),
    history: Sequence[CoverageSample] = (),
    floor: FloorState | None = None,
    validated: CollectionFence | None = None,
) -> KindReport:
    return KindReport(
        name=report.kind,
        tag="schema_version",
        counted=CoverageResult(report=report, index=index),
        rollout=rollout,
        run=run,
        quarantine=tuple(quarantine),
        history=tuple(history),
        floor=floor,
        validated=validated,
    )


def fenced(name: str, low: int, high: int, *, level: str = "strict", altered: bool = False) -> CollectionFence:
    """
    Return how a collection is validated behind a fence, which somebody may have changed by hand.
    """
    validator = merge(None, FenceBounds(name, "schema_version", low, high))
    if altered:
        validator["$jsonSchema"]["required"] = []
    return CollectionFence(None, Validation(validator, level), split(validator))


def database_report(
    *kinds: KindReport, fleet: FleetStatus = NOBODY, freeze: Freeze | None = None, name: str = "geo"
) -> DatabaseReport:
    return DatabaseReport(database=name, at=AT, kinds=kinds, fleet=fleet, freeze=freeze)


def rollout(
    name: str = "city",
    state: RolloutState = RolloutState.STABLE,
    write_version: int = 6,
    *,
    canary: CanaryStatus | None = None,
    run: RolloutRun | None = None,
    way_back: WayBack = WayBack.NONE,
    late: Sequence[str] = (),
    release_before_blocked_by: Sequence[str] = (),
) -> RolloutStatus:
    return RolloutStatus(
        kind=name,
        state=state,
        write_version=write_version,
        canary=canary,
        version_before=write_version if way_back is WayBack.NONE else write_version - 1,
        way_back=way_back,
        frozen=False,
        late=tuple(late),
        lowest_row=1,
        highest_row=write_version,
        run=run,
        stuck=(),
        release_before_blocked_by=tuple(release_before_blocked_by),
    )


def run(
    name: str = "city",
    state: RunState = RunState.RUNNING,
    *,
    target: int = 6,
    total: int = 1_000_000,
    done: int = 640_000,
    workers: int = 2,
    reason: str = "",
    direction: Direction = Direction.UP,
) -> RunStatus:
    seen = AT - datetime.timedelta(seconds=2)
    rate = 3200.0 if workers else None
    return RunStatus(
        run=f"{name}-7",
        kind=name,
        target=target,
        direction=direction,
        state=state,
        reason=reason,
        hold=None,
        selection=None,
        total=total,
        server=done * 3 // 4,
        client=done - done * 3 // 4,
        conflicts=12,
        quarantined=0,
        remaining=total - done,
        newer=0,
        rate=rate,
        eta_seconds=(total - done) / rate if rate and state is RunState.RUNNING else None,
        running_seconds=412.0,
        number_of_pass=1,
        batches_done=64,
        batches_failed=0,
        batches_open=workers,
        last_error=None,
        workers=tuple(
            WorkerStatus(host="worker", pid=4100 + each, seen=seen, rows=done // 2, rate=1600.0, note="", waits="")
            for each in range(workers)
        ),
        rate_limit=None,
        batch_seconds=1.0,
        workers_max=None,
        changes=(),
        history=(HistoryEntry(at=seen, before=None, after=state, reason="asked for", by="ada@ops", why=""),),
        by="ada@ops",
        at=AT,
        created=AT,
        started=AT,
        ended=None,
    )


def migration(total: int = 1_000_000, *, days: int = 60, samples: int = 90) -> list[CoverageSample]:
    """
    Return a history in which version 4 gives way to 5, and 5 to 6, while untagged rows vanish.
    """
    found = []
    for place in range(samples):
        time = place / samples
        fifth, sixth = (1 / (1 + math.exp(-18 * (time - middle))) for middle in (0.3, 0.96))
        untagged = int(total * max(0.01, 0.12 - time * 0.3))
        rest = total - untagged
        at_six = int(rest * sixth)
        at_five = int((rest - at_six) * fifth)
        found.append(
            CoverageSample(
                at=AT - datetime.timedelta(days=days * (1 - time)),
                latest=6 if time > 0.6 else 5,
                versions=((4, rest - at_five - at_six), (5, at_five), (6, at_six)),
                untagged=untagged,
                unreadable=0,
                quarantined=0,
            )
        )
    return found


def reason(rows: int, *, error: str = "UpgradeError", path: str | None = "location.lat") -> QuarantineReason:
    return QuarantineReason(
        version=4,
        target=6,
        step=5,
        error=error,
        path=path,
        rows=rows,
        first_seen=AT - datetime.timedelta(days=2),
        last_seen=AT - datetime.timedelta(hours=3),
    )


def node(
    service: str,
    instance: str,
    *kinds: NodeKindStatus,
    life: Life = Life.ALIVE,
    waits_for: Sequence[str] = (),
    silent: float = 1.0,
) -> NodeStatus:
    return NodeStatus(
        id=f"{service}-{instance}",
        service=service,
        instance=instance,
        host=instance,
        pid=4711,
        docstore="0.1.0",
        policy="enforce",
        life=life,
        started=AT,
        seen=AT,
        silent_seconds=silent,
        kinds=kinds,
        waits_for=tuple(waits_for),
    )


def works_with(name: str, reads: tuple[int, int], writes: int | None, *, acknowledged: bool = True) -> NodeKindStatus:
    return NodeKindStatus(
        kind=name,
        reads=reads,
        latest=reads[1],
        floor=reads[0],
        writes=writes,
        fingerprints={},
        acknowledged=acknowledged,
    )


def everything() -> DatabaseReport:
    """
    Return a report in which every part of the page has something to say.
    """
    long_name = "customer_relationship_interaction_history_entries_of_the_northern_hemisphere"
    city = kind_report(
        coverage(
            versions={4: 12_000, 5: 311_000, 6: 661_211, 7: 2},
            untagged=9_480,
            unreadable=7,
            write_version=6,
            quarantined=1_204,
            blockers=["12,000 rows at version 4", "311,000 rows at version 5", "1,204 rows in quarantine"],
            client_versions=[ClientVersion(version=4, asks=1204, last_asked=AT)],
            oldest_below=OldestRow(version=4, created=AT - datetime.timedelta(days=412, hours=5)),
            doubles=3,
            exact=False,
        ),
        rollout=rollout(
            state=RolloutState.BACKFILLING,
            run=RolloutRun(run="city-7", direction=Direction.UP, target=6, state=RunState.RUNNING, remaining=360_000),
            way_back=WayBack.AFTER_BACKFILL,
            late=["geo-api/pod-3"],
            release_before_blocked_by=["rows of city stand at version 6"],
        ),
        run=run(),
        quarantine=[reason(1_200), reason(4, error="ValidationError", path=None)],
        history=migration(),
        floor=FloorState(
            "city",
            9,
            floor=4,
            proof=Proof(by="ada@ops", at=AT, rows=1_000_000, clear_since=AT, soak=172_800.0, why="release 41"),
            fence=FenceRecord(4, 7, "moderate"),
        ),
        validated=fenced("city", 4, 7, level="moderate"),
    )
    road = kind_report(
        coverage("road", {2: 180_000, 3: 9_000}, latest=3, write_version=2, collection="roads"),
        rollout=rollout(
            "road",
            RolloutState.CANARY,
            2,
            canary=CanaryStatus(version=3, percent=5, abort_on="errors>1%", operations=48_211, failures=0),
            way_back=WayBack.INSTANT,
        ),
    )
    empty = kind_report(coverage("draft", latest=1, collection="drafts"))
    huge = kind_report(
        coverage(
            long_name,
            {version: 9_007_199_254_740_991 // version for version in range(1, 61)},
            latest=60,
            write_version=60,
            collection=f"{long_name}_rows",
            bypassed=[f"the fence of {long_name} is gone: the server does not refuse rows below version 1"],
        ),
        rollout=rollout(long_name, RolloutState.OPEN, 60, way_back=WayBack.NEVER),
        index=IndexState.MISSING,
        floor=FloorState(
            long_name, 3, floor=1, fence=FenceRecord(1, 60, "strict"), proof=Proof(by="ada", at=AT, fenced=False)
        ),
        validated=CollectionFence(None, Validation(), split(None)),
    )
    done = kind_report(
        coverage("note", {3: 52_118}, latest=3, write_version=3, retirable_below=3, collection="notes"),
        rollout=rollout("note", RolloutState.COMPLETE, 3),
        run=run("note", RunState.SUCCEEDED, target=3, total=52_118, done=52_118, workers=0),
        floor=FloorState("note", 2, floor=2, retiring=Retiring(below=3, since=AT, by="bob@ops", soak=172_800.0)),
    )
    others = [
        kind_report(coverage(f"{name}", {1: rows}, latest=1, write_version=1, collection=f"{name}s"))
        for name, rows in (("tag", 1), ("user", 48_211), ("order", 1_200_400), ("invoice", 99_120))
    ]
    hostile = kind_report(coverage(HOSTILE, {1: 3}, latest=1, collection=HOSTILE))
    return database_report(
        city,
        road,
        empty,
        huge,
        done,
        *others,
        hostile,
        fleet=FleetStatus(
            nodes=(
                node("geo-api", "pod-1", works_with("city", (4, 6), 6), works_with("road", (1, 3), 2)),
                node("geo-api", "pod-3", works_with("city", (4, 6), 5, acknowledged=False)),
                node(
                    "search",
                    "search-7c9f",
                    works_with("city", (4, 5), None),
                    life=Life.WAITING,
                    waits_for=[
                        "it reads city up to version 5, and version 6 is stored",
                    ],
                ),
                node("reports", "cron-2", works_with(long_name, (1, 60), 60), life=Life.DEAD, silent=1_520.0),
                node(HOSTILE, HOSTILE, works_with(HOSTILE, (1, 1), 1)),
            ),
            readers=(ReaderStatus(service="nightly-export", kind="city", reads=(3, 6), writes=5, by="ada@ops", at=AT),),
        ),
        freeze=Freeze(by="ada@ops", why="incident 4711", at=AT),
    )
