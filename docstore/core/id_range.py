"""
A stretch of ids, which may be of any type: after one id, and up to another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Beginning:
    """
    Stands before every id, which may be of any type.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "BEGINNING"


#: Stands before every id.
BEGINNING: Final = _Beginning()


@dataclass(frozen=True, slots=True)
class IdRange:
    """
    The ids after *after*, up to and including *upto*; `BEGINNING` stands for no bound on either side.
    """

    after: Any = BEGINNING
    upto: Any = BEGINNING

    def stored(self) -> dict[str, Any]:
        """
        Return the range as a document: a bound that is not there is left out, since null is an id like any other.
        """
        bounds = (("after", self.after), ("upto", self.upto))
        return {name: bound for name, bound in bounds if bound is not BEGINNING}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "IdRange":
        """
        Return the range that a document holds.
        """
        return cls(after=stored.get("after", BEGINNING), upto=stored.get("upto", BEGINNING))
