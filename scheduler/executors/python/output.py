"""What a job prints and logs, told apart by context: a hundred threads share `sys.stdout` and do not mix."""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from contextvars import ContextVar

_FORMAT = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class Output:
    """
    The output of one job, bounded: its beginning and its end are kept, and how much is left out between them.

    Thread-safe, for a job may start threads that share its context.
    """

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._lock = threading.Lock()
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Add to it."""
        with self._lock:
            room = self._half - len(self._head)
            self._head += data[:room]
            self._tail += data[max(room, 0) :]
            if len(self._tail) > 2 * self._half:
                self._cut()

    def value(self) -> bytes:
        """All that is kept."""
        with self._lock:
            self._cut()
            between = f"\n… {self._left_out} bytes are left out …\n".encode() if self._left_out else b""
            return bytes(self._head) + between + bytes(self._tail)

    def _cut(self) -> None:
        if (over := len(self._tail) - self._half) > 0:
            self._left_out += over
            del self._tail[:over]


#: Whose output it is. Threads that a job starts have a context of their own, and write to the runner's.
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
        """A job that closes it closes it for nobody."""


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
        """As above."""


_STREAM = _Stream()


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            _STREAM.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  logging's own way to report it
            self.handleError(record)


def capture() -> None:
    """Route `sys.stdout`, `sys.stderr` and log records by context. Once, before any of the application is imported."""
    sys.stdout = sys.stderr = _STREAM
    log_to(_Records())


def log_to(handler: logging.Handler) -> None:
    """Have log records there, from INFO on, unless the application decides otherwise."""
    handler.setFormatter(_FORMAT)
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def restore() -> None:
    """Undo what a job may have done to the streams that all share."""
    if sys.stdout is not _STREAM or sys.stderr is not _STREAM:
        sys.stdout = sys.stderr = _STREAM
