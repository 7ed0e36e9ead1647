"""
The writer of log lines, on a thread of its own. If nothing reads them, or the disk is full, lines are lost
and no job is delayed.
"""

import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from tminus.clock import SystemClock

#: An event.
Item = MutableMapping[str, Any]

#: At most this many items wait; later ones are dropped and counted.
_MOST = 5_000


class LogWriter:
    """
    The thread that writes log lines, and its queue. Thread-safe.

    Args:
        render: Returns an event as text, without a line break at its end.
        descriptor: Where lines go; None: to `sys.stderr`, which has no descriptor.
    """

    def __init__(self, render: Callable[[MutableMapping[str, Any]], str], descriptor: int | None) -> None:
        self._render = render
        self._descriptor = descriptor
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._dropped_at_ns: int | None = None
        self._is_writing = False
        threading.Thread(target=self._write_all, name="log-writer", daemon=True).start()

    def put(self, item: Item) -> None:
        """Write an event soon; return at once."""
        with self._changed:
            if len(self._items) >= _MOST:
                self._dropped += 1
                self._dropped_at_ns = SystemClock.monotonic_ns()
            else:
                self._items.append(item)
                self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is written, at most this long; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._items and not self._is_writing, timeout_s)

    def has_dropped(self, within_ns: int) -> bool:
        """Whether lines were dropped in that time before now."""
        at_ns = self._dropped_at_ns
        return at_ns is not None and SystemClock.monotonic_ns() - at_ns < within_ns

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items)
                item, dropped, self._dropped = self._items.popleft(), self._dropped, 0
                self._is_writing = True
            self._write(item)
            if dropped:
                self._write(
                    {"level": "warning", "event": f"{dropped} log lines were dropped: the log was not read"}
                )
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()

    def _write(self, item: Item) -> None:
        try:
            text = self._render(item)
        except Exception as error:  # noqa: BLE001  a value whose repr raises loses its line
            text = f"a log line cannot be rendered ({type(error).__name__})"
        with suppress(OSError, ValueError):  # the reader has gone, the disk is full, the stream is closed
            if self._descriptor is not None:
                self._write_bytes(f"{text}\n".encode(errors="backslashreplace"), self._descriptor)
            elif sys.stderr is not None:
                sys.stderr.write(f"{text}\n")
                sys.stderr.flush()

    def _write_bytes(self, data: bytes, descriptor: int) -> None:
        # Not through `sys.stderr`: its lock would be held while a write blocks.
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                select.select([], [descriptor], [])
