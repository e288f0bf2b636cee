"""
The report as one HTML page, which needs nothing but itself.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from docstore.cli.html_report.fleet_part import fleet_rows
from docstore.cli.html_report.kind_part import KindPart, kind_part
from docstore.cli.next_commands import NextCommand, Urgency
from docstore.commands import DatabaseReport
from docstore.core.rollout_state import OPEN
from docstore.fleet.status import Life

#: Characters that turn the direction of whatever stands behind them.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Nothing is loaded and nothing runs, whatever the page holds.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class _ToDo:
    kind: str | None
    step: NextCommand


@dataclass(frozen=True, slots=True)
class _Tile:
    label: str
    value: str
    remark: str
    #: Whether it needs a look.
    alarming: bool = False


def html_page(report: DatabaseReport) -> str:
    """
    Return the report as one HTML page without scripts, and without anything that would have to be loaded.

    The same report gives the same page. Every name in it, of kinds, services and nodes, is shown as text.
    """
    kinds = [kind_part(kind, id=f"kind-{place}") for place, kind in enumerate(report.kinds, start=1)]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            kinds=kinds,
            tiles=_tiles(report),
            todo=_todo(report, kinds),
            fleet=fleet_rows(report.fleet),
            policy=_POLICY,
            release=version("docstore"),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("docstore.cli.html_report"),
        # All of it: templates are chosen by nobody's name.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["time"] = lambda moment: f"{moment:%Y-%m-%d %H:%M} UTC"
    return environment


def _printable(value: Any) -> Any:
    """
    Replace what no page can hold, and what would turn around the text behind it.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_odd(each) else each for each in value)


def _is_odd(character: str) -> bool:
    return character in _TURNING or (unicodedata.category(character) in {"Cc", "Cs", "Cn"} and character not in "\n\t")


def _tiles(report: DatabaseReport) -> list[_Tile]:
    counted = [kind.counted.report for kind in report.kinds]
    done = sum(each.coverage >= 1.0 for each in counted)
    quarantined = sum(each.quarantined for each in counted)
    lives = Counter(node.life for node in report.fleet.nodes)
    under_way = [kind.name for kind in report.kinds if kind.rollout is not None and kind.rollout.state in OPEN]
    dead, waiting = lives[Life.DEAD], lives[Life.WAITING]
    away = ", ".join(f"{number} {word}" for number, word in ((waiting, "waiting"), (dead, "dead")) if number)
    return [
        _Tile(
            "Rows", f"{sum(each.total for each in counted):,}", f"in {len(counted)} kinds" if len(counted) != 1 else ""
        ),
        _Tile("Wholly at latest", f"{done} of {len(counted)}", "kinds"),
        _Tile("In quarantine", f"{quarantined:,}", "rows", alarming=quarantined > 0),
        _Tile("Nodes alive", f"{lives[Life.ALIVE]:,}", away, alarming=dead > 0),
        _Tile("Rollouts open", f"{len(under_way)}", "frozen" if report.freeze else "", alarming=bool(report.freeze)),
    ]


def _todo(report: DatabaseReport, kinds: list[KindPart]) -> list[_ToDo]:
    found = [_ToDo(kind.name, step) for kind in kinds for step in kind.next]
    if report.freeze is not None:
        because = f": {report.freeze.why}" if report.freeze.why else ""
        words = f"Everything is frozen, by {report.freeze.by}{because}. When that is over, end it."
        found.append(_ToDo(None, NextCommand(Urgency.WAITING, words, "docstore rollout unfreeze")))
    return sorted(found, key=lambda each: each.step.urgency)
