"""The output of a job, printed or logged. Jobs share `sys.stdout`; their context separates their output."""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from contextvars import ContextVar

_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class Output:
    """
    The output of one job, bounded: its beginning, its end, and how much is left out between them.

    Thread-safe, because a job may run threads in its context, for example with `asyncio.to_thread`.
    """

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Add data to the output."""
        with self._lock:
            room = self._half - len(self._head)
            self._head += data[:room]
            self._tail += data[max(room, 0) :]
            if len(self._tail) > 2 * self._half:
                self._cut()

    def value(self) -> bytes:
        """Return the output, as far as it is kept."""
        with self._lock:
            self._cut()
            between = f"\n… {self._left_out} bytes are left out …\n".encode() if self._left_out else b""
            return bytes(self._head) + between + bytes(self._tail)

    def _cut(self) -> None:
        if (over := len(self._tail) - self._half) > 0:
            self._left_out += over
            del self._tail[:over]


#: The output of this context. A `Thread` that a job starts has another context: it writes to the runner's
#: stderr.
current: ContextVar[Output | None] = ContextVar("output", default=None)


class _Stream(io.TextIOBase):
    """`sys.stdout` and `sys.stderr` of a runner."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        self.buffer = _Buffer()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.buffer.write(text.encode(self.encoding, self.errors))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]  # typeshed knows only Buffers
        self.write("".join(lines))

    def fileno(self) -> int:
        return 2

    def close(self) -> None:
        """Do nothing, because other jobs use it."""


class _Buffer(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # any buffer
        output = current.get()
        if output is not None:
            output.write(bytes(data))
        elif sys.__stderr__ is not None:
            sys.__stderr__.buffer.write(bytes(data))
            sys.__stderr__.buffer.flush()
        return len(data)

    def close(self) -> None:
        """Do nothing, as above."""


_STREAM = _Stream()


class _Records(logging.Handler):
    """Writes the records that no handler of the application writes to the same place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if _is_written_by_another(record, self):
                return
            _STREAM.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  logging's own way to report it
            self.handleError(record)


def _is_written_by_another(record: logging.LogRecord, own: logging.Handler) -> bool:
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        for handler in logger.handlers:
            # Flask's own handler has a stream that stands for the current one.
            if (
                handler is not own
                and record.levelno >= handler.level
                and getattr(handler, "stream", None) == _STREAM
            ):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def capture() -> None:
    """
    Route `sys.stdout`, `sys.stderr` and log records by context. Call this once, before the application is
    imported.
    """
    sys.stdout = sys.stderr = _STREAM
    log_to(_Records())


def log_to(handler: logging.Handler) -> None:
    """Send log records to this handler, from INFO on, unless the application decides otherwise."""
    handler.setFormatter(_FORMAT)
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def restore() -> None:
    """Undo what a job may have done to the streams that all jobs share."""
    if sys.stdout is not _STREAM or sys.stderr is not _STREAM:
        sys.stdout = sys.stderr = _STREAM
