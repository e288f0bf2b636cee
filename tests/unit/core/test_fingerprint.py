"""
Fingerprints: the same for the same definition, in every process, and others for any other.
"""

import subprocess
import sys
from typing import Any

import pytest

from docstore import Document, Kind, Step
from docstore import operations as ops
from docstore.core.direction import Direction
from docstore.core.fingerprint import differences, fingerprints
from tests.kinds import place_kind


def shout(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": row["name"].upper()}


def whisper(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": row["name"].lower()}


def kind_of(*steps: Step, **settings: Any) -> Kind[Document]:
    return Kind("note", collection="notes", model=Document, steps=steps, **settings)


def test_the_same_definition_has_the_same_fingerprints() -> None:
    assert fingerprints(place_kind(), 3) == fingerprints(place_kind(), 3)


def test_another_process_finds_the_same_fingerprints() -> None:
    code = "from tests.kinds import place_kind; from docstore.core.fingerprint import fingerprints as f"
    told = subprocess.run(
        [sys.executable, "-c", f"{code}; print(f(place_kind(), 3))"], check=True, capture_output=True, text=True
    )

    assert told.stdout.strip() == str(fingerprints(place_kind(), 3))


def test_only_the_steps_up_to_the_target_count() -> None:
    assert set(fingerprints(place_kind(), 2)) == {"kind", "2"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Step(ops.RenameField("a", "b"), to=2), Step(ops.RenameField("a", "c"), to=2)),
        (Step(ops.AddField("a", 1), to=2), Step(ops.AddField("a", 1.0), to=2)),
        (Step(ops.AddField("a", 1), to=2), Step(ops.AddField("a", 1), ops.AddField("b", 1), to=2)),
        (Step(upgrade=shout, to=2), Step(upgrade=whisper, to=2)),
        (Step(upgrade=shout, to=2), Step(upgrade=shout, writes=["name"], to=2)),
        (Step(upgrade=shout, to=2), Step(upgrade=shout, downgrade=whisper, to=2)),
    ],
)
def test_another_step_has_another_fingerprint(ours: Step, theirs: Step) -> None:
    differing = differences(fingerprints(kind_of(ours), 2), fingerprints(kind_of(theirs), 2))

    assert differing == ["2"]


def test_functions_inside_of_operations_count() -> None:
    def step(python: Any) -> Step:
        return Step(ops.Compute("name", {"$toUpper": "$name"}, python, replace=True), to=2)

    first, second = fingerprints(kind_of(step(shout)), 2), fingerprints(kind_of(step(whisper)), 2)

    assert differences(first, second) == ["2"]
    assert first == fingerprints(kind_of(step(shout)), 2)


def test_another_tag_is_told_as_a_difference_of_the_kind() -> None:
    step = Step(ops.RenameField("a", "b"), to=2)

    assert differences(fingerprints(kind_of(step), 2), fingerprints(kind_of(step, version_field="v"), 2)) == ["kind"]


def test_a_function_without_source_is_told_apart_by_what_it_does() -> None:
    def typed(text: str) -> Any:
        space: dict[str, Any] = {}
        exec(text, space)  # noqa: S102 - as a shell does it
        return space["f"]

    one, same, other = (typed(f"def f(row):\n    row['n'] = {n}\n    return row") for n in (1, 1, 2))
    marks = [fingerprints(kind_of(Step(upgrade=function, to=2)), 2) for function in (one, same, other)]

    assert marks[0] == marks[1]
    assert differences(marks[0], marks[2]) == ["2"]


def test_a_step_that_is_missing_is_a_difference() -> None:
    ours = fingerprints(place_kind(floor=2), 3)

    assert differences(ours, fingerprints(place_kind(), 3)) == ["2"]


def test_a_way_down_is_told_apart_by_its_downgraders_and_by_where_it_begins() -> None:
    def marks(*steps: Step) -> dict[str, str]:
        return fingerprints(kind_of(*steps), 2, Direction.DOWN)

    below, other, third = Step(upgrade=shout, to=2), Step(upgrade=whisper, to=2), Step(upgrade=shout, to=4)
    step = Step(upgrade=shout, downgrade=whisper, to=3)
    ours = marks(below, step)

    assert set(ours) == {"kind", "3"}
    assert differences(ours, marks(other, step)) == []
    assert differences(ours, marks(below, Step(upgrade=shout, downgrade=shout, to=3))) == ["3"]
    # What is above the latest version of one of them is nothing that both may touch.
    assert differences(ours, marks(below, step, third)) == ["kind", "4"]


def test_adopting_rests_on_the_settings_of_the_kind_alone() -> None:
    plain = fingerprints(kind_of(Step(upgrade=shout, to=2)), 1, Direction.ADOPT)
    guessed = fingerprints(kind_of(Step(upgrade=shout, to=2), detect=lambda _: 1), 1, Direction.ADOPT)

    assert set(plain) == {"kind"}
    assert differences(plain, guessed) == ["kind"]
