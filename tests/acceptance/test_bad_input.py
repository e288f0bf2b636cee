"""
What is wrong is said in one line, with what to do next in another, and never with a password or a traceback.
"""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Docstore

PASSWORD = "s3cr3t"  # noqa: S105 - it must not turn up anywhere


def lines(errors: str) -> list[str]:
    assert "Traceback" not in errors
    return errors.splitlines()


def test_an_unreachable_server_leaves_with_5(docstore: Docstore) -> None:
    done = docstore("coverage", DOCSTORE_URI=f"mongodb://me:{PASSWORD}@127.0.0.1:1/db")

    assert done.returncode == 5
    error, hint = lines(done.stderr)
    assert error.startswith("error: the database is not reachable: 127.0.0.1:1")
    assert hint.startswith("hint: ")
    assert PASSWORD not in done.stderr + done.stdout


def test_a_backfill_without_a_server_leaves_with_5(docstore: Docstore) -> None:
    uri = "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=100"

    assert docstore("backfill", "start", "note", "--wait", DOCSTORE_URI=uri).returncode == 5


@pytest.mark.parametrize("debug", ["0", "1"])
def test_a_uri_that_cannot_be_used_leaves_with_2_and_does_not_show_its_password(docstore: Docstore, debug: str) -> None:
    done = docstore("coverage", DOCSTORE_URI=f"mongodb://me:{PASSWORD}/@127.0.0.1:1/db", DOCSTORE_DEBUG=debug)

    assert done.returncode == 2
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: the URI 'mongodb://***@127.0.0.1:1/db' cannot be used: ")
    assert hint.startswith("hint: a URI looks like mongodb://")


def test_wrong_credentials_are_told_without_them(docstore: Docstore, mongod_uri: str) -> None:
    uri = mongod_uri.replace("mongodb://", f"mongodb://me:{PASSWORD}@").replace("/?", "/db?")

    done = docstore("coverage", DOCSTORE_URI=uri)

    assert done.returncode == 1
    assert "AuthenticationFailed" in done.stderr
    assert PASSWORD not in done.stderr


def test_an_unknown_kind_leaves_with_2_and_names_those_that_there_are(docstore: Docstore) -> None:
    done = docstore("coverage", "nota", DOCSTORE_URI="mongodb://127.0.0.1:1/db")

    assert done.returncode == 2
    error, hint = lines(done.stderr)
    assert error == "error: there is no kind 'nota' in the package 'shop' (found: note)"
    assert hint.startswith("hint: name one of the kinds found")


def test_a_package_that_is_not_there_leaves_with_2(docstore: Docstore) -> None:
    done = docstore("coverage", "--upgraders", "nothing_like_this")

    assert done.returncode == 2
    assert lines(done.stderr)[0] == "error: the package 'nothing_like_this' cannot be found"
    assert lines(done.stderr)[1].startswith("hint: ")


def test_settings_that_are_missing_leave_with_2(docstore: Docstore, project: Path) -> None:
    without_uri = docstore("coverage", DOCSTORE_URI="")
    (project / "pyproject.toml").unlink()
    without_package = docstore("coverage")

    assert (without_uri.returncode, without_package.returncode) == (2, 2)
    assert "DOCSTORE_URI" in without_uri.stderr
    assert "DOCSTORE_UPGRADERS" in without_package.stderr


def test_a_pyproject_that_cannot_be_read_leaves_with_2(docstore: Docstore, project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.docstore\n")

    done = docstore("coverage")

    assert done.returncode == 2
    assert "pyproject.toml" in lines(done.stderr)[0]


@pytest.mark.parametrize("file", ["shop/note/v0003_count_words.py", "shop/note/__init__.py"])
def test_a_broken_module_leaves_with_4_and_names_file_and_line(docstore: Docstore, project: Path, file: str) -> None:
    (project / file).write_text("from docstore import Step\n\nstep = Stepp()\n")

    done = docstore("coverage")

    assert done.returncode == 4
    assert lines(done.stderr)[0].startswith(f"error: {file}:3: NameError")


def test_every_fault_of_the_steps_is_told_at_once(docstore: Docstore, project: Path) -> None:
    (project / "shop" / "note" / "v0003_count_words.py").write_text("import nothing\n")
    (project / "shop" / "note" / "v0007_far_away.py").write_text("x = 1\n")

    done = docstore("coverage")

    assert done.returncode == 4
    told = [line for line in lines(done.stderr) if line.startswith("error: ")]
    assert ["v0003" in told[0], "v0007" in told[1]] == [True, True]


def test_debugging_shows_where_an_error_comes_from(docstore: Docstore) -> None:
    done = docstore("coverage", "nota", DOCSTORE_DEBUG="1")

    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()[-2:]] == ["error", "hint"]
