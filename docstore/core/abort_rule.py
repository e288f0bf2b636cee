"""
When a canary rolls itself back: a rule that an operator states, held against what the nodes counted.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from docstore.errors import (
    AbortRuleError,
    DocumentError,
    NewerVersionError,
    RetiredVersionError,
    StoreRejectedError,
    UnknownVersionError,
)

#: How many operations have to be counted before a share of them says anything, unless the rule says otherwise.
LEAST: Final = 100
_WHOLE: Final = 100.0
_RULE: Final = re.compile(
    r"errors\s*>\s*(?P<percent>\d+(?:\.\d+)?)\s*%(?:\s*of\s+(?P<least>[1-9]\d{0,8}))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class CanaryFigures:
    """
    Operations on rows at the canary's version, and how many of them failed.
    """

    #: The epoch at which the canary began; figures of another one say nothing about it.
    began: int
    operations: int = 0
    failures: int = 0

    def stored(self) -> dict[str, int]:
        """
        Return the figures as a document.
        """
        return {"began": self.began, "operations": self.operations, "failures": self.failures}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "CanaryFigures | None":
        """
        Return what a document says; None if there is none.
        """
        return None if stored is None else cls(stored["began"], stored["operations"], stored["failures"])


@dataclass(frozen=True, slots=True)
class AbortRule:
    """
    The canary goes back when more than a share of at least so many operations failed.
    """

    #: 0 to 100.
    percent: float
    least: int = LEAST

    @classmethod
    def parse(cls, text: str) -> "AbortRule":
        """
        Return the rule that a text states: `errors>1%`, or `errors>0.5% of 1000` with the least number of operations.

        Raises:
            AbortRuleError: It states none.
        """
        found = _RULE.fullmatch(text.strip())
        if found is None:
            raise AbortRuleError(text=text, reason="a rule looks like errors>1%, or errors>0.5% of 1000")
        percent = float(found["percent"])
        if percent >= _WHOLE:
            raise AbortRuleError(text=text, reason="more than all operations cannot fail")
        return cls(percent, LEAST if found["least"] is None else int(found["least"]))

    def __str__(self) -> str:
        return f"errors>{self.percent:g}% of {self.least}"

    def broken_by(self, figures: CanaryFigures) -> bool:
        """
        Tell whether the canary has to go back.
        """
        enough = figures.operations >= self.least
        return enough and figures.failures * _WHOLE > self.percent * figures.operations

    def stored(self) -> dict[str, Any]:
        """
        Return the rule as a document.
        """
        return {"percent": self.percent, "least": self.least}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "AbortRule | None":
        """
        Return what a document says; None if there is none.
        """
        return None if stored is None else cls(stored["percent"], stored["least"])


def summed(figures: Iterable[CanaryFigures | None], *, began: int) -> CanaryFigures:
    """
    Return what several nodes counted of the canary that began at an epoch.
    """
    of_it = [each for each in figures if each is not None and each.began == began]
    return CanaryFigures(began, sum(each.operations for each in of_it), sum(each.failures for each in of_it))


def counts_as_error(error: BaseException) -> bool:
    """
    Tell whether what an operation raised speaks against the version of its row.

    A row that cannot be upgraded, does not fit the model or cannot be stored does, and so does a write that the server
    refuses. A conflict, a row that is there already or is not there, a database that is away and a node that may not
    write are nothing that another version would change.
    """
    of_another_version = isinstance(error, NewerVersionError | RetiredVersionError | UnknownVersionError)
    return isinstance(error, DocumentError | StoreRejectedError) and not of_another_version
