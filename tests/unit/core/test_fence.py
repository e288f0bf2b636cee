"""
The fence as a clause of a validator: put in and taken out again, and what the server says about rows outside it.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore.core.bson_values import RawDocument
from docstore.core.fence import TITLE, FenceBounds, fault_of, merge, split
from docstore.core.fence_level import FenceLevel, Obstacle, RowsAgainst, fence_level
from docstore.core.floor_state import Validation

CITY = FenceBounds("city", "schema_version", 2, 4)

_RULES = st.fixed_dictionaries({"name": st.sampled_from([{"$type": "string"}, {"$exists": True}, {"$gt": ""}])})
_SCHEMAS = st.fixed_dictionaries(
    {"$jsonSchema": st.fixed_dictionaries({"required": st.just(["name"])}, optional={"title": st.text()})}
)
#: What users validate by, as deep as they like; none of it has the fence's title.
OWN = st.recursive(
    st.just({}) | _RULES | _SCHEMAS,
    lambda inner: (
        st.builds(
            lambda name, parts: {name: parts}, st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1)
        )
        | st.builds(lambda left, right: {**left, **right}, inner, inner)
    ),
    max_leaves=8,
)
BOUNDS = st.builds(FenceBounds, st.text(min_size=1), st.text(min_size=1), st.integers(1, 9), st.integers(9, 2**31))


@given(OWN, BOUNDS)
def test_what_was_merged_is_split_into_the_same_parts(own: RawDocument, bounds: FenceBounds) -> None:
    parts = split(merge(own, bounds))
    assert (parts.own, parts.bounds, parts.altered) == (own or None, bounds, False)


@given(OWN)
def test_a_validator_without_a_fence_is_all_the_users_own(own: RawDocument) -> None:
    parts = split(own)
    assert (parts.own, parts.bounds, parts.altered) == (own or None, None, False)


@given(OWN, OWN, BOUNDS)
def test_clauses_that_users_put_beside_the_fence_stay_theirs(
    own: RawDocument, added: RawDocument, bounds: FenceBounds
) -> None:
    merged = {"$and": [own, bounds.clause, added]}
    parts = split(merged)
    assert parts.bounds == bounds
    kept = [each for each in (own, added) if each]
    assert parts.own == (None if not kept else kept[0] if len(kept) == 1 else {"$and": kept})


def test_a_condition_beside_the_conjunction_that_holds_the_fence_stays() -> None:
    parts = split({"$and": [{"a": 1}, CITY.clause], "a": {"$type": "int"}})
    assert parts.own == {"$and": [{"a": 1}], "a": {"$type": "int"}}
    assert parts.bounds == CITY


def test_a_fence_that_was_changed_by_hand_is_found_and_not_believed() -> None:
    clause = CITY.clause
    clause["$jsonSchema"]["properties"]["schema_version"]["minimum"] = 1
    parts = split({"$and": [{"a": 1}, clause]})
    assert (parts.own, parts.bounds, parts.altered) == ({"a": 1}, None, True)


def test_two_fences_are_both_taken_out_and_neither_is_believed() -> None:
    parts = split({"$and": [CITY.clause, {"a": 1}, CITY.clause]})
    assert (parts.own, parts.bounds, parts.altered) == ({"a": 1}, None, True)


def test_a_fence_under_another_operator_bounds_nothing() -> None:
    validator = {"$or": [CITY.clause, {"a": 1}]}
    assert split(validator).bounds is None
    assert split(validator).own == validator


def test_numbers_that_went_through_a_shell_as_doubles_are_the_same_fence() -> None:
    clause = CITY.clause
    clause["$jsonSchema"]["properties"]["schema_version"] |= {"minimum": 2.0, "maximum": 4.0}
    assert split(clause).bounds == CITY


def _said(details: list[RawDocument], **schema: Any) -> RawDocument:
    fields = [{"propertyName": "schema_version", "details": details}]
    rules = [{"operatorName": "properties", "propertiesNotSatisfied": fields}]
    told = {"title": TITLE, "description": CITY.clause["$jsonSchema"]["description"], **schema}
    within = {"operatorName": "$jsonSchema", **told, "schemaRulesNotSatisfied": rules}
    return {"details": {"operatorName": "$and", "clausesNotSatisfied": [{"index": 1, "details": within}]}}


@pytest.mark.parametrize(("tag", "version", "found"), [(1, 1, "int"), (2**40, 2**40, "long"), (2.0, None, "double")])
def test_the_servers_words_tell_the_version_that_was_to_be_stored(tag: Any, version: int | None, found: str) -> None:
    fault = fault_of(_said([{"operatorName": "minimum", "consideredValue": tag}]))
    assert fault is not None
    assert (fault.bounds, fault.version, fault.found) == (CITY, version, found)


def test_a_refusal_by_the_users_own_schema_is_no_fence() -> None:
    assert fault_of(_said([{"operatorName": "minimum", "consideredValue": 1}], title="ages")) is None
    assert fault_of(None) is None
    assert fault_of({"details": {"operatorName": "$type", "consideredValue": "x"}}) is None


RULES = {"name": {"$type": "string"}}


@pytest.mark.parametrize(
    ("own", "rows", "asked", "level"),
    [
        (Validation(), RowsAgainst(0), None, "strict"),
        (Validation(level="off", action="warn"), RowsAgainst(0), None, "strict"),
        (Validation(), RowsAgainst(3), None, "moderate"),
        (Validation(), RowsAgainst(3), FenceLevel.STRICT, "do not meet the fence"),
        (Validation(RULES), RowsAgainst(0, 7), None, "strict"),
        (Validation(RULES), RowsAgainst(3), None, "own rules would not hold"),
        (Validation(RULES), RowsAgainst(3), FenceLevel.MODERATE, "moderate"),
        (Validation(RULES, action="warn"), RowsAgainst(0), None, "only warned of"),
        (Validation(RULES, level="off"), RowsAgainst(0), FenceLevel.MODERATE, "switched off"),
        (Validation(RULES, "moderate"), RowsAgainst(0), None, "strict"),
        (Validation(RULES, "moderate"), RowsAgainst(0, 1), None, "moderate"),
        (Validation(RULES, "moderate"), RowsAgainst(0, 1), FenceLevel.STRICT, "1 row does not meet the collection's"),
    ],
)
def test_the_level_leaves_the_users_own_rules_as_they_are(
    own: Validation, rows: RowsAgainst, asked: FenceLevel | None, level: str
) -> None:
    chosen = fence_level(own, rows, asked=asked, name="cities")
    if isinstance(chosen, Obstacle):
        assert level in chosen.reason
        assert chosen.advice
    else:
        assert chosen == level
