"""An action on the ledger is repeated until it succeeds, it is too late, or the process is to end."""

import threading
from collections.abc import Callable

import pytest

from tminus.daemon.ledger_retry import GivenUp, retry_until
from tminus.errors import LedgerError, LedgerValueError


def failing(times: int, error: Exception) -> tuple[list[int], Callable[[], str]]:
    calls: list[int] = []

    def action() -> str:
        calls.append(len(calls))
        if len(calls) <= times:
            raise error
        return "written"

    return calls, action


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_the_action_is_called_until_it_succeeds(failures: int) -> None:
    calls, action = failing(failures, LedgerError("locked"))
    assert retry_until(threading.Event(), action, pause_s=0) == "written"
    assert len(calls) == failures + 1


@pytest.mark.parametrize("error", [LedgerValueError("half a character"), KeyError("a bug")])
def test_an_error_that_a_retry_does_not_mend_is_raised_at_once(error: Exception) -> None:
    calls, action = failing(1, error)
    with pytest.raises(type(error)):
        retry_until(threading.Event(), action, pause_s=0)
    assert len(calls) == 1


def test_a_process_that_is_to_end_gives_up_after_one_call() -> None:
    stop = threading.Event()
    stop.set()
    calls, action = failing(9, LedgerError("locked"))
    with pytest.raises(GivenUp):
        retry_until(stop, action, pause_s=60)
    assert len(calls) == 1


def test_a_call_that_is_too_late_is_not_repeated() -> None:
    calls, action = failing(9, LedgerError("locked"))
    with pytest.raises(GivenUp):
        retry_until(threading.Event(), action, pause_s=0, is_too_late=lambda: len(calls) == 2)
    assert len(calls) == 2
