"""Retries of writes that a locked or missing ledger did not take."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from tminus.errors import LedgerError, LedgerValueError

log = structlog.get_logger()

Result = TypeVar("Result")


class GivenUp(Exception):
    """The action did not succeed before it was too late, or before this process was to end."""


def retry_until(
    stop: threading.Event,
    action: Callable[[], Result],
    *,
    pause_s: float,
    is_too_late: Callable[[], bool] = lambda: False,
    **details: Any,
) -> Result:
    """
    Return the result of an action on the ledger. While the ledger does not work, log that and retry.

    Args:
        stop: Ends the retries when it is set.
        action: Must be safe to repeat even if the first call was durable.
        pause_s: The pause between two calls.
        is_too_late: Returns whether a further call is of no use.
        details: For the log line, such as `outcomes=3`.

    Raises:
        GivenUp: `stop` is set, or it is too late.
        LedgerValueError: the ledger works and does not take these values.
    """
    while True:
        try:
            return action()
        except LedgerValueError:
            raise
        except LedgerError as error:
            log.error("the ledger does not work, trying again", error=error.message, **details)
            if is_too_late() or stop.wait(pause_s):
                raise GivenUp from None
