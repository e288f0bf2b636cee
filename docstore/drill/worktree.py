"""
A git revision of the package of kinds, in a folder of its own.
"""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from docstore.errors import DrillRefusedError


@asynccontextmanager
async def revision(kind: str, package: str, name: str, folder: Path) -> AsyncIterator[Path]:
    """
    Check a revision out, and give the folder from which the package is imported there; removed at the end.

    Args:
        kind: The kind's name, for what is refused.
        package: The package of kinds, which lies in a git repository.
        name: The revision.
        folder: Where to; it must not exist.

    Raises:
        DrillRefusedError: The package lies in no repository, or there is no such revision.
    """
    root = _root(kind, package)
    top = Path(await _git(kind, root, "rev-parse", "--show-toplevel"))
    commit = await _git(kind, root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    await _git(kind, root, "worktree", "add", "--detach", str(folder), commit)
    try:
        yield folder / root.relative_to(top)
    finally:
        # Also while the drill is being cancelled: nothing of it may stay in the repository.
        await asyncio.shield(_git(kind, root, "worktree", "remove", "--force", str(folder)))


def _root(kind: str, package: str) -> Path:
    spec = importlib.util.find_spec(package.partition(".")[0])
    places = [] if spec is None else [*(spec.submodule_search_locations or ())]
    if not places:
        raise DrillRefusedError(kind=kind, reason=f"nobody knows in which folder the package {package!r} lies")
    # As git names folders.
    return Path(places[0]).resolve().parent


async def _git(kind: str, folder: Path, *arguments: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *("git", "-C", str(folder), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise DrillRefusedError(kind=kind, reason="there is no git here, which --old needs") from error
    output, errors = await process.communicate()
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"git {arguments[0]} ended with {process.returncode}"
        if arguments[0] == "rev-parse" and "--verify" in arguments:
            reason = f"there is no revision {arguments[-1].removesuffix('^{commit}')!r}"
        raise DrillRefusedError(kind=kind, reason=reason)
    return output.decode().strip()
