"""
One async function per verb of the command line, for Python: each returns a pydantic result.
"""

from typing import TYPE_CHECKING

from docstore.late_imports import late_imports

if TYPE_CHECKING:
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
    from docstore.commands.coverage_counting import IndexState
    from docstore.commands.coverage_report import CoverageResult, RemainingResult, coverage, remaining
    from docstore.commands.database_check import CheckReport, FloorReport, check
    from docstore.commands.fence_control import fence_apply, fence_remove, fence_show
    from docstore.commands.fence_report import FenceLimits, FenceReport, TagsOutside
    from docstore.commands.fleet_control import fleet, fleet_declare, fleet_forget
    from docstore.commands.lifting import LiftedRows, backfill_with_retired
    from docstore.commands.process import this_process, utc_now
    from docstore.commands.quarantine_rows import (
        quarantine_count,
        quarantine_list,
        quarantine_retry,
        quarantine_show,
    )
    from docstore.commands.report_facts import DatabaseReport, KindReport, database_report
    from docstore.commands.retirement import (
        RetirementResult,
        RetirementState,
        retire,
        retire_dry_run,
        retire_resume,
        retire_undo,
    )
    from docstore.commands.rollout_control import (
        RolloutEvent,
        rollout_freeze,
        rollout_history,
        rollout_knob,
        rollout_knobs,
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
    "CheckReport",
    "CoverageResult",
    "DatabaseReport",
    "FenceLimits",
    "FenceReport",
    "FloorReport",
    "IndexState",
    "KindReport",
    "LiftedRows",
    "RemainingResult",
    "RetirementResult",
    "RetirementState",
    "RolloutEvent",
    "ShownKind",
    "ShownStep",
    "TagsOutside",
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
    "backfill_with_retired",
    "check",
    "coverage",
    "database_report",
    "fence_apply",
    "fence_remove",
    "fence_show",
    "fleet",
    "fleet_declare",
    "fleet_forget",
    "quarantine_count",
    "quarantine_list",
    "quarantine_retry",
    "quarantine_show",
    "remaining",
    "retire",
    "retire_dry_run",
    "retire_resume",
    "retire_undo",
    "rollout_accept_loss",
    "rollout_advance",
    "rollout_canary",
    "rollout_freeze",
    "rollout_history",
    "rollout_knob",
    "rollout_knobs",
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

# Each command of the command line needs a few of them only, and waits for what it imports.
_HOME = {
    "CheckReport": "docstore.commands.database_check",
    "CoverageResult": "docstore.commands.coverage_report",
    "DatabaseReport": "docstore.commands.report_facts",
    "FenceLimits": "docstore.commands.fence_report",
    "FenceReport": "docstore.commands.fence_report",
    "FloorReport": "docstore.commands.database_check",
    "IndexState": "docstore.commands.coverage_counting",
    "KindReport": "docstore.commands.report_facts",
    "LiftedRows": "docstore.commands.lifting",
    "RemainingResult": "docstore.commands.coverage_report",
    "RetirementResult": "docstore.commands.retirement",
    "RetirementState": "docstore.commands.retirement",
    "RolloutEvent": "docstore.commands.rollout_control",
    "ShownKind": "docstore.commands.shown_kind",
    "ShownStep": "docstore.commands.shown_kind",
    "TagsOutside": "docstore.commands.fence_report",
    "ViewReader": "docstore.commands.view_report",
    "ViewReport": "docstore.commands.view_report",
    "ViewState": "docstore.commands.view_report",
    "adopt": "docstore.commands.adoption",
    "adopt_start": "docstore.commands.adoption",
    "backfill": "docstore.commands.backfill_run",
    "backfill_cancel": "docstore.commands.backfill_control",
    "backfill_dry_run": "docstore.commands.backfill_run",
    "backfill_pause": "docstore.commands.backfill_control",
    "backfill_resume": "docstore.commands.backfill_control",
    "backfill_set": "docstore.commands.backfill_control",
    "backfill_start": "docstore.commands.backfill_control",
    "backfill_status": "docstore.commands.backfill_control",
    "backfill_wait": "docstore.commands.backfill_control",
    "backfill_with_retired": "docstore.commands.lifting",
    "check": "docstore.commands.database_check",
    "coverage": "docstore.commands.coverage_report",
    "database_report": "docstore.commands.report_facts",
    "fence_apply": "docstore.commands.fence_control",
    "fence_remove": "docstore.commands.fence_control",
    "fence_show": "docstore.commands.fence_control",
    "fleet": "docstore.commands.fleet_control",
    "fleet_declare": "docstore.commands.fleet_control",
    "fleet_forget": "docstore.commands.fleet_control",
    "quarantine_count": "docstore.commands.quarantine_rows",
    "quarantine_list": "docstore.commands.quarantine_rows",
    "quarantine_retry": "docstore.commands.quarantine_rows",
    "quarantine_show": "docstore.commands.quarantine_rows",
    "retire": "docstore.commands.retirement",
    "retire_dry_run": "docstore.commands.retirement",
    "retire_resume": "docstore.commands.retirement",
    "retire_undo": "docstore.commands.retirement",
    "remaining": "docstore.commands.coverage_report",
    "rollout_accept_loss": "docstore.commands.rollout_moving",
    "rollout_advance": "docstore.commands.rollout_moving",
    "rollout_canary": "docstore.commands.rollout_moving",
    "rollout_freeze": "docstore.commands.rollout_control",
    "rollout_history": "docstore.commands.rollout_control",
    "rollout_knob": "docstore.commands.rollout_control",
    "rollout_knobs": "docstore.commands.rollout_control",
    "rollout_rollback": "docstore.commands.rollout_moving",
    "rollout_status": "docstore.commands.rollout_control",
    "rollout_unfreeze": "docstore.commands.rollout_control",
    "show": "docstore.commands.shown_kind",
    "this_process": "docstore.commands.process",
    "utc_now": "docstore.commands.process",
    "views_drop": "docstore.commands.view_sync",
    "views_list": "docstore.commands.view_sync",
    "views_sync": "docstore.commands.view_sync",
    "work": "docstore.commands.worker",
}

__getattr__, __dir__ = late_imports(globals(), _HOME)
