"""
One async function per verb of the command line, for Python: each returns a pydantic result.
"""

from docstore.commands.adoption import adopt, adopt_start
from docstore.commands.backfill_control import (
    backfill_cancel,
    backfill_pause,
    backfill_resume,
    backfill_set,
    backfill_start,
    backfill_status,
    backfill_wait,
)
from docstore.commands.backfill_run import backfill, backfill_dry_run
from docstore.commands.coverage_report import CoverageResult, IndexState, coverage
from docstore.commands.fleet_control import fleet, fleet_declare, fleet_forget
from docstore.commands.process import this_process, utc_now
from docstore.commands.quarantine_rows import quarantine_count, quarantine_list, quarantine_retry, quarantine_show
from docstore.commands.rollout_control import (
    RolloutEvent,
    rollout_freeze,
    rollout_history,
    rollout_knob,
    rollout_status,
    rollout_unfreeze,
)
from docstore.commands.rollout_moving import (
    rollout_accept_loss,
    rollout_advance,
    rollout_canary,
    rollout_rollback,
)
from docstore.commands.shown_kind import ShownKind, ShownStep, show
from docstore.commands.view_report import ViewReader, ViewReport, ViewState
from docstore.commands.view_sync import views_drop, views_list, views_sync
from docstore.commands.worker import work

__all__ = [
    "CoverageResult",
    "IndexState",
    "RolloutEvent",
    "ShownKind",
    "ShownStep",
    "ViewReader",
    "ViewReport",
    "ViewState",
    "adopt",
    "adopt_start",
    "backfill",
    "backfill_cancel",
    "backfill_dry_run",
    "backfill_pause",
    "backfill_resume",
    "backfill_set",
    "backfill_start",
    "backfill_status",
    "backfill_wait",
    "coverage",
    "fleet",
    "fleet_declare",
    "fleet_forget",
    "quarantine_count",
    "quarantine_list",
    "quarantine_retry",
    "quarantine_show",
    "rollout_accept_loss",
    "rollout_advance",
    "rollout_canary",
    "rollout_freeze",
    "rollout_history",
    "rollout_knob",
    "rollout_rollback",
    "rollout_status",
    "rollout_unfreeze",
    "show",
    "this_process",
    "utc_now",
    "views_drop",
    "views_list",
    "views_sync",
    "work",
]
