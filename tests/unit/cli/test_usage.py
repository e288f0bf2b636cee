import pytest

from docstore.cli import app


@pytest.mark.parametrize(
    "arguments",
    [
        ["covrage"],
        ["coverage", "--bad"],
        ["coverage", "a", "b"],
        ["coverage", "--require", "3"],
        ["coverage", "note", "--require", "x"],
        ["coverage", "--format", "xml"],
        ["backfill", "start"],
        ["backfill", "stop"],
        ["backfill", "start", "note"],
    ],
)
def test_wrong_usage_is_told_in_an_error_and_a_hint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = app._run(arguments)

    output, errors = capsys.readouterr()
    assert code == 2
    assert output == ""
    assert [line.split(":")[0] for line in errors.splitlines()] == ["error", "hint"]


def test_a_command_that_was_nearly_right_is_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    app._run(["covrage"])

    assert "Did you mean 'coverage'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["backfill"]])
def test_without_a_command_the_help_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = app._run(arguments)

    output, errors = capsys.readouterr()
    assert code == 2
    assert "Commands" in output
    assert errors == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["coverage", "--help"], ["backfill", "--help"], ["backfill", "start", "-h"]]
)
def test_help_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = app._run(arguments)

    output, errors = capsys.readouterr()
    assert code == 0
    assert "Exit codes" in output or "Commands" in output
    assert "\x1b" not in output
    assert errors == ""


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code = app._run(["--version"])

    assert code == 0
    assert capsys.readouterr().out.startswith("docstore 0.")
