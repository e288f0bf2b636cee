"""
A kind: every fault in its definition at once, and rows brought up and down as the steps say.
"""

import copy
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bson import SON, Decimal128, Int64
from pydantic import AliasChoices, AliasPath, Field

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.bson_values import RawDocument, identical
from docstore.errors import (
    DowngradeFailedError,
    DuplicateStepError,
    KindDefinitionError,
    NewerVersionError,
    NotCompilableError,
    NotInvertibleError,
    RetiredVersionError,
    StepContentError,
    StepFileError,
    UnknownVersionError,
    UpgradeFailedError,
    VersionGapError,
    VersionRangeError,
)


class Note(Document):
    text: str = ""


def add_slug(row: RawDocument) -> RawDocument:
    return {**row, "slug": row["text"].lower()}


def drop_slug(row: RawDocument) -> RawDocument:
    del row["slug"]
    return row


def note(*steps: Step, **options: Any) -> Kind[Note]:
    return Kind("note", collection="notes", model=Note, steps=steps, **options)


def _untyped(value: Any) -> Any:
    """Hide from the type checker what it would refuse."""
    return value


RENAME = Step(ops.RenameField("body", "text"), to=2)
SLUG = Step(to=3, upgrade=add_slug, downgrade=drop_slug, writes=["slug"])


class TestDefinition:
    def test_every_fault_is_reported_at_once(self) -> None:
        steps = [RENAME, Step(ops.AddField("a", 1), to=2), Step(ops.AddField("b", 1), to=5), Step(ops.AddField("c", 1))]
        with pytest.raises(KindDefinitionError) as caught:
            note(*steps, version_field="text", baseline=1)
        kinds = [type(fault) for fault in caught.value.exceptions]
        assert kinds.count(DuplicateStepError) == 1
        # The step without a version, the tag over a model's field, and the step that writes that field.
        assert kinds.count(StepContentError) == 3
        assert caught.value.kind == "note"

    def test_a_gap_names_every_missing_version(self) -> None:
        with pytest.raises(KindDefinitionError) as caught:
            note(RENAME, Step(ops.AddField("a", 1), to=5))
        (fault,) = caught.value.exceptions
        assert isinstance(fault, VersionGapError)
        assert fault.missing == (3, 4)

    def test_a_step_at_or_below_the_floor_is_a_fault(self) -> None:
        with pytest.raises(KindDefinitionError) as caught:
            note(RENAME, floor=2)
        (fault,) = caught.value.exceptions
        assert isinstance(fault, StepContentError)
        assert "`docstore retire note --below 2 --archive`" in str(fault.advice)

    def test_a_floor_below_the_baseline_is_a_fault(self) -> None:
        with pytest.raises(KindDefinitionError):
            note(baseline=2, floor=1)

    @pytest.mark.parametrize("field", ["", "_id", "a.b", "$v", "a\0b", 3])
    def test_a_tag_that_is_no_plain_field_is_a_fault(self, field: Any) -> None:
        with pytest.raises(KindDefinitionError):
            note(version_field=field)

    @pytest.mark.parametrize(
        "alias",
        [
            {"alias": "tag"},
            {"validation_alias": "tag"},
            {"serialization_alias": "tag"},
            {"validation_alias": AliasChoices("other", AliasPath("tag", 0))},
        ],
    )
    def test_a_tag_over_a_field_under_any_of_its_names_is_a_fault(self, alias: Any) -> None:
        class Aliased(Document):
            text: str = _untyped(Field)("", **alias)

        with pytest.raises(KindDefinitionError):
            Kind("note", collection="notes", model=Aliased, version_field="tag")

    @pytest.mark.parametrize(
        "options",
        [
            {"baseline": "1"},
            {"baseline": 1.5},
            {"floor": True},
            {"detect": 5},
            {"steps": [ops.AddField("a", 1)]},
            {"collection": ""},
            {"collection": "a$b"},
            {"collection": "system.users"},
            {"collection": "a."},
            {"collection": None},
            {"model": int},
        ],
    )
    def test_a_setting_of_the_wrong_sort_is_a_fault_of_the_kind(self, options: Any) -> None:
        with pytest.raises(KindDefinitionError) as caught:
            Kind("note", **{"collection": "notes", "model": Note, **options})
        (fault,) = caught.value.exceptions
        assert str(fault).startswith("kind 'note' ")

    def test_a_kind_without_a_name_is_a_fault(self) -> None:
        with pytest.raises(KindDefinitionError):
            Kind("", collection="notes", model=Note)

    def test_a_step_that_touches_the_tag_is_a_fault(self) -> None:
        with pytest.raises(KindDefinitionError):
            note(Step(ops.RenameField("body", "schema_version.text"), to=2))
        with pytest.raises(KindDefinitionError):
            note(Step(ops.Compute("seen", "$schema_version", lambda row: row["schema_version"]), to=2))

    def test_without_steps_latest_is_the_floor(self) -> None:
        kind = note(floor=4)
        assert (kind.floor, kind.latest, kind.steps) == (4, 4, ())

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Step(to=2),
            lambda: Step(ops.AddField("a", 1), to=2, upgrade=add_slug),
            lambda: Step(ops.AddField("a", 1), to=0),
            lambda: Step(ops.AddField("a", 1), to=True),
            lambda: Step(to=2, downgrade=drop_slug),
            lambda: Step(_untyped(add_slug), to=2),
            lambda: Step(_untyped(ops.AddField), to=2),
            lambda: Step(ops.AddField("a", 1), to=2, writes=["a"]),
            lambda: Step(to=2, upgrade=_untyped(5)),
            lambda: Step(to=2, upgrade=add_slug, downgrade=_untyped("drop_slug")),
            lambda: Step(to=2, upgrade=add_slug, writes="slug"),
        ],
    )
    def test_a_step_holds_operations_or_functions(self, make: Callable[[], Step]) -> None:
        with pytest.raises(StepContentError):
            make()


class TestStepFiles:
    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
        def write(**files: str) -> str:
            name = f"kinds_{tmp_path.name}"
            folder = tmp_path / name
            folder.mkdir()
            for stem, text in {"__init__": "", **files}.items():
                (folder / f"{stem}.py").write_text(text, encoding="utf-8")
            monkeypatch.syspath_prepend(str(tmp_path))
            for module in [module for module in sys.modules if module.startswith(name)]:
                monkeypatch.delitem(sys.modules, module)
            return name

        return write

    STEP = "from docstore import Step, operations as ops\nstep = Step(ops.AddField('a', 1){})\n"

    def test_steps_take_their_versions_from_the_files(self, package: Callable[..., str]) -> None:
        kind = note(package=package(v0002_add=self.STEP.format(""), v0003_more=self.STEP.format(""), helpers=""))
        assert [step.to for step in kind.steps] == [2, 3]

    def test_every_faulty_file_is_named(self, package: Callable[..., str]) -> None:
        name = package(
            v0002_breaks="\nx = 1 / 0\n",
            v0003_syntax="step = (\n",
            v0004_empty="",
            v0005_differs=self.STEP.format(", to=6"),
            v06_short=self.STEP.format(""),
        )
        with pytest.raises(KindDefinitionError) as caught:
            note(package=name)
        faults = [fault for fault in caught.value.exceptions if isinstance(fault, StepFileError)]
        assert {Path(fault.file).stem: fault.line for fault in faults} == {
            "v0002_breaks": 2,
            "v0003_syntax": 1,
            "v0004_empty": None,
            "v0005_differs": None,
            "v06_short": None,
        }

    def test_a_package_that_is_not_there_is_a_fault_of_the_kind(self) -> None:
        with pytest.raises(KindDefinitionError) as caught:
            note(package="nowhere.at_all", baseline=0)
        missing = [fault for fault in caught.value.exceptions if isinstance(fault, StepFileError)]
        assert [(fault.file, fault.line) for fault in missing] == [("nowhere/at_all/__init__.py", None)]
        assert len(caught.value.exceptions) == 2

    def test_a_package_that_breaks_is_named_with_its_line(self, package: Callable[..., str]) -> None:
        name = package(__init__="\nx = 1 / 0\n")
        with pytest.raises(KindDefinitionError) as caught:
            note(package=name)
        (fault,) = caught.value.exceptions
        assert isinstance(fault, StepFileError)
        assert (fault.file, fault.line) == (f"{name}/__init__.py", 2)

    def test_a_module_in_place_of_a_package_is_a_fault_of_the_kind(self) -> None:
        with pytest.raises(KindDefinitionError) as caught:
            note(package="json.decoder")
        (fault,) = caught.value.exceptions
        assert isinstance(fault, StepFileError)


class TestUpgrade:
    def test_a_row_goes_through_every_step_and_stays_as_it_was(self) -> None:
        row = {"_id": 1, "body": "Hello", "tags": ["a"]}
        before = copy.deepcopy(row)
        upgraded = note(RENAME, SLUG).upgrade(row)
        assert upgraded == {"_id": 1, "tags": ["a"], "schema_version": 3, "text": "Hello", "slug": "hello"}
        assert row == before

    def test_a_function_gets_a_document_of_its_own(self) -> None:
        def append(row: RawDocument) -> RawDocument:
            row["tags"].append("b")
            return row

        row = {"_id": 1, "tags": ["a"]}
        assert note(Step(to=2, upgrade=append)).upgrade(row)["tags"] == ["a", "b"]
        assert row == {"_id": 1, "tags": ["a"]}

    @pytest.mark.parametrize("container", [OrderedDict, SON])
    def test_rows_of_other_dicts_are_copied_too(self, container: Any) -> None:
        def change(row: RawDocument) -> RawDocument:
            row["a"]["b"] = 2
            row["list"][0]["c"] = 2
            return row

        row = container(_id=1, a=container(b=1), list=[container(c=1)])
        note(Step(to=2, upgrade=change)).upgrade(row)
        assert (row["a"]["b"], row["list"][0]["c"]) == (1, 1)

    def test_what_detect_does_to_a_row_stays_with_it(self) -> None:
        def detect(row: RawDocument) -> int:
            row["nested"]["seen"] = True
            return 1

        row: RawDocument = {"_id": 1, "nested": {}}
        assert note(RENAME, detect=detect).upgrade(row)["nested"] == {}
        assert row == {"_id": 1, "nested": {}}

    @pytest.mark.parametrize("tag", [2, 2.0, Int64(2)])
    def test_a_tag_of_another_number_type_is_normalised(self, tag: Any) -> None:
        upgraded = note(RENAME, SLUG).upgrade({"_id": 1, "schema_version": tag, "text": "A"})
        assert identical(upgraded["schema_version"], 3)
        assert identical(note(RENAME).upgrade({"_id": 1, "schema_version": tag})["schema_version"], 2)

    @pytest.mark.parametrize("tag", [0, -1, 1.5, float("nan"), float("inf"), "2", True, [2], Decimal128("2"), {}])
    def test_a_tag_that_is_no_positive_integer_is_unknown(self, tag: Any) -> None:
        with pytest.raises(UnknownVersionError) as caught:
            note(RENAME).upgrade({"_id": 1, "schema_version": tag})
        assert (caught.value.kind, caught.value.id, caught.value.field) == ("note", 1, "schema_version")

    def test_rows_outside_what_the_code_reads_are_refused(self) -> None:
        kind = note(SLUG, floor=2)
        with pytest.raises(NewerVersionError) as newer:
            kind.upgrade({"_id": 1, "schema_version": 4})
        with pytest.raises(RetiredVersionError) as retired:
            kind.upgrade({"_id": 1})
        assert (newer.value.found, newer.value.latest) == (4, 3)
        assert (retired.value.found, retired.value.floor) == (1, 2)

    @pytest.mark.parametrize("row", [{"_id": 1}, {"_id": 1, "schema_version": None}])
    def test_an_untagged_row_is_where_detect_says(self, row: RawDocument) -> None:
        kind = note(RENAME, SLUG, detect=lambda raw: 2 if "text" in raw else 1)
        assert kind.version({**row, "text": "a"}) == 2
        assert kind.version(row) == 1
        assert note(RENAME, baseline=1).version(row) == 1
        with pytest.raises(NotCompilableError):
            kind.compile(None)

    def test_a_version_that_cannot_be_reached_upwards_is_out_of_range(self) -> None:
        kind = note(RENAME, SLUG)
        asked_of: list[tuple[Any, RawDocument]] = [
            (1, {"_id": 1, "schema_version": 2}),
            (9, {"_id": 1}),
            (0, {"_id": 1}),
            (2.0, {"_id": 1}),
            ("2", {"_id": 1}),
            (True, {"_id": 1}),
        ]
        for asked, row in asked_of:
            with pytest.raises(VersionRangeError) as caught:
                kind.upgrade(row, to=asked)
            assert caught.value.asked == asked


def raises(row: RawDocument) -> RawDocument:
    raise ValueError(row["secret"])


def changes_id(row: RawDocument) -> RawDocument:
    return {**row, "_id": float(row["_id"])}


def drops_id(row: RawDocument) -> RawDocument:
    del row["_id"]
    return row


def wrong_tag(row: RawDocument) -> RawDocument:
    return {**row, "schema_version": 7}


def odd_tag(row: RawDocument) -> RawDocument:
    return {**row, "schema_version": 2.0}


def id_without_place(row: RawDocument) -> RawDocument:
    return {**row, "_id": {row["secret"]}}


def value_without_place(row: RawDocument) -> RawDocument:
    return {**row, "secret": {row["secret"]}}


def writes_elsewhere(row: RawDocument) -> RawDocument:
    row["nested"]["list"].append(1)
    return row


MISBEHAVING: list[Any] = [
    raises,
    changes_id,
    drops_id,
    id_without_place,
    value_without_place,
    wrong_tag,
    odd_tag,
    writes_elsewhere,
    lambda _: None,
    list,
]


class TestBrokenFunctions:
    ROW = {"_id": 5, "secret": "hunter2", "nested": {"list": []}}  # noqa: RUF012 - never changed

    @pytest.mark.parametrize("function", MISBEHAVING)
    def test_a_misbehaving_upgrader_fails_the_row_and_tells_no_value(self, function: Any) -> None:
        kind = note(Step(to=2, upgrade=function, writes=["slug"]))
        with pytest.raises(UpgradeFailedError) as caught:
            kind.upgrade(self.ROW)
        error = caught.value
        assert (error.kind, error.id, error.version, error.step) == ("note", 5, 1, 2)
        assert "hunter2" not in str(error) + str(getattr(error, "__notes__", ""))

    @pytest.mark.parametrize("function", MISBEHAVING)
    def test_a_misbehaving_downgrader_fails_the_row_and_tells_no_value(self, function: Any) -> None:
        kind = note(Step(to=2, upgrade=add_slug, downgrade=function, writes=["slug"]))
        with pytest.raises(DowngradeFailedError) as caught:
            kind.downgrade({**self.ROW, "schema_version": 2}, to=1)
        assert (caught.value.version, caught.value.step) == (2, 2)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("tag", [1, 2])
    def test_a_function_may_keep_the_tag_or_set_the_one_that_it_produces(self, tag: int) -> None:
        kind = note(Step(to=2, upgrade=lambda row: {**row, "schema_version": tag}))
        assert kind.upgrade({"_id": 1})["schema_version"] == 2

    def test_what_is_declared_may_be_written_within_a_document(self) -> None:
        def upgrade(row: RawDocument) -> RawDocument:
            row["a"]["b"] = 1
            return row

        kind = note(Step(to=2, upgrade=upgrade, writes=["a.b"]))
        assert kind.upgrade({"_id": 1, "a": {"c": [1.0]}})["a"] == {"c": [1.0], "b": 1}

    def test_a_refusing_operation_fails_the_row_and_names_the_path(self) -> None:
        with pytest.raises(UpgradeFailedError) as caught:
            note(RENAME).upgrade({"_id": 1, "body": "a", "text": "b"})
        assert (caught.value.step, caught.value.path) == (2, "text")


class TestDowngrade:
    def test_a_row_goes_back_through_every_step(self) -> None:
        row = {"_id": 1, "schema_version": 3, "text": "Hello", "slug": "hello"}
        assert note(RENAME, SLUG).downgrade(row, to=1) == {"_id": 1, "schema_version": 1, "body": "Hello"}

    def test_a_step_without_a_way_back_is_named(self) -> None:
        kind = note(RENAME, Step(to=3, upgrade=add_slug))
        with pytest.raises(NotInvertibleError) as caught:
            kind.downgrade({"_id": 1, "schema_version": 3}, to=2)
        assert (caught.value.kind, caught.value.version) == ("note", 3)
        assert [step.to for step in kind.chain.one_way(1, 3)] == [3]

    def test_a_version_above_the_row_is_out_of_range(self) -> None:
        with pytest.raises(VersionRangeError):
            note(RENAME, SLUG).downgrade({"_id": 1, "schema_version": 2}, to=3)


class TestWrites:
    def test_operations_tell_and_functions_declare_what_they_write(self) -> None:
        kind = note(RENAME, SLUG)
        assert set(kind.writes(1, 3) or ()) == {("body",), ("text",), ("slug",)}
        assert set(kind.writes(2, 3) or ()) == {("slug",)}
        assert kind.writes(3, 3) == frozenset()

    def test_a_function_that_declares_nothing_may_write_anything(self) -> None:
        assert note(RENAME, Step(to=3, upgrade=add_slug)).writes(1, 3) is None
