"""Whether this process itself was stopped, so that nobody takes its executors for hanging because of that."""


class OwnPause:
    """
    Notices from late looks at the clock that this process was stopped: by SIGSTOP, or with its whole machine.
    Its executors may have been stopped with it.

    Args:
        most_ns: Looks are more frequent than this. After a pause, executors have this long to report.
    """

    def __init__(self, most_ns: int) -> None:
        self._most_ns = most_ns
        self._looked_ns: int | None = None
        self._over_at_ns = 0

    def is_over(self, now_ns: int) -> bool:
        """Note a look at the monotonic clock; return whether executors may be judged now."""
        if self._looked_ns is not None and now_ns - self._looked_ns > self._most_ns:
            self._over_at_ns = now_ns + self._most_ns
        self._looked_ns = now_ns
        return now_ns >= self._over_at_ns
