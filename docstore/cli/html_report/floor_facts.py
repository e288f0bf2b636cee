"""
What the page says of a kind's recorded floor and its fence.
"""

from collections.abc import Iterator
from typing import NamedTuple

from docstore.cli.durations import span
from docstore.cli.row_words import some_rows
from docstore.core.floor_state import FenceRecord, FloorState, Proof, Retiring


class Fact(NamedTuple):
    """
    One fact with its label.
    """

    label: str
    text: str
    #: "green", "yellow" or "red" where it needs a look; else empty.
    colour: str = ""


def floor_facts(floor: FloorState | None) -> Iterator[Fact]:
    """
    Yield what is recorded of a floor and a fence; nothing where nobody has recorded any.
    """
    if floor is None:
        return
    if floor.floor is not None:
        yield Fact("recorded floor", f"version {floor.floor}: no row stands below it")
        yield from _proof(floor.proof)
    if floor.retiring is not None:
        yield _retiring(floor.retiring)
    yield _fence(floor.fence, unproved=floor.floor is not None and floor.proof is not None and not floor.proved)


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


def _fence(fence: FenceRecord | None, *, unproved: bool) -> Fact:
    if fence is None:
        words = "none: the floor is unproved, anything may be stored below it" if unproved else "none is wanted"
        return Fact("fence", words, "yellow" if unproved else "")
    within = f"versions {fence.low} to {fence.high}" if fence.low < fence.high else f"version {fence.low} alone"
    return Fact("fence", f"lets in {within} ({fence.level})")
