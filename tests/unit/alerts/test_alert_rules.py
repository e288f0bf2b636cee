"""
The alert rules that docstore ships: what they ask for is exported, and they say what their tests expect.

With promtool (on the PATH, or named by DOCSTORE_PROMTOOL) Prometheus itself runs the tests beside this file; without it
a parser of its language reads the rules.
"""

import datetime
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from docstore.alerts import RULES
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.progress import Path as RowPath
from docstore.core.batch_record import Tally
from docstore.core.survey import ALIVE, DEAD, WAITING, KindSurvey, Survey
from docstore.core.write_version import ControlState
from docstore.errors import ConflictError, UpgradeFailedError
from docstore.fleet.health import NodeHealth
from docstore.fleet.membership import Alone
from docstore.store.metrics import StoreMetrics
from tests.kinds import place_kind

HERE: Final = Path(__file__).parent
TESTS: Final = HERE / "docstore.rules.test.yml"
DOCS: Final = HERE.parents[2] / "docs" / "observing.md"
NOW: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Member(Alone):
    """
    A node that is in its fleet.
    """

    @property
    def health(self) -> NodeHealth:
        return NodeHealth(1.0, 6.0, admitted=True, controls={"place": ControlState("place", 2, 4)})


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def exported() -> Iterator[Sample]:
    """
    Give every sample that docstore exports when everything has happened once.
    """
    store_registry, worker = CollectorRegistry(), WorkerMetrics()
    store, kind = StoreMetrics(store_registry), place_kind()
    member = Member([kind])
    store.node.watch("api", member, [kind])
    counts = store.of("api", kind)
    counts.read(1)
    counts.wrote("insert", 3, 1)
    counts.unreadable(UpgradeFailedError(kind="place", id=1, version=1, step=2, error="it failed"))
    counts.refused(ConflictError(kind="place", id=1))
    counts.conflicts(1)
    counts.deleted(1)
    worker.batch("place", RowPath.SERVER, Tally(server=1), seconds=1.0)
    worker.remaining("place", 1)
    kinds = {"place": KindSurvey(1, behind=1, rollout_since=NOW, write_version=2, span=1)}
    nodes = {("api", life): 1 for life in (ALIVE, WAITING, DEAD)}
    worker.survey.tell(Survey(NOW, kinds, {"search": NOW}, nodes, frozen_since=NOW))
    for registry in (store_registry, worker.registry):
        for family in registry.collect():
            yield from (sample for sample in family.samples if not sample.name.endswith("_created"))


def selectors(expression: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def look(part: promql_parser.Expr) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part)
        elif isinstance(part, promql_parser.MatrixSelector):
            found.append(part.vector_selector)
        return True

    promql_parser.walk(expression, look)
    return found


def promtool() -> str | None:
    return os.environ.get("DOCSTORE_PROMTOOL") or shutil.which("promtool")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_series_that_a_rule_asks_for_is_one_that_docstore_exports(rule: dict[str, Any]) -> None:
    samples = list(exported())

    asked = selectors(promql_parser.parse(rule["expr"]))

    assert asked
    for selector in asked:
        wanted = {(matcher.name, matcher.value) for matcher in selector.matchers.matchers}
        assert [each for each in samples if each.name == selector.name and wanted <= each.labels.items()], selector


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_rule_says_how_grave_it_is_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Docstore[A-Za-z]+", rule["alert"])
    assert rule["labels"] in [{"severity": severity} for severity in ("info", "warning", "critical")]
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["alert"] in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_every_label_that_a_rule_quotes_is_one_of_its_series(rule: dict[str, Any]) -> None:
    quoted = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))

    names = {selector.name for selector in selectors(promql_parser.parse(rule["expr"]))}

    labels = [set(sample.labels) for sample in exported() if sample.name in names]
    assert all(quoted <= each for each in labels)


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    is_silent = {case["alertname"] for case in cases if not case["exp_alerts"]}

    assert fires == is_silent == {rule["alert"] for rule in rules()}


def test_prometheus_itself_finds_that_the_rules_do_what_their_tests_say(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = promtool()
    record_property("alert rules", "read by a parser: no promtool" if found is None else "tested by promtool")
    if found is None:
        assert [promql_parser.parse(rule["expr"]).prettify() for rule in rules()]
        return
    for file in (RULES, TESTS):
        shutil.copy(file, tmp_path)

    checked = subprocess.run([found, "check", "rules", RULES.name], cwd=tmp_path, capture_output=True, text=True)  # noqa: PLW1510
    tested = subprocess.run([found, "test", "rules", TESTS.name], cwd=tmp_path, capture_output=True, text=True)  # noqa: PLW1510

    assert (checked.returncode, checked.stderr) == (0, "")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_documentation_names_every_metric_with_its_labels() -> None:
    text = DOCS.read_text(encoding="utf-8")
    series = {(sample.name, frozenset(sample.labels) - {"le"}) for sample in exported()}
    plain = {(re.sub(r"_(bucket|count|sum)$", "", name), labels) for name, labels in series}

    told = {
        (name, frozenset(filter(None, re.split(r",\s*", labels))))
        for name, labels in re.findall(r"`(docstore_\w+)(?:\{([\w, ]*)\})?`", text)
    }

    assert plain <= told, plain - told
