"""The error table: every class says something of its own, to every reader."""

import errno

import pytest

from filmfs.core import errors
from filmfs.core.errors import FilmFSError, from_os_error

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FilmFSError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_exits_as_success_or_as_a_verification_result_of_asc_mhl(kind: type[FilmFSError]) -> None:
    assert 0 < kind.exit_code < 126
    assert kind.exit_code not in range(10, 34)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_an_errno_and_an_http_status_of_a_refusal(kind: type[FilmFSError]) -> None:
    assert kind.errno in errno.errorcode
    assert 400 <= kind.http_status < 600


def test_every_error_says_what_it_means_and_no_two_mean_the_same() -> None:
    meanings = [kind.__doc__ for kind in CLASSES]

    assert all(meanings)
    assert len(set(meanings)) == len(meanings)


def test_the_modules_own_table_names_every_error() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.NoSpace),
        (errno.EDQUOT, errors.NoSpace),
        (errno.EROFS, errors.ReadOnly),
        (errno.EACCES, errors.Refused),
        (errno.EPERM, errors.Refused),
        (errno.ENOENT, errors.NotFound),
        (errno.ENOTDIR, errors.NotADirectory),
        (errno.EISDIR, errors.IsADirectory),
        (errno.EEXIST, errors.Exists),
        (errno.EFBIG, errors.TooLarge),
        (errno.EIO, errors.DiskFailure),
        (errno.ENODEV, errors.DiskFailure),
    ],
)
def test_an_error_of_the_system_becomes_the_member_of_the_table_that_means_it(
    number: int, kind: type[FilmFSError]
) -> None:
    assert type(from_os_error(OSError(number, "words"), "copying")) is kind


def test_an_error_of_the_system_keeps_its_reason_its_file_and_what_was_being_done() -> None:
    error = from_os_error(OSError(errno.ENOSPC, "No space left on device", b"/card/\xff.mov"), "copying a source")

    assert str(error) == "copying a source: No space left on device (/card/\ufffd.mov)"


def test_an_error_of_the_system_without_a_number_is_a_failing_disk() -> None:
    assert type(from_os_error(OSError("odd"), "reading")) is errors.DiskFailure
