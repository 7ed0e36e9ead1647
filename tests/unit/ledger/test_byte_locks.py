"""Locks on bytes of the database's file, if the kernel or the file system fails."""

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tminus.errors import LedgerError
from tminus.ledger.byte_locks import ByteLocks

_OFFSET = 1 << 61


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "ledger.db"
    file.touch()
    return file


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Make each call of fcntl for a lock fail from now on, or work again."""
    original, fails = fcntl.fcntl, [False]

    def faulty(descriptor: int, command: int, argument: Any) -> Any:
        if fails[0]:
            raise OSError(errno.EIO, "Input/output error")
        return original(descriptor, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", faulty)

    def switch(is_on: bool) -> None:
        fails[0] = is_on

    return switch


def test_a_lock_that_could_not_be_unlocked_is_unlocked_with_the_next_one(
    path: Path, fail: Callable[[bool], None]
) -> None:
    first, waiter = ByteLocks(path), ByteLocks(path)
    assert first.take(_OFFSET)
    fail(True)
    first.close()
    fail(False)
    assert not waiter.take(_OFFSET)  # this look unlocks it
    assert waiter.take(_OFFSET)
    waiter.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.take(_OFFSET),
        lambda one: one.give_back(_OFFSET),
        lambda one: one.is_taken(_OFFSET, _OFFSET + 1),
    ],
    ids=["take", "give back", "is taken"],
)
def test_what_the_kernel_refuses_is_an_error_of_the_ledger(
    path: Path, fail: Callable[[bool], None], ask: Callable[[ByteLocks], object]
) -> None:
    locks = ByteLocks(path)
    fail(True)
    with pytest.raises(LedgerError, match="cannot be locked: Input/output error"):
        ask(locks)
    fail(False)
    locks.close()
