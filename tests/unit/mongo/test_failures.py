"""
What the server's errors come out as, and what to do about them.
"""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError, OperationFailure

from docstore.mongo.failures import Reaction, reaction_to, translate

UNMET = {"code": 64, "errmsg": "waiting for replication timed out"}
NEVER_MET = {"code": 100, "errmsg": "not enough data-bearing nodes"}


def bulk(*faults: dict[str, Any], concern: dict[str, Any] | None = None) -> BulkWriteError:
    return BulkWriteError(
        {"writeErrors": list(faults), "writeConcernErrors": [] if concern is None else [concern], "nMatched": 1}
    )


@pytest.mark.parametrize(
    ("error", "reaction"),
    [
        (bulk(concern=UNMET), Reaction.RETRY),
        (bulk({"index": 0, "code": 91}, concern=UNMET), Reaction.RETRY),
        (bulk(concern=NEVER_MET), Reaction.FAIL),
        (bulk({"index": 0, "code": 121}, concern=UNMET), Reaction.SKIP),
        (bulk({"index": 0, "code": 91}, {"index": 1, "code": 121}), Reaction.SKIP),
        # ReadConcernMajorityNotAvailableYet: the member has just begun.
        (OperationFailure("", 134), Reaction.RETRY),
    ],
)
def test_what_passes_by_itself_is_tried_again(error: Any, reaction: Reaction) -> None:
    assert reaction_to(translate(error)) is reaction


def test_a_row_that_is_too_large_is_told_in_words() -> None:
    answer = OperationFailure("quotes", 17419, {"code": 17419, "codeName": "Location17419"})
    bulk = BulkWriteError({"writeErrors": [{"index": 0, "code": 10334, "errmsg": "quotes"}]})

    for error in (answer, bulk):
        assert "16 MB" in str(translate(error))
