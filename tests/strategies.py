"""
Hypothesis strategies for documents and operations.
"""

from random import Random
from typing import Final

from hypothesis import strategies as st

from docstore.core.bson_values import RawDocument, decode, encode
from tests.operations.case import Case, odd_row
from tests.operations.cases import CASES
from tests.operations.values import anything, document

_SEEDS: Final = st.integers(min_value=0, max_value=2**32 - 1)

#: Any BSON value.
values: Final = _SEEDS.map(lambda seed: anything(Random(seed)))

#: Any document, without `_id` and tag.
documents: Final = _SEEDS.map(lambda seed: document(Random(seed), 2))


def rows_for(case: Case) -> st.SearchStrategy[RawDocument]:
    """
    Return rows that the operation expects, and rows that it does not.
    """

    def made(seed: int) -> RawDocument:
        random = Random(seed)
        return decode(encode(odd_row(random, case) if random.random() < 0.5 else case.expected(random)))

    return _SEEDS.map(made)


def rows_before(case: Case) -> st.SearchStrategy[RawDocument]:
    """
    Return rows for which the operation's inverse is exact.
    """
    make = case.before
    assert make is not None
    return _SEEDS.map(lambda seed: decode(encode(make(Random(seed)))))


#: Every operation of every case.
ALL_CASES: Final = [case for cases in CASES.values() for case in cases]
INVERTIBLE_CASES: Final = [case for case in ALL_CASES if case.before is not None]
