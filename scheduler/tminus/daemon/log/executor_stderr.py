"""The stderr of executors and their jobs, apart from captured output: logged line by line, up to a limit."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tminus.clock import Clock, SystemClock
from tminus.daemon.log.log_writer import Item
from tminus.instants import MS, SECOND

#: Bytes of one read. A longer line is logged in pieces, each up to twice this long.
_LONGEST_LINE = 64 << 10
#: Bytes that one process may log in a second; further lines are dropped and counted.
_MOST_BYTES = 256 << 10
#: While lines are dropped, the daemon waits this long between two reads: a process that never stops writing
#: is slowed down.
_REST_S = 0.005


@contextmanager
def logged(name: str, put: Callable[[Item], None], clock: Clock | None = None) -> Iterator[int]:
    """
    Yield a descriptor for the stderr of a process that is started inside. It is closed here afterwards.

    Args:
        name: The name of the executor.
        put: Takes the lines, on a thread that ends when no process has the descriptor open any more.

    Raises:
        OSError: there is no descriptor left.
        RuntimeError: there is no thread left.
    """
    read_end, write_end = os.pipe()
    lines = _Lines(name, put, clock or SystemClock())
    try:
        threading.Thread(target=lines.read, args=(read_end,), name=f"stderr {name}", daemon=True).start()
    except RuntimeError:
        os.close(read_end)
        os.close(write_end)
        raise
    try:
        yield write_end
    finally:
        os.close(write_end)


class _Lines:
    """The lines of one pipe, up to a limit. Belongs to one thread."""

    def __init__(self, name: str, put: Callable[[Item], None], clock: Clock) -> None:
        self._name = name
        self._put = put
        self._clock = clock
        self._until_ns = self._left = self._dropped = 0

    def read(self, pipe: int) -> None:
        """Log the lines that come, until the pipe ends; then close it."""
        poll, rest, resting = select.poll(), b"", threading.Event()
        poll.register(pipe, select.POLLIN)
        try:
            while True:
                wait_ns = self._until_ns - self._clock.monotonic_ns()
                # Once the second is over, log how many were dropped, even if no line comes any more.
                if self._dropped and (wait_ns <= 0 or not poll.poll(wait_ns // MS + 1)):
                    self._log_dropped()
                if not (chunk := os.read(pipe, _LONGEST_LINE)):
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._log(line)
                if self._dropped:
                    resting.wait(_REST_S)
            if rest:
                self._log(rest)
            self._log_dropped()
        finally:
            os.close(pipe)

    def _log(self, line: bytes) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._until_ns:
            self._until_ns, self._left = now_ns + SECOND, _MOST_BYTES
        self._left -= len(line) + 1
        if self._left >= 0:
            self._put({"level": "info", "output": line.decode(errors="backslashreplace")})
        else:
            self._dropped += 1

    def _log_dropped(self) -> None:
        if dropped := self._dropped:
            self._dropped = 0
            why = "the executor and its jobs wrote too much to stderr"
            self._put(
                {
                    "level": "warning",
                    "event": f"{dropped} lines of output were dropped: {why}",
                    "executor": self._name,
                }
            )
