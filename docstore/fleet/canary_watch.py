"""
Canaries that go back by themselves: every node holds what all of them counted against the rule.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from docstore.core.abort_rule import AbortRule, CanaryFigures, summed
from docstore.core.fleet_facts import NodeFacts
from docstore.core.write_version import ControlState
from docstore.errors import RolloutRefusedError, StoreError
from docstore.fleet.operating import Rollouts
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords

_log: Final = structlog.get_logger("docstore.fleet")


class CanaryWatch:
    """
    Rolls a canary back whose rule is broken. Of all nodes that see it one does so, by compare-and-set.

    Args:
        database: Where the records are.
        by: Who watches, for the history.
        patience: How long a look may take, in seconds; heartbeats wait for it.
    """

    def __init__(self, database: AnyDatabase, *, by: str, patience: float) -> None:
        self._nodes = NodeRecords(database)
        self._rollouts = Rollouts(database, by=by)
        self._patience = patience

    async def look(self, controls: Iterable[ControlState]) -> None:
        """
        Hold what was counted against the rules of the canaries that are open; makes no call where there is none.

        A look that the database does not answer is left out: the next heartbeat brings another one.
        """
        ruled = [(control, control.canary.abort_on) for control in controls if control.canary is not None]
        for control, rule in ruled:
            if rule is None:
                continue
            try:
                async with asyncio.timeout(self._patience):
                    await self._hold(control, rule)
            except (StoreError, TimeoutError) as error:
                _log.info("canary not looked at", kind=control.kind, reason=type(error).__name__)

    async def _hold(self, control: ControlState, rule: AbortRule) -> None:
        figures = canary_figures(await self._nodes.all(), control)
        if figures is None or not rule.broken_by(figures):
            return
        words = (
            f"{figures.failures:,} of {figures.operations:,} operations failed on rows at version {control.next} "
            f"(rule: {rule})"
        )
        try:
            await self._rollouts.rollback(control.kind, why=words, only_epoch=control.epoch)
        except RolloutRefusedError as error:
            causes = [blocker["cause"] for blocker in error.blockers]
            _log.warning("canary not rolled back", kind=control.kind, causes=causes)
        else:
            _log.warning(
                "canary rolled back",
                kind=control.kind,
                operations=figures.operations,
                failures=figures.failures,
                rule=str(rule),
            )


def canary_figures(nodes: Iterable[NodeFacts], control: ControlState) -> CanaryFigures | None:
    """
    Return what all nodes counted of a kind's canary, those too that vanished within the hour; None without a canary.
    """
    if control.canary is None:
        return None
    counted = (node.kinds[control.kind].canary for node in nodes if control.kind in node.kinds)
    return summed(counted, began=control.canary.began)
