"""
What the page says of a kind's recorded floor and its fence.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from docstore.cli.durations import span
from docstore.cli.row_words import some_rows
from docstore.commands import KindReport
from docstore.core.fence_state import FenceState
from docstore.core.floor_state import Proof, Retiring


class Fact(NamedTuple):
    """
    One fact with its label.
    """

    label: str
    text: str
    #: "green", "yellow" or "red" where it needs a look; else empty.
    colour: str = ""


#: What is wrong with a fence.
_WRONG: Final = {
    FenceState.MISSING: "is gone: the server lets everything in",
    FenceState.ALTERED: "was changed by hand",
    FenceState.DIFFERENT: "is not the one that was recorded",
    FenceState.UNRECORDED: "is recorded nowhere, so that no rollout raises it",
}


def floor_facts(found: KindReport) -> Iterator[Fact]:
    """
    Yield what is recorded of a floor and a fence, and what stands; nothing where there is neither.
    """
    floor = found.floor
    if floor is not None and floor.floor is not None:
        yield Fact("recorded floor", f"version {floor.floor}")
        yield from _proof(floor.proof)
        if floor.proof is not None and not floor.proved:
            yield Fact("unproved", "the server did not refuse rows below it when it was recorded", "yellow")
    if floor is not None and floor.retiring is not None:
        yield _retiring(floor.retiring)
    if floor is not None or found.fence is not FenceState.NONE:
        yield from _fence(found)


def _proof(proof: Proof | None) -> Iterator[Fact]:
    if proof is None:
        yield Fact("settled on", "an empty collection")
        return
    soaked = "" if proof.clear_since is None else f", none below since {proof.clear_since:%Y-%m-%d %H:%M} UTC"
    yield Fact("proved by", f"{some_rows(proof.rows)} counted{soaked}; soak time {span(proof.soak)}")
    yield Fact("recorded", f"{proof.at:%Y-%m-%d %H:%M} UTC by {proof.by}{f': {proof.why}' if proof.why else ''}")


def _retiring(retiring: Retiring) -> Fact:
    because = f": {retiring.why}" if retiring.why else ""
    words = f"below version {retiring.below}, begun {retiring.since:%Y-%m-%d %H:%M} UTC by {retiring.by}{because}"
    return Fact("retiring", words, "yellow")


def _fence(found: KindReport) -> Iterator[Fact]:
    standing = None if found.validated is None else found.validated.bounds
    recorded = None if found.floor is None else found.floor.fence
    if found.fence in _WRONG:
        yield Fact("fence", _WRONG[found.fence], "yellow" if found.fence is FenceState.UNRECORDED else "red")
    elif recorded is None:
        yield Fact("fence", "none is wanted")
    if standing is not None and found.validated is not None:
        colour = "green" if found.fence is FenceState.STANDS else ""
        yield Fact("lets in", f"{_within(standing.low, standing.high)} ({found.validated.validation.level})", colour)
    if recorded is not None and found.fence is not FenceState.STANDS:
        yield Fact("was to let in", f"{_within(recorded.low, recorded.high)} ({recorded.level})")


def _within(low: int, high: int) -> str:
    return f"versions {low} to {high}" if low < high else f"version {low} alone"
