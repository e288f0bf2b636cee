import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from docstore.discovery import find_kinds, kind_named
from docstore.errors import (
    CollectionSharedError,
    KindDefinitionError,
    KindModuleError,
    StepContentError,
    StepFileError,
    UnknownKindError,
    UpgradersNotFoundError,
)

KIND = 'from docstore import Document, Kind\n{0} = Kind("{0}", collection="{1}", model=Document)\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    The folder of an empty package of a name of its own, importable from the current folder.
    """
    folder = tmp_path / f"kinds_{uuid.uuid4().hex}"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def test_kinds_of_modules_and_packages_are_found_in_order_of_their_names(package: Path) -> None:
    (package / "pets.py").write_text(KIND.format("dog", "dogs") + KIND.format("cat", "cats"))
    (package / "sub").mkdir()
    (package / "sub" / "__init__.py").write_text(KIND.format("bird", "birds"))

    assert list(find_kinds(package.name)) == ["bird", "cat", "dog"]


def test_a_kind_that_several_modules_name_is_one(package: Path) -> None:
    (package / "pets.py").write_text(KIND.format("dog", "dogs"))
    (package / "again.py").write_text(f"from {package.name}.pets import dog\n")

    assert list(find_kinds(package.name)) == ["dog"]


@pytest.mark.parametrize("name", ["nothing_like_this", "nothing.like.this", "os.path.nothing", "not a name", "..", ""])
def test_a_package_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(UpgradersNotFoundError) as caught:
        find_kinds(name)

    assert caught.value.package == name


def test_a_package_without_kinds_is_told(package: Path) -> None:
    with pytest.raises(UpgradersNotFoundError) as caught:
        find_kinds(package.name)

    assert caught.value.reason == "holds no Kind"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\ny = x.z\n", 2, "AttributeError"),
        ("\ndef f(:\n", 2, "SyntaxError"),
        ("\n\nraise SystemExit(0)\n", 3, "SystemExit"),
        ("import nothing_like_this\n", 1, "ModuleNotFoundError"),
        ("import json\n\njson.loads('{')\n", 3, "JSONDecodeError"),
    ],
)
@pytest.mark.parametrize("module", ["__init__.py", "broken.py"])
def test_a_broken_module_is_told_with_its_file_and_line(
    package: Path, module: str, text: str, line: int, reason: str
) -> None:
    (package / module).write_text(text)

    with pytest.raises(KindModuleError) as caught:
        find_kinds(package.name)

    assert caught.value.file == f"{package.name}/{module}"
    assert caught.value.line == line
    assert caught.value.reason.startswith(reason)


def test_every_fault_is_told_at_once(package: Path) -> None:
    (package / "one.py").write_text("1 / 0\n")
    (package / "two.py").write_text(KIND.format("dog", "dogs") + KIND.format("cat", "dogs"))
    (package / "three").mkdir()
    (package / "three" / "__init__.py").write_text(
        'from docstore import Document, Kind\nk = Kind("k", collection="k", model=Document, package=__name__)\n'
    )
    (package / "three" / "v0002_broken.py").write_text("x = 1\n")

    with pytest.raises(KindDefinitionError) as caught:
        find_kinds(package.name)

    assert caught.value.subgroup(KindModuleError) is not None
    assert caught.value.subgroup(CollectionSharedError) is not None
    assert caught.value.subgroup(StepFileError) is not None


def test_two_kinds_of_one_name_are_told(package: Path) -> None:
    (package / "one.py").write_text(KIND.format("dog", "dogs"))
    (package / "two.py").write_text(KIND.format("dog", "others"))

    with pytest.raises(StepContentError) as caught:
        find_kinds(package.name)

    assert caught.value.kind == "dog"


def test_an_unknown_kind_is_told_with_those_that_there_are(package: Path) -> None:
    (package / "pets.py").write_text(KIND.format("dog", "dogs"))

    with pytest.raises(UnknownKindError) as caught:
        kind_named("cat", find_kinds(package.name), where="here")

    assert (caught.value.kind, caught.value.known) == ("cat", ("dog",))
