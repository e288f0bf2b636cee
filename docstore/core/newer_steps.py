"""
Rows above a kind's latest, read through the steps that others have published.

A kind that reads so has the model and the steps of its own code, and beside them the published steps above, as far as
they have a way back without a gap. A row that stands there is brought down to latest, and a change of it is lifted to
where the row stands (`core.lens.put` with `kind_at`). Nothing here brings a row up past latest to be stored so, but
the ones that are there already: a row above latest is never tagged down.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from docstore.core.bson_values import RawDocument
from docstore.core.chain import Chain
from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.paths import FieldPath
from docstore.core.residue import RESIDUE
from docstore.core.step import Step
from docstore.core.version import read_version
from docstore.errors import DowngradeFailedError, NewerVersionError, RetiredVersionError

D = TypeVar("D", bound=Document)


class NewerSteps:
    """
    The published steps above a kind's latest, gapless from there on; other ones may take their place at any time.

    Args:
        steps: They, in order, each with its version and a way back.
    """

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps: tuple[Step, ...] = ()
        self.replace(steps)

    def replace(self, steps: Sequence[Step]) -> None:
        """
        Take these steps from now on.
        """
        self.steps = tuple(steps)
        #: From a version above latest down to it.
        self.down = {step.to: inverted(self.steps[: place + 1]) for place, step in enumerate(self.steps)}
        self.kinds: dict[int, Kind[Any]] = {}


def reading(kind: Kind[D], newer: NewerSteps) -> Kind[D]:
    """
    Return the same kind, whose rows are read as far as *newer* goes.
    """
    extended = kind.copy()
    extended.newer = newer
    return extended


def readable(kind: Kind[Any]) -> int:
    """
    Return the highest version at which rows can be read.
    """
    return kind.latest + len(_newer(kind))


def newer_versions(kind: Kind[Any]) -> list[int]:
    """
    Return the versions above latest at which rows can be read.
    """
    return list(range(kind.latest + 1, readable(kind) + 1))


def standing(kind: Kind[Any], raw: Mapping[str, Any]) -> int:
    """
    Return the version at which a row stands that can be read, above latest or not.

    Raises:
        NewerVersionError: No step is known that leads down from there; carries both versions.
        RetiredVersionError, UnknownVersionError: See `Kind.version`.
    """
    version = read_version(raw, kind=kind.name, field=kind.version_field, baseline=kind.baseline, detect=kind.detect)
    highest = readable(kind)
    if version > highest:
        raise NewerVersionError(kind=kind.name, id=raw.get("_id"), found=version, latest=highest)
    if version < kind.floor:
        raise RetiredVersionError(kind=kind.name, id=raw.get("_id"), found=version, floor=kind.floor)
    return version


def kind_at(kind: Kind[D], version: int) -> Kind[D]:
    """
    Return the kind as it is where *version*, above latest, is the latest: for rows only, since it has the same model.

    Raises:
        NewerVersionError: No step is known that leads down from there; carries both versions.
    """
    if version <= kind.latest:
        return kind
    newer = kind.newer
    if newer is None or version > readable(kind):
        raise NewerVersionError(kind=kind.name, id=None, found=version, latest=readable(kind))
    known = newer.kinds.get(version)
    if known is None:
        steps = (*kind.steps, *newer.steps[: version - kind.latest])
        known = kind.copy()
        known.newer = None
        known.chain = Chain(kind=kind.name, field=kind.version_field, floor=kind.floor, steps=steps)
        newer.kinds[version] = known
    return known


def at_latest(kind: Kind[Any], raw: Mapping[str, Any]) -> RawDocument:
    """
    Return a row at latest, tagged, wherever it stands; of one above latest, without what it keeps of shapes above.

    A row that holds more than the older shape has place for is seen as if it was stored there: with what fits.

    Raises:
        UpgradeFailedError, DowngradeFailedError: A step failed; carries kind, id, version, step and the field path.
        NewerVersionError, RetiredVersionError, UnknownVersionError: See `standing`.
    """
    version = standing(kind, raw)
    if version <= kind.latest:
        return kind.upgrade(raw)
    newer = kind_at(kind, version)
    try:
        row = newer.downgrade(raw, to=kind.latest)
    except DowngradeFailedError:
        # P6: whatever the nodes store at that version, this node reads, or nobody may store it.
        row = newer.lower(raw, to=kind.latest)
    row.pop(RESIDUE, None)
    return row


def way_to_latest(kind: Kind[Any], version: int) -> tuple[Step, ...]:
    """
    Return the steps that bring rows from a version to latest, in order: up from below, their inverses from above.
    """
    if version <= kind.latest:
        return kind.chain.between(version, kind.latest)
    newer = kind.newer
    return () if newer is None else newer.down[version]


def writes_on_way(kind: Kind[Any], version: int) -> frozenset[FieldPath] | None:
    """
    Return every path that the way from a version to latest may change; None stands for any path.
    """
    return kind.writes(version, kind.latest) if version <= kind.latest else _writes(way_to_latest(kind, version))


def changing(kind: Kind[Any]) -> frozenset[FieldPath] | None:
    """
    Return every path that rows may have otherwise than at latest, wherever they stand; None stands for any path.
    """
    below = kind.writes(kind.floor, kind.latest)
    if not _newer(kind) or below is None:
        return below
    return below | _writes(way_to_latest(kind, readable(kind)))


def inverted(steps: Sequence[Step]) -> tuple[Step, ...]:
    """
    Return the ways back of steps made of operations, in the order in which they run, each as a step of its own.

    What holds too much is trimmed, as `at_latest` sees it.

    Raises:
        NotInvertibleError: One has no way back.
    """
    return tuple(Step(*step.trimming_inverse, to=(step.to or 1) - 1) for step in reversed(steps))


def _newer(kind: Kind[Any]) -> tuple[Step, ...]:
    return () if kind.newer is None else kind.newer.steps


def _writes(steps: Sequence[Step]) -> frozenset[FieldPath]:
    # Published steps are made of operations, which say what they write.
    return frozenset(path for step in steps for path in step.writes or ())
