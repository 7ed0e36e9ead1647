"""The test for a lack of descriptors: another error of the system is not taken for one."""

import errno
import os
from typing import NoReturn

import pytest

from tminus.executors.http.fd_exhaustion import fd_exhaustion_errno


@pytest.mark.parametrize(
    ("error", "found"),
    [(errno.EMFILE, errno.EMFILE), (errno.ENFILE, errno.ENFILE), (errno.ENOMEM, 0), (errno.EACCES, 0)],
)
def test_only_a_lack_of_descriptors_is_reported(
    error: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "open", refuse)
    assert fd_exhaustion_errno() == found


def test_with_descriptors_left_there_is_none() -> None:
    assert fd_exhaustion_errno() == 0
