"""
What may go with retired versions, and where their steps are kept.
"""

import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.errors import StepFileError
from docstore.retirement.archive import archive
from docstore.retirement.leftovers import leftovers, step_files


class Shop(Document):
    name: str = ""
    title: str | None = None
    zip: str | None = None
    size: int = 0
    extra: int | None = None


def shop(*steps: Step, **options: Any) -> Kind[Shop]:
    return Kind("shop", collection="shops", model=Shop, steps=list(steps), **options)


RENAMED = Step(ops.RenameField("title", "name"), to=2)
REMOVED = Step(ops.RemoveField("zip"), to=3)


def test_fields_go_that_a_retired_step_empties_in_every_row() -> None:
    kind = shop(RENAMED, REMOVED)

    assert leftovers(kind, 2).fields == ("title",)
    assert leftovers(kind, 3).fields == ("title", "zip")
    assert leftovers(kind, 3).steps == (2, 3)
    assert leftovers(kind, 3).files == ()


@pytest.mark.parametrize(
    "later",
    [
        Step(ops.AddField("title", "x"), to=3),
        Step(ops.CopyField("name", "title"), to=3),
        Step(upgrade=lambda row: row, writes=["title"], to=3),
        Step(upgrade=lambda row: row, to=3),
    ],
)
@pytest.mark.parametrize("below", [2, 3])
def test_a_field_stays_that_a_later_step_may_fill(later: Step, below: int) -> None:
    assert leftovers(shop(RENAMED, later), below).fields == ()


def test_a_field_stays_that_the_same_step_fills_again() -> None:
    again = Step(ops.RenameField("title", "name"), ops.AddField("title", ""), to=2)

    assert leftovers(shop(again), 2).fields == ()


def test_indexes_go_that_only_older_versions_were_declared_to_need() -> None:
    kind = shop(RENAMED, REMOVED, indexes={1: ["title"], 2: ["name"], 3: ["name"]})

    assert leftovers(kind, 2).indexes == ("title_1",)
    assert leftovers(kind, 3).indexes == ("title_1",)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Kind[Any]]:
    """
    Write a package with two steps and golden rows, and give what loads its kind.
    """
    name = f"shops_{uuid.uuid4().hex}"
    folder = tmp_path / name
    for version in (1, 2, 3):
        (folder / "samples" / f"v000{version}").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for file, step in (("v0002_name", 'RenameField("title", "name")'), ("v0003_zip", 'RemoveField("zip")')):
        text = f"from docstore import Step\nfrom docstore import operations as ops\nstep = Step(ops.{step})\n"
        (folder / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def load(**options: Any) -> Kind[Any]:
        for module in [each for each in sys.modules if each.startswith(name)]:
            del sys.modules[module]
        return Kind("shop", collection="shops", model=Shop, package=name, **options)

    return load


def test_files_and_golden_rows_below_are_named(package: Callable[..., Kind[Any]]) -> None:
    kind = package()
    what = leftovers(kind, 2)

    assert what.files == (f"{kind.package}/v0002_name.py",)
    assert what.samples == (f"{kind.package}/samples/v0001",)
    assert leftovers(kind, 3).samples == (f"{kind.package}/samples/v0001", f"{kind.package}/samples/v0002")


def test_archived_steps_leave_the_chain_and_nothing_is_overwritten(package: Callable[..., Kind[Any]]) -> None:
    kind = package()
    moved = archive(step_files(kind, 2), kind="shop")

    assert [path.name for path in moved] == ["v0002_name.py"]
    assert (moved[0].parent / "__init__.py").exists()
    assert [step.to for step in package(floor=2).steps] == [3]
    assert archive(step_files(kind, 2), kind="shop") == ()
    source = moved[0].parent.parent / "v0002_name.py"
    source.write_text("another\n")
    with pytest.raises(StepFileError):
        archive(step_files(kind, 2), kind="shop")
    assert source.read_text() == "another\n"
