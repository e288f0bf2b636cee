"""
How strictly a collection is validated under a fence, so that the users' own rules go on doing what they did. Pure.

A collection has one level and one action for its whole validator, and `moderate` lets every row be changed freely that
does not meet the whole of it. So what the fence needs may be more, or less, than what the users' rules had.
"""

from dataclasses import dataclass
from enum import StrEnum

from docstore.core.floor_state import Validation


class FenceLevel(StrEnum):
    """
    To which writes the validator of a collection applies.
    """

    #: To all of them: no row can be stored that does not meet it.
    STRICT = "strict"
    #: Rows that do not meet it as they are may be changed, into anything; inserts and all other rows are held to it.
    MODERATE = "moderate"


@dataclass(frozen=True, slots=True)
class RowsAgainst:
    """
    How many rows there are that do not meet a rule.
    """

    #: Rows that the fence would not let in.
    fence: int
    #: Rows that do not meet the users' own rules.
    own: int = 0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """
    Why a fence cannot be put beside the users' own rules, and the way out.
    """

    reason: str
    advice: str


def fence_level(
    own: Validation, rows: RowsAgainst, *, asked: FenceLevel | None = None, name: str
) -> FenceLevel | Obstacle:
    """
    Return the level at which a fence leaves the users' own rules as they are, or why there is none.

    | own rules        | rows outside the fence | rows outside the own rules | level                           |
    |------------------|------------------------|----------------------------|---------------------------------|
    | none             | none                   |                            | strict                          |
    | none             | some                   |                            | moderate, or none for strict    |
    | warned of, off   |                        |                            | none: they would be enforced    |
    | strict           | none                   |                            | strict                          |
    | strict           | some                   |                            | none, but moderate if asked for |
    | moderate         | none                   | none                       | strict                          |
    | moderate         | none                   | some                       | moderate, or none for strict    |
    | moderate         | some                   |                            | none, but moderate if asked for |

    Args:
        own: The users' own rules, and the level and the action that the collection has.
        rows: What stands in the collection.
        asked: The level that somebody wants in so many words; None for the strictest that does no harm.
        name: The name of the collection.
    """
    has_rules = bool(own.validator)
    if has_rules and own.action != "error":
        return Obstacle(
            f"the collection's own rules are only warned of (validationAction {own.action!r}), and beside a fence they "
            "would be enforced",
            f"enforce them first, db.runCommand({{collMod: {name!r}, validationAction: 'error'}}), or take them away",
        )
    if has_rules and own.level not in tuple(FenceLevel):
        return Obstacle(
            f"the collection's own rules are switched off (validationLevel {own.level!r}), and beside a fence they "
            "would be enforced",
            f"switch them on first, db.runCommand({{collMod: {name!r}, validationLevel: 'strict'}}), or take them away",
        )
    if asked is FenceLevel.MODERATE:
        return FenceLevel.MODERATE
    if rows.fence:
        return _with_rows_outside(has_rules=has_rules, number=rows.fence, asked=asked)
    if has_rules and own.level == FenceLevel.MODERATE and rows.own:
        if asked is None:
            return FenceLevel.MODERATE
        return Obstacle(
            f"{_rows(rows.own)} not meet the collection's own rules, which let such rows be changed (validationLevel "
            "'moderate'); a strict fence would not",
            f"mend those rows, or db.runCommand({{collMod: {name!r}, validationLevel: 'strict'}})",
        )
    return FenceLevel.STRICT


def _with_rows_outside(*, has_rules: bool, number: int, asked: FenceLevel | None) -> FenceLevel | Obstacle:
    if asked is not None:
        return Obstacle(
            f"{_rows(number)} not meet the fence, and a strict one would have their next change refused",
            "bring them to a version that it lets in, with a tag that is an int or a long",
        )
    if has_rules:
        return Obstacle(
            f"{_rows(number)} not meet the fence, so it could only be moderate, and then the collection's own rules "
            "would not hold for changes of those rows any more",
            "tag and upgrade those rows first (docstore adopt, docstore backfill start), or --moderate takes it as it "
            "is",
        )
    return FenceLevel.MODERATE


def _rows(number: int) -> str:
    return "1 row does" if number == 1 else f"{number:,} rows do"
