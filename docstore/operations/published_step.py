"""
A step as data: published by a node that knows it, run by one whose code ends below.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.fingerprint import step_fingerprint
from docstore.core.step import Step
from docstore.errors import NotPublishableError, RecordFormatError
from docstore.operations.as_data import operation_data, operation_of

#: The shape of the steps that are published here.
STEP_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class PublishedStep:
    """
    What a database holds of one step.
    """

    kind: str
    to: int
    #: Steps of one number are told apart by it.
    fingerprint: str
    #: None where this process cannot run it.
    step: Step | None
    #: Why it cannot, in words.
    reason: str = ""


def step_data(kind: str, step: Step) -> dict[str, Any]:
    """
    Return a step as data, without `_id`: one that holds Python is published by its name, and by what it holds.
    """
    data: dict[str, Any] = {
        "format": STEP_FORMAT,
        "kind": kind,
        "to": step.to,
        "fingerprint": step_fingerprint(step),
        "summary": step.summary,
        "operations": None,
        "reason": "",
    }
    if not step.operations:
        return {**data, "reason": "it is made of Python functions"}
    try:
        return {**data, "operations": [operation_data(operation) for operation in step.operations]}
    except NotPublishableError as error:
        return {**data, "reason": str(error)}


def published_step(data: Mapping[str, Any]) -> PublishedStep:
    """
    Return what is published, as far as this process can run it.

    A step is only run if it has the fingerprint with which it was published: if it means the same here as there.

    Raises:
        RecordFormatError: It has a format that this release does not know.
    """
    if data.get("format") != STEP_FORMAT:
        record = f"step {data.get('kind')} {data.get('to')}"
        raise RecordFormatError(record=record, found=data.get("format"), known=STEP_FORMAT)
    kind, to, mark = data["kind"], data["to"], data["fingerprint"]
    if data["operations"] is None:
        return PublishedStep(kind, to, mark, None, data["reason"])
    try:
        step = Step(*(operation_of(each) for each in data["operations"]), to=to, summary=data["summary"])
    except NotPublishableError as error:
        return PublishedStep(kind, to, mark, None, str(error))
    if step_fingerprint(step) != mark:
        return PublishedStep(kind, to, mark, None, "it means something else in this release of docstore")
    if not step.has_way_back:
        return PublishedStep(kind, to, mark, None, "it has no way back")
    return PublishedStep(kind, to, mark, step)


def steps_above(
    found: Iterable[PublishedStep], *, latest: int, marks: Mapping[str, str]
) -> tuple[list[Step], tuple[int, str] | None]:
    """
    Return the steps through which rows above *latest* can be read, and what ends them: a version, and why.

    Nothing ends them where there is no further step.

    Args:
        found: What is published of one kind; of one number, the one that was offered last is last.
        latest: The highest version that the code knows.
        marks: The fingerprints of the steps by which rows were stored, by version: these count, whatever else is
            published under their number.
    """
    by_version: dict[int, PublishedStep] = {}
    for each in found:
        if marks.get(str(each.to), each.fingerprint) == each.fingerprint:
            by_version[each.to] = each
    steps: list[Step] = []
    for version in range(latest + 1, max(by_version, default=latest) + 1):
        published = by_version.get(version)
        if published is None:
            return steps, (version, "nobody has published it")
        if published.step is None:
            return steps, (version, published.reason)
        steps.append(published.step)
    return steps, None
