"""
What the code at hand knows of the step to N+1, and whether the database is ready for it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from docstore.core.index_spec import MissingIndex
from docstore.core.kind import Kind
from docstore.core.rollout_gates import StepFacts
from docstore.core.write_version import ControlState
from docstore.fleet.process_facts import node_kind
from docstore.mongo.declared_indexes import missing_indexes
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.residue_steps import ResidueSteps


def step_to_next(kind: Kind[Any], control: ControlState, missing: Mapping[int, tuple[MissingIndex, ...]]) -> StepFacts:
    """
    Return what is known of the step to N+1.

    Args:
        kind: The kind as the code at hand has it.
        control: What is stored now.
        missing: What `indexes_missing` gave.
    """
    mark = node_kind(kind, None).fingerprints.get(str(control.next))
    one_way = mark is not None and bool(kind.chain.one_way(control.next - 1, control.next))
    return StepFacts(mark, invertible=not one_way, missing_indexes=missing.get(control.next, ()))


async def next_step(
    database: AnyDatabase, kind: Kind[Any], given: StepFacts | None = None
) -> Callable[[ControlState], StepFacts]:
    """
    Look at the database, and return what tells of the step to N+1 of a control state.

    Args:
        database: Where the rows are.
        kind: The kind as the code at hand has it.
        given: What is known of the step already, but for what rows keep.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    missing = await indexes_missing(database, kind)
    kept = await ResidueSteps(database, kind).kept()

    def known(control: ControlState) -> StepFacts:
        return replace(given or step_to_next(kind, control, missing), kept_by=kept.get(str(control.next), ()))

    return known


async def indexes_missing(database: AnyDatabase, kind: Kind[Any]) -> dict[int, tuple[MissingIndex, ...]]:
    """
    Return the declared indexes that are not there, by the version that needs them.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    found = {}
    for version, declared in kind.indexes.items():
        missing = await missing_indexes(database, kind.collection, declared)
        found[version] = tuple(MissingIndex(index.name, index.command(kind.collection)) for index in missing)
    return found
