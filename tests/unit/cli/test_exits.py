import pytest

from docstore import errors
from docstore.cli.exits import ExitCode, exit_code_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownKindError(kind="a", known=["b"], where="here"), 2),
        (errors.UpgradersNotFoundError(package="a", reason="b"), 2),
        (errors.VersionRangeError(kind="a", asked=9, floor=1, latest=2), 2),
        (errors.InvalidUriError(uri="a", reason="b"), 2),
        (errors.BackfillRefusedError(kind="a", reason="b"), 3),
        (errors.VersionGapError(kind="a", missing=[2]), 4),
        (errors.KindDefinitionError("a", [errors.VersionGapError(kind="a", missing=[2])], kind="a"), 4),
        (errors.StoreUnavailableError(reason="a"), 5),
        (errors.StoreRejectedError(reason="a"), 1),
    ],
)
def test_every_error_has_the_exit_code_of_what_to_do_about_it(error: errors.DocstoreError, code: int) -> None:
    assert exit_code_of(error) == ExitCode(code)
