"""
The two releases of a drill, as kinds: the new one, and the one before it.
"""

from typing import Any, Final

from pydantic import ConfigDict, create_model

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.core.step import Step
from docstore.drill.journal import COUNT, REVISION
from docstore.errors import DrillRefusedError


class AnyShape(Document):
    """
    Takes every row as it is: what a release is modelled by whose own model is not at hand.
    """

    model_config = ConfigDict(extra="allow")


_OWN_FIELDS: Final[dict[str, Any]] = {REVISION: (int, 0), COUNT: (int, 0)}


def counting(kind: Kind[Any], *, latest: int | None = None, model: type[Document] | None = None) -> Kind[Any]:
    """
    Return a kind whose model also has the two numbers by which a drill tells writes apart.

    Args:
        kind: The kind as it is released.
        latest: The version with which it ends; its own latest by default.
        model: The model of that version's shape; the kind's own by default.
    """
    last = kind.latest if latest is None else latest
    # Inherited, so that validators and settings are those of the release.
    base = kind.model if model is None else model
    made = Kind(
        kind.name,
        collection=kind.collection,
        model=create_model(base.__name__, __base__=base, __module__=base.__module__, **_OWN_FIELDS),
        steps=[step for step in kind.steps if (step.to or 0) <= last],
        version_field=kind.version_field,
        baseline=kind.baseline,
        floor=kind.floor,
        detect=kind.detect,
    )
    made.indexes = {version: specs for version, specs in kind.indexes.items() if version <= last}
    return made


def last_step(kind: Kind[Any]) -> Step:
    """
    Return the step that a drill rehearses: the one that leads to latest.

    Raises:
        DrillRefusedError: There is none, or it has no way back.
    """
    if not kind.steps:
        raise DrillRefusedError(
            kind=kind.name, reason=f"it has one version only, {kind.latest}: nothing can be flipped"
        )
    step = kind.steps[-1]
    if kind.chain.one_way(kind.latest - 1, kind.latest):
        raise DrillRefusedError(
            kind=kind.name,
            reason=f"step {step.to} has no way back, so the new release could not write before the flip, nor go back",
        )
    return step


def meeting_fields(kind: Kind[Any]) -> frozenset[str] | None:
    """
    Return the top-level fields in which the last two versions meet: what the last step reads or writes.

    None stands for any field: a step of functions may read everything.
    """
    step = last_step(kind)
    if step.writes is None or not step.operations:
        return None
    paths = set(step.writes)
    for operation in step.operations:
        paths |= operation.reads
    return frozenset(path[0] for path in paths)
