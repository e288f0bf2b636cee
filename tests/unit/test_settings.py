from pathlib import Path

import pytest
from pydantic import SecretStr

from docstore.settings import Settings


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    An empty folder and no variables.
    """
    for name in ("DOCSTORE_URI", "DOCSTORE_DATABASE", "DOCSTORE_UPGRADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_is_guessed() -> None:
    assert Settings().model_dump() == {"uri": None, "database": None, "upgraders": None}


def test_what_is_typed_wins_over_the_environment_and_that_over_the_project(
    nothing_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nothing_set / "pyproject.toml").write_text('[tool.docstore]\nupgraders = "c"\ndatabase = "c"\nuri = "c"\n')
    monkeypatch.setenv("DOCSTORE_DATABASE", "b")
    monkeypatch.setenv("DOCSTORE_URI", "b")

    settings = Settings(uri=SecretStr("a"))

    assert (settings.uri, settings.database, settings.upgraders) == (SecretStr("a"), "b", "c")


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCSTORE_URI", "")

    assert Settings().uri is None


def test_the_uri_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCSTORE_URI", "mongodb://me:s3cr3t@host/db")

    assert "s3cr3t" not in f"{Settings()!r} {Settings()} {Settings().model_dump_json()}"


def test_settings_of_other_tools_are_left_alone(nothing_set: Path) -> None:
    (nothing_set / "pyproject.toml").write_text("[tool.docstore]\nsomething = 1\n[tool.other]\nuri = 1\n")

    assert Settings().uri is None
