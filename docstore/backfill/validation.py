"""
Which rows are held against the model, and against the other path, before they are rewritten.
"""

import random
from enum import StrEnum
from typing import Any, Final

from docstore.core.bson_values import encode

#: The share of rows in a sample.
SAMPLE: Final = 0.01


class Validate(StrEnum):
    """
    Which rows have to fit the model; without a choice all on the client path, and a sample on the server path.
    """

    #: All. Rows are upgraded in Python then, because the server knows no model.
    ALL = "all"
    #: A sample, on either path.
    SAMPLE = "sample"
    #: None.
    NONE = "none"


class Validation:
    """
    Decides row by row, for one run.

    Args:
        choice: What was asked for, or None.
        share: The share of rows in a sample.
        chance: Where the sample comes from.
    """

    def __init__(self, choice: Validate | None, *, chance: random.Random, share: float = SAMPLE) -> None:
        self.choice = choice
        self.share = share
        self.chance = chance
        self._suspects: set[bytes] = set()

    @property
    def by_python_only(self) -> bool:
        """
        Whether every row takes the client path.
        """
        return self.choice is Validate.ALL

    @property
    def on_server(self) -> bool:
        """
        Whether the rows that are compared with the server's have to fit the model too.
        """
        return self.choice is not Validate.NONE

    def suspect(self, row_id: Any) -> None:
        """
        Have a row checked on the client path, whether the sample holds it or not.
        """
        self._suspects.add(encode({"": row_id}))

    def checks(self, row_id: Any) -> bool:
        """
        Tell whether a row on the client path has to fit the model.
        """
        if self.choice is Validate.NONE:
            return False
        if self.choice is not Validate.SAMPLE:
            return True
        return self.chance.random() < self.share or (bool(self._suspects) and encode({"": row_id}) in self._suspects)
