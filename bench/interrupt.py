"""Asked to stop, leave no server, daemon or network namespace behind."""

import signal
import sys
from types import FrameType

_ASKED = (signal.SIGINT, signal.SIGTERM)


def leave_in_order() -> None:
    """From now on SIGINT and SIGTERM end the process by way of its `with` blocks; a second one does not interrupt them."""

    def leave(number: int, _frame: FrameType | None) -> None:
        for each in _ASKED:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in _ASKED:
        signal.signal(each, leave)
