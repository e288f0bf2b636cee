"""
What has happened to the rows of a kind behind the back of its recorded floor, as one value for everybody who shows it.

A validator stops every ordinary call, and not what removes it, or the collection with it: those leave traces.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from docstore.core.blocker import Blocker, Cause
from docstore.core.floor_state import FenceRecord, FloorState, Validation
from docstore.core.write_version import StoredRows


@dataclass(frozen=True, slots=True)
class StandingFence:
    """
    What the server refuses at the moment.
    """

    #: The collection under the name; None where there is none.
    collection: uuid.UUID | None = None
    #: The lowest and the highest version that the fence lets in; None where there is no fence that docstore put up.
    low: int | None = None
    high: int | None = None
    validation: Validation = Validation()  # noqa: RUF009 - a value


def floor_findings(record: FloorState, rows: StoredRows, fence: StandingFence | None) -> Iterator[Blocker]:
    """
    Give what is not as it was recorded; nothing where there is no record. Without a *fence* nobody may look at it.

    | found | what it means |
    |---|---|
    | rows below the recorded floor | they were restored, or written with `bypassDocumentValidation` |
    | rows whose tag is no version, where a fence was put up | the same |
    | another collection under the name | it was dropped, renamed over, replaced by `$out`, or restored |
    | no fence, where one was put up | `collMod` by somebody else, or the collection is a new one |
    | another fence | `collMod` by somebody else |
    """
    kind = record.kind
    if record.floor is not None and rows.lowest is not None and rows.lowest < record.floor:
        words = f"rows of {kind} stand at version {rows.lowest}, below the recorded floor {record.floor}"
        yield Blocker(Cause.ROWS_BELOW_FLOOR, kind, words, {"row": rows.lowest, "recorded": record.floor})
    if record.fence is not None and rows.unreadable:
        words = f"rows of {kind} have a tag that is no version, which the recorded fence refuses"
        yield Blocker(Cause.ROWS_UNREADABLE, kind, words)
    if fence is None:
        return
    if fence.collection is None:
        if record.home is not None:
            words = f"the collection of {kind} is gone: it was dropped or renamed"
            yield Blocker(Cause.OTHER_COLLECTION, kind, words, _homes(record, None))
        return
    if record.home is not None and fence.collection != record.home:
        what = "fence" if record.floor is None else "floor"
        words = (
            f"the collection of {kind} is another one than when its {what} was recorded: it was dropped, renamed over, "
            "replaced by $out, or restored"
        )
        yield Blocker(Cause.OTHER_COLLECTION, kind, words, _homes(record, fence.collection))
    if record.fence is not None:
        yield from _of_fence(kind, record.fence, fence)


def _homes(record: FloorState, now: uuid.UUID | None) -> dict[str, str | int | None]:
    return {"home": str(record.home), "now": None if now is None else str(now), "floor": record.floor}


def _of_fence(kind: str, wanted: FenceRecord, fence: StandingFence) -> Iterator[Blocker]:
    found = fence.validation
    if fence.low is None or fence.high is None or found.level == "off" or found.action != "error":
        words = f"the fence of {kind} is gone: the server does not refuse rows below version {wanted.low}"
        yield Blocker(Cause.FENCE_MISSING, kind, words, {"low": wanted.low, "high": wanted.high})
        return
    # One that lets in more at the top is on its way up or down, and lets in nothing that nobody reads.
    if fence.low != wanted.low or fence.high < wanted.high or (wanted.level, found.level) == ("strict", "moderate"):
        words = (
            f"the fence of {kind} lets in versions {fence.low} to {fence.high} ({found.level}), and "
            f"{wanted.low} to {wanted.high} ({wanted.level}) are recorded"
        )
        facts = {"low": wanted.low, "high": wanted.high, "found_low": fence.low, "found_high": fence.high}
        yield Blocker(Cause.FENCE_CHANGED, kind, words, facts)
