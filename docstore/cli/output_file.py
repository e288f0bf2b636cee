"""
Writing a report to a file in the place of an older one.
"""

import os
import shutil
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """
    Write a file so that whoever reads it finds the old text or the new one, never a part of it.

    Atomic, except that what is no ordinary file, a pipe or a device, is written to and not replaced.

    Raises:
        OSError: It cannot be written; an older file is as it was.
    """
    # The file that a link leads to is replaced, not the link.
    file = Path(os.path.realpath(file))
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        if file.exists():
            shutil.copymode(file, draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
