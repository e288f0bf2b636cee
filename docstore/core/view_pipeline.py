"""
A view's pipeline: one that shows the rows of every version in the shape of one of them.

Made of `$set` and `$unset` alone, because a server moves a filter through these, and through nothing else, to the
collection's own indexes. So a step is not chosen by `$match` or `$switch` over whole documents: every assignment is
made where the row is one that takes this step, and elsewhere the field is set to what it is.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from docstore.core.compaction import Compaction, Rebuild
from docstore.core.expressions import ROOT, Expression, Literal, Ref, both, is_type, references, render, set_where
from docstore.core.kind import Kind
from docstore.core.operation import Action, Program, Remove
from docstore.core.paths import FieldPath, dotted
from docstore.core.program import MAX_DEPTH, conditions, depth, transformed
from docstore.core.residue import RESIDUE
from docstore.core.restoring import MERGED, KeptField, is_residue, kept_by, readable, restoring
from docstore.core.step import Step
from docstore.core.version import TAG_TYPES
from docstore.errors import NotCompilableError, NotInvertibleError, ViewRefusedError

#: Where a row within the pipeline keeps the version that it comes from, below zero if it has a residue that has to come
#: up with it; null: it is shown as it is stored. docstore's own name, and removed at the end: views that docstore made
#: are known by it.
FROM: Final = "__docstore_from"

#: Removed by views that were made because readers of their version were found: they are known by it, and go with these.
FOUND: Final = "__docstore_found"

_FROM: Final[FieldPath] = (FROM,)

#: How deep a condition stands within its stage.
_AROUND: Final = 10


def view_name(collection: str, version: int) -> str:
    """Return what the view of a version is called."""
    return f"{collection}_v{version}"


def lowest_shown(kind: Kind[Any], version: int) -> tuple[int, str | None]:
    """
    Return the lowest version from which a view of *version* brings rows up, and what keeps it from those below.

    The latter is None where that is the floor. Otherwise it is the step that cannot run on the server.
    """
    for step in reversed(kind.chain.between(kind.floor, version)):
        try:
            _ = step.programs
        except NotCompilableError as error:
            what = "" if error.operation == f"step {step.to}" else f"{error.operation}: "
            return step.to or 0, f"step {step.to} cannot run on the server ({what}{error.reason})"
    return kind.floor, None


def view_pipeline(kind: Kind[Any], version: int, *, found: bool = False) -> list[dict[str, Any]]:
    """
    Return the pipeline that shows the rows of a kind at *version*, as `Kind.upgrade` and `Kind.downgrade` give them.

    With *found* it says of itself that nobody asked for it by hand; what it shows is the same.

    A row that the server cannot bring there is shown as it is stored, under its own tag (or none): where a step's
    precondition does not hold, below a step that cannot run there (`lowest_shown`), where the tag is no version, above
    latest, below the floor, without a tag where `detect` would decide, and where a row has to come up and its residue
    is not what docstore writes, or the way is so long that servers cannot take what it needs besides (`restored_from`).
    So the tag of what a view shows always tells its shape (P2). A residue itself is not shown: what it keeps is in its
    place.

    The values of fields are the same as in Python. Their order is, but for a top-level field that comes back after
    an earlier step removed it.

    Raises:
        ViewRefusedError: A step above *version* cannot run on the server, or has no way back; names the step.
    """
    lowest, _ = lowest_shown(kind, version)
    sources = list(range(lowest, kind.latest + 1))
    restored = restored_from(kind, version)
    steps = [*_ways_up(kind, version, sources, restored), *_ways_down(kind, version, sources)]
    stages: list[dict[str, Any]] = [
        {"$set": {FROM: _origin(kind, version, sources, restored)}},
        *([{"$set": {FROM: _with_residue(kind, version, sources, restored)}}] if restored else []),
        {"$set": {kind.version_field: _tag(kind, version)}},
        *conditional_stages(steps),
        {"$unset": [FROM, RESIDUE, *([MERGED] if restored else []), *([FOUND] if found else [])]},
    ]
    if depth(stages) > MAX_DEPTH:
        raise _refused(kind, version, "its steps nest deeper than servers take")
    return stages


def restored_from(kind: Kind[Any], version: int) -> list[int]:
    """
    Return the versions from which a view of *version* brings rows up that have a residue.

    Those are all from which it brings rows up (`lowest_shown`), as long as that does not nest deeper than servers take.
    """
    lowest, _ = lowest_shown(kind, version)
    restored: list[int] = []
    for source in range(version - 1, lowest - 1, -1):
        if depth(_takes_kept(kind, source, version)) > MAX_DEPTH - _AROUND:
            break
        restored.insert(0, source)
    return restored


def made_here(pipeline: Sequence[Any]) -> bool:
    """Tell whether a view's pipeline is one that `view_pipeline` has made, for whatever steps."""
    first = pipeline[0] if pipeline else None
    stage = first.get("$set") if isinstance(first, dict) else None
    return isinstance(stage, dict) and FROM in stage


def highest_shown(pipeline: Sequence[Any]) -> int:
    """Return the highest version from which a view that docstore has made brings rows: latest of whoever made it."""
    branches = pipeline[0]["$set"][FROM].get("$switch", {}).get("branches", ())
    return max((branch["then"] for branch in branches), default=0)


def is_found(pipeline: Sequence[Any]) -> bool:
    """Tell whether a view that docstore has made was made because readers of its version were found."""
    last = pipeline[-1].get("$unset") if pipeline and isinstance(pipeline[-1], dict) else None
    return isinstance(last, list) and FOUND in last


def _ways_up(
    kind: Kind[Any], version: int, sources: Sequence[int], restored: Collection[int]
) -> Iterator[tuple[Program, list[int]]]:
    late: list[KeptField] = []
    for step, at_once, in_the_end in _kept(kind, sources[0], version):
        to = step.to or 0
        kept = sorted(-source for source in restored if source < to)
        taking = [*kept, *(source for source in sources if source < to)]
        yield from ((program, taking) for program in step.programs)
        if kept:
            yield restoring([KeptField(to, name) for name in at_once]), kept
            late += [KeptField(to, name, when={"$in": [Ref(_FROM), kept]}) for name in in_the_end]
    if late:
        yield restoring(late), sorted(-source for source in restored)


def _kept(kind: Kind[Any], low: int, high: int) -> Iterator[tuple[Step, list[str], list[str]]]:
    """Yield the steps between two versions, with the fields to be restored after the step and after the last one."""
    steps = kind.chain.between(low, high)
    for place, step in enumerate(steps, start=1):
        yield step, *kept_by(step, steps[place:])


def _ways_down(kind: Kind[Any], version: int, sources: Sequence[int]) -> Iterator[tuple[Program, list[int]]]:
    for step in reversed(kind.chain.between(version, kind.latest)):
        taking = [source for source in sources if source >= (step.to or 0)]
        try:
            programs = step.inverse_programs
        except NotCompilableError as error:
            what = "" if error.operation == f"step {step.to}" else f"{error.operation}: "
            raise _refused(kind, version, f"step {step.to} cannot run on the server ({what}{error.reason})") from error
        except NotInvertibleError as error:
            reason = f"step {step.to} has no way back ({error.operation}: {error.reason})"
            raise _refused(kind, version, reason) from error
        yield from ((program, taking) for program in programs)


def _refused(kind: Kind[Any], version: int, reason: str) -> ViewRefusedError:
    return ViewRefusedError(kind=kind.name, view=view_name(kind.collection, version), reason=reason)


def _origin(kind: Kind[Any], version: int, sources: Sequence[int], restored: Collection[int]) -> dict[str, Any]:
    """Build the version that a stored row comes from, or null where the server cannot bring it to *version*."""
    tag, has_none = Ref((kind.version_field,)), render(is_type(Ref((RESIDUE,)), "missing"))
    branches = []
    try:
        for source in sources:
            way = kind.compile(source, to=version).condition
            if source in restored:
                kept = _takes_kept(kind, source, version)
                plain = _takes(kind, source, version)
                way = plain if kept == plain else {"$cond": [has_none, plain, kept]}
            branches.append({"case": both([render({"$eq": [tag, source]}), way]), "then": source})
        if kind.detect is None and kind.baseline in sources:
            branches.append({"case": kind.compile(None, to=version).condition, "then": kind.baseline})
    except NotCompilableError as error:
        # Each step can run there; all of them together are too much.
        raise _refused(kind, version, f"{error.operation}: {error.reason}") from error
    return {"$switch": {"branches": branches, "default": None}}


def _takes(kind: Kind[Any], source: int, version: int) -> Any:
    """Build the condition for a row of *source* to come up, whatever its residue."""
    programs = [program for step in kind.chain.between(source, version) for program in step.programs]
    return both([render(is_type(Ref((kind.version_field,)), *TAG_TYPES)), conditions(programs)])


def _takes_kept(kind: Kind[Any], source: int, version: int) -> Any:
    """Build the same for a row in which a residue is restored on the way."""
    programs: list[Program] = []
    for step, at_once, _ in _kept(kind, source, version):
        restored = restoring([KeptField(step.to or 0, name) for name in at_once])
        programs += [*step.programs, *([restored] if at_once else [])]
    return both([render(is_type(Ref((kind.version_field,)), *TAG_TYPES)), conditions(programs)])


def _with_residue(kind: Kind[Any], version: int, sources: Sequence[int], restored: Sequence[int]) -> dict[str, Any]:
    """Build the version that a row comes from, once it is known, below zero where its residue comes up with it."""
    nothing_to_do = {
        "$or": [
            is_type(Ref((RESIDUE,)), "missing"),
            {"$not": [{"$in": [Ref(_FROM), [source for source in sources if source < version]]}]},
        ]
    }
    steps = kind.chain.between(restored[0], version) if restored else ()
    possible = both([{"$in": [Ref(_FROM), list(restored)]}, is_residue(), *map(readable, steps)])
    below = {"$cond": [possible, {"$multiply": [Ref(_FROM), -1]}, None]}
    marked: dict[str, Any] = render({"$cond": [nothing_to_do, Ref(_FROM), below]})
    return marked


def _tag(kind: Kind[Any], version: int) -> dict[str, Any]:
    tag = Ref((kind.version_field,))
    shown: dict[str, Any] = render({"$cond": [{"$eq": [Ref(_FROM), None]}, tag, Literal(version)]})
    return shown


def conditional_stages(steps: Sequence[tuple[Program, list[int]]]) -> list[dict[str, Any]]:
    """Return the steps as `$set` stages; neighbours share one where no row could tell the difference."""
    stages: list[dict[str, Expression]] = [{}]
    compaction = Compaction()
    for program, taking in steps:
        for move in compaction.expand(program.actions):
            if isinstance(move, Rebuild):
                # Only a `$replaceWith` could do it, and no filter would reach an index through that.
                continue
            assigned = dict(_where(move, {"$in": [Ref(_FROM), taking]}))
            looked_at = {path[0] for value in assigned.values() for path in references(value) if path}
            if stages[-1].keys() & (assigned.keys() | looked_at):
                stages.append({})
            stages[-1].update(assigned)
    return [{"$set": render(stage)} for stage in stages if stage]


def _where(action: Action, when: Expression) -> Iterator[tuple[str, Expression]]:
    """Yield the top-level fields that an action changes, each set to what it becomes where *when* holds."""
    tops = [path[0] for path in action.paths]
    if len(tops) > len(set(tops)):
        # Several places within one field: the field as it is in the document after the action.
        for top in dict.fromkeys(tops):
            after = {"$getField": {"field": Literal(top), "input": transformed([action], ROOT)}}
            yield dotted((top,)), {"$cond": [when, after, Ref((top,))]}
        return
    changes = [(path, "$$REMOVE") for path in action.paths] if isinstance(action, Remove) else action.values
    for path, value in changes:
        if isinstance(action, Remove):
            holders = [is_type(Ref(path[:length]), "object") for length in range(1, len(path))]
            holder, changed = set_where(path, value, both([when, *holders]), removes=True)
        else:
            holder, changed = set_where(path, value, when)
        yield dotted(holder), changed
