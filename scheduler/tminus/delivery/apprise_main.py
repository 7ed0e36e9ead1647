"""
The program that sends one message with Apprise: the message on stdin, the reason of a failure on stdout.
"""

import json
import logging
import os
import signal
import sys

from tminus.delivery.apprise_process import TIMEOUT_S

_NICE = 10


def main() -> int:
    """Send the message; return 0 if it was sent."""
    signal.alarm(TIMEOUT_S + 5)  # if the daemon is killed, nobody else ends this process
    os.nice(_NICE)
    message = json.load(sys.stdin)
    import apprise  # slow

    service = apprise.Apprise()
    if not service.add(message["url"]):
        sys.stdout.write("Apprise does not understand this URL")
        return 1
    reasons = _Reasons()
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.addHandler(reasons)
    if service.notify(
        body=message["body"] or message["title"], title=message["title"], notify_type=message["type"]
    ):
        return 0
    sys.stdout.write(" ".join("; ".join(reasons.texts).split()))
    return 1


class _Reasons(logging.Handler):
    """Collects what Apprise says."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


if __name__ == "__main__":
    sys.exit(main())
