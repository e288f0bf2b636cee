"""
A value that is data, where a word would mean something else.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """
    A value to put into a field: `other=Value("keep")` stores the text, `other="keep"` keeps what is there.
    """

    value: Any
