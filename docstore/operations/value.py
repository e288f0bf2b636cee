"""
A value that is data, where a word would mean something else.
"""

from dataclasses import dataclass
from typing import Any

from docstore.core.operation import alike


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """
    A value to put into a field: `other=Value("keep")` stores the text, `other="keep"` keeps what is there.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and alike(self.value, other.value)

    def __hash__(self) -> int:
        return hash(repr(self))
