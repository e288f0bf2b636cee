"""
Kinds whose retired steps are kept.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docstore import Kind
from docstore.core.retired_steps import with_retired
from docstore.discovery import find_kinds
from docstore.errors import KindDefinitionError, RetiredStepsMissingError, VersionGapError
from tests.kinds import place_kind

KIND = """
from docstore import Document, Kind

class Note(Document):
    text: str
    words: int = 0

note = Kind("note", collection="notes", model=Note, package="{package}.note", floor={floor})
"""
STEP = "from docstore import Step, operations as ops\n\nstep = Step(ops.RenameField({old!r}, {new!r}))\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(str(tmp_path))
    return f"shop_{tmp_path.name}".replace("-", "_")


def written(folder: Path, package: str, *, retired: list[int], floor: int = 3) -> Kind[Any]:
    note = folder / package / "note"
    (note / "retired").mkdir(parents=True)
    (folder / package / "__init__.py").write_text("")
    (note / "__init__.py").write_text(KIND.format(package=package, floor=floor))
    (note / "retired" / "__init__.py").write_text("")
    (note / "v0004_d.py").write_text(STEP.format(old="c", new="d"))
    for to in retired:
        (note / "retired" / f"v{to:04}_x.py").write_text(STEP.format(old="_abcdefgh"[to - 1], new="_abcdefgh"[to]))
    return find_kinds(package)["note"]


def test_retired_steps_lead_up_to_the_floor(tmp_path: Path, package: str) -> None:
    kind = written(tmp_path, package, retired=[2, 3])
    lifted = with_retired(kind)

    assert (kind.floor, lifted.floor, lifted.latest) == (3, 1, 4)
    assert lifted.upgrade({"_id": 1, "a": 7}) == {"_id": 1, "d": 7, "schema_version": 4}


def test_services_do_not_import_retired_steps(tmp_path: Path, package: str) -> None:
    written(tmp_path, package, retired=[2, 3])
    program = f"import sys; from docstore.discovery import find_kinds; find_kinds({package!r}); print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()

    assert f"{package}.note.v0004_d" in loaded
    assert not [module for module in loaded if "retired" in module and module.startswith(package)]


def test_only_the_part_that_was_kept_leads_up(tmp_path: Path, package: str) -> None:
    assert with_retired(written(tmp_path, package, retired=[3])).floor == 2


@pytest.mark.parametrize("retired", [[2], [2, 3, 4]])
def test_a_gap_below_the_floor_and_a_step_above_it_are_faults(tmp_path: Path, package: str, retired: list[int]) -> None:
    with pytest.raises(KindDefinitionError) as caught:
        with_retired(written(tmp_path, package, retired=retired))

    assert [isinstance(fault, VersionGapError) for fault in caught.value.exceptions] == [retired == [2]]


def test_a_kind_that_keeps_none_says_where_they_would_be(tmp_path: Path, package: str) -> None:
    with pytest.raises(RetiredStepsMissingError, match="have no files"):
        with_retired(place_kind(floor=2))
    with pytest.raises(RetiredStepsMissingError, match=f"{package}.note.retired"):
        with_retired(written(tmp_path, package, retired=[]))
