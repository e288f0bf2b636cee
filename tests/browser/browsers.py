"""
A headless browser for the tests in this folder: one that is there, or one that is installed now.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What Chromium's kin are called where systems install them.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Debian and what derives from it.
PACKAGE = "chromium-headless-shell"


def installed() -> str | None:
    """
    Return the path of a browser that is installed: DOCSTORE_BROWSER, one of the system's, or Playwright's own.
    """
    named = os.environ.get("DOCSTORE_BROWSER")
    if named:
        return named
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            return found
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - nothing else here needs it

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install() -> None:
    """
    Install a browser: Playwright's own, or where that cannot be had the system's.

    Raises:
        SystemExit: Neither can be had.
    """
    own = [sys.executable, "-m", "playwright", "install", "chromium-headless-shell"]
    by_system = [["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", PACKAGE]]
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if subprocess.run(own, check=False, capture_output=True).returncode == 0 and installed() is not None:
        return
    if shutil.which("apt-get") is not None and os.geteuid() == 0:
        for command in by_system:
            subprocess.run(command, check=False, capture_output=True, env=quietly)
    if installed() is None:
        raise SystemExit(
            "no browser: install Chromium by hand (Debian and Ubuntu: apt-get install chromium), "
            "or name one in DOCSTORE_BROWSER"
        )


if __name__ == "__main__":
    if installed() is None:
        print("Installing a headless browser; this takes a minute.")  # noqa: T201 - a script
        install()
