"""
The reader of files that jobs name. Each read has a thread of its own, because a file system may hang. A file
that hangs delays its batch by half a second at most, and by 50 ms for each further one.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field

from tminus.clock import Clock
from tminus.instants import MS, SECOND
from tminus.secrets.files import HANGS, CannotRead, FileContent, read_file

#: The time limit for all reads of a batch together, and that of each read after the first limit is reached.
_TOGETHER_NS = 500 * MS
_EACH_NS = 50 * MS
#: A read that has not returned after this time hangs: no batch waits for it.
_HANGS_AFTER_NS = _TOGETHER_NS
#: At most this many reads at the same time, because a thread whose file system hangs cannot be ended.
_MOST = 64

#: As `read_file`.
Read = Callable[..., FileContent]


@dataclass(slots=True)
class _Reading:
    began_ns: int
    content: "Future[FileContent]" = field(default_factory=Future)


class FileReader:
    """A reader with a thread for each file. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._readings: dict[tuple[str, int], _Reading] = {}  #: by path and limit

    def for_batch(self) -> Read:
        """Return `read_file` for one batch: it reads each file once, within the time limits of a batch."""
        until_ns = self._clock.monotonic_ns() + _TOGETHER_NS
        known: dict[tuple[str, int], Future[FileContent]] = {}
        hanging: set[tuple[str, int]] = set()

        def read(path: str, *, limit: int) -> FileContent:
            file = path, limit
            if file in hanging:
                raise CannotRead(HANGS)
            if file not in known:
                known[file] = self._start(path, limit)
            wait_ns = max(until_ns - self._clock.monotonic_ns(), _EACH_NS)
            try:
                return known[file].result(wait_ns / SECOND)
            except NotInTime:
                hanging.add(file)
                raise CannotRead(HANGS) from None

        return read

    def _start(self, path: str, limit: int) -> "Future[FileContent]":
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            reading = self._readings.get((path, limit))
            if reading is not None and now_ns - reading.began_ns > _HANGS_AFTER_NS:
                raise CannotRead(HANGS)
            if reading is None and len(self._readings) >= _MOST:
                raise CannotRead(f"{_MOST} other files hang, and no more are read")
            if reading is None:
                reading = _Reading(now_ns)
                threading.Thread(
                    target=self._read, args=(path, limit, reading), name="read-file", daemon=True
                ).start()
                self._readings[path, limit] = reading
        return reading.content

    def _read(self, path: str, limit: int, reading: _Reading) -> None:
        content, failure = None, None
        try:
            content = read_file(path, limit=limit)
        except BaseException as error:  # noqa: BLE001  the waiting thread raises it
            failure = error
        with self._lock:
            del self._readings[path, limit]
        if content is not None:
            reading.content.set_result(content)
        else:
            reading.content.set_exception(failure)
