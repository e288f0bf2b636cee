"""
A report takes the place of an older one at once, or not at all.
"""

import os
from pathlib import Path

import pytest

from docstore.cli.output_file import write_whole


def test_a_new_file_has_the_text_and_the_mode_of_any_new_file(tmp_path: Path) -> None:
    file, other = tmp_path / "report.html", tmp_path / "other"
    other.write_text("")

    write_whole(file, "über")

    assert file.read_text(encoding="utf-8") == "über"
    assert file.stat().st_mode == other.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [other, file]


def test_an_older_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "report.html", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)

    write_whole(link, "new")

    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == "new"
    assert file.stat().st_mode & 0o777 == 0o640


def test_where_it_cannot_be_written_the_older_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")

    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    write_whole(pipe, "text")

    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()
