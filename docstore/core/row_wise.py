"""
The stages of a pipeline that look at one document at a time, and what the others need of their results.

What such stages make of a collection is what they make of its parts, put together. So they may be run over rows that
come from elsewhere, part by part.
"""

from dataclasses import dataclass
from typing import Final

from docstore.core.pipeline_paths import Pipeline, needed_paths
from docstore.core.query import EVERYTHING

#: Each makes, of every document by itself, none, one or several.
_ROW_WISE: Final = frozenset(
    {
        "$match",
        "$project",
        "$set",
        "$addFields",
        "$unset",
        "$unwind",
        "$replaceWith",
        "$replaceRoot",
        "$redact",
        "$lookup",
        "$graphLookup",
    }
)


@dataclass(frozen=True, slots=True)
class Parted:
    """
    A pipeline in two: *each* holds its first stages, which look at one document at a time, *rest* all others.

    *kept* are stages in between that leave what the rest depends on; *first* says which of the documents matter to the
    rest where only some do, and *at_most* how many of them.
    """

    each: Pipeline
    kept: Pipeline
    rest: Pipeline
    first: Pipeline = ()
    at_most: int | None = None


def parted(pipeline: Pipeline) -> Parted:
    """Return a pipeline in two parts; one after the other they are the pipeline."""
    end = next((place for place, stage in enumerate(pipeline) if not stage.keys() <= _ROW_WISE), len(pipeline))
    each, rest = pipeline[:end], pipeline[end:]
    first, at_most = _first(rest)
    return Parted(each, _kept(rest), rest, first, at_most)


def _kept(rest: Pipeline) -> Pipeline:
    paths = needed_paths(rest).paths
    if not rest or EVERYTHING in paths:
        return ()
    # The id is shown without being named, so it is needed without being looked at.
    shown = dict.fromkeys(sorted({"_id", *(path[0] for path in paths)}), 1)
    # A projection has no word for fields of these names, which `$getField` may have.
    odd = any(not name or name.startswith("$") or "." in name for name in shown)
    return () if odd else ({"$project": shown},)


def _first(rest: Pipeline) -> tuple[Pipeline, int | None]:
    """Return the stages that choose the documents that matter to the rest, and how many they leave."""
    order = rest[:1] if rest and "$sort" in rest[0] else ()
    skipped = 0
    for stage in rest[len(order) :]:
        operator, number = next(iter(stage.items()))
        if operator not in {"$skip", "$limit"} or not isinstance(number, int) or isinstance(number, bool):
            break
        if operator == "$limit":
            number += skipped
            return (*order, {"$limit": number}), number
        skipped += number
    return (), None
