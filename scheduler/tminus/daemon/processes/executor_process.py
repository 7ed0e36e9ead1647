"""
The process of an executor: its pipes, its end, and the processes that its jobs have forked.

A pidfd shows its end. The end of a pipe does not, because a process that a job has forked may keep the other
end open.
"""

import collections
import contextlib
import fcntl
import io
import os
import select
import signal
import subprocess
import threading
from pathlib import Path
from typing import BinaryIO

from tminus.clock import Clock

#: At most this many commands wait for a process that does not read. If there are more, it is killed.
_MOST_WAITING = 1000
#: A process that has closed its pipe and does not end by itself within this is killed.
_END_MS = 2_000
_DIES_MS = 5_000


class ExecutorProcess:
    """
    A process with pipes for stdin and stdout, the leader of a session. Thread-safe.

    Args:
        process: A process that was just started. It belongs to this object now.
        name: The name of the executor, for the name of the thread that writes.

    Raises:
        OSError: there is no descriptor left to watch it with; it is killed.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", *, name: str, clock: Clock) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("it has no pipes")
        self.pid = process.pid
        self._process = process
        self._stdin = process.stdin
        self._clock = clock
        self._lock = threading.Lock()
        self._is_reaped = False
        self._commands = _Commands()
        self._unwritten_since_ns = 0  #: monotonic clock; 0 while the process has read everything
        self._writer = threading.Thread(target=self._write_all, name=f"writer {name}", daemon=True)
        try:
            self._end = _watched(process.pid, self._writer)
        except (OSError, RuntimeError) as error:
            process.kill()
            process.wait()
            _close(process)
            raise OSError(f"it cannot be watched: {error}") from error
        for pipe in (process.stdin, process.stdout):  # our ends; those of the process stay as they are
            os.set_blocking(pipe.fileno(), False)
        self.reports: BinaryIO = io.BufferedReader(_Reports(process.stdout.fileno(), self._end), 1 << 16)

    def put(self, frame: bytes, *, first: bool = False) -> bool:
        """
        Write a frame soon; return at once.

        Args:
            first: Whether it goes before all waiting commands that are not `first`.

        Returns:
            False if the process has ended, or is killed now because it has not read for too long.
        """
        if self._commands.put(frame, first=first):
            return True
        if self._commands.is_full:
            self.kill()
        return False

    def finish(self) -> None:
        """Let the process end by itself: close its stdin after the waiting frames. Returns at once."""
        self._commands.finish()

    def stuck_ns(self) -> int:
        """
        Return for how long the process has not read its commands, or has not ended although its stdin is
        closed.
        """
        since_ns = self._unwritten_since_ns
        return self._clock.monotonic_ns() - since_ns if since_ns else 0

    def kill(self) -> None:
        """Kill it, with what its jobs have forked into its process group; returns at once."""
        with self._lock:
            if not self._is_reaped:  # until then no other process can have its number
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(self._end, signal.SIGKILL)
                    os.killpg(self.pid, signal.SIGKILL)

    def end_session(self) -> None:
        """
        Kill it and all processes of its session, also those in a process group of their own.

        A process that has called setsid() is not among them.
        """
        self.kill()
        # If there is no descriptor for this, they live on, and the end of the process itself is noticed
        # anyway.
        with contextlib.suppress(OSError), self._lock, os.scandir("/proc") as entries:
            for pid in (int(entry.name) for entry in entries if entry.name.isdecimal()):
                if not self._is_reaped and pid != self.pid and _session_of(pid) == self.pid:
                    _kill_if_in_session(pid, self.pid)

    def wait(self) -> int | None:
        """
        Wait for its end, after its last report, and end the processes that its jobs have forked.

        Returns:
            Its exit status; None if it does not die, because the kernel holds it.
        """
        if not _has_ended(self._end, _END_MS):
            self.kill()
            _has_ended(self._end, _DIES_MS)
        self.end_session()
        self._commands.close()
        if not _has_ended(self._end, 0):
            return None  # its descriptors stay open: the thread that writes may still use them
        self._writer.join()
        with self._lock:
            status = self._process.wait()
            self._is_reaped = True
        os.close(self._end)
        _close(self._process)
        return status

    def _write_all(self) -> None:
        pipe = self._stdin.fileno()
        while frame := self._commands.take():
            left = memoryview(frame)
            while left:
                self._unwritten_since_ns = self._unwritten_since_ns or self._clock.monotonic_ns()
                try:
                    left = left[os.write(pipe, left) :]
                    self._unwritten_since_ns = 0
                except BlockingIOError:
                    if self._end in _ready(pipe, select.POLLOUT, self._end):
                        return
                except OSError:
                    self._commands.close()
                    return
        if not self._commands.is_closed:
            self._unwritten_since_ns = self._clock.monotonic_ns()
            self._stdin.close()


class _Commands:
    """Frames that wait to be written. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._first = collections.deque[bytes]()
        self._others = collections.deque[bytes]()
        self._is_finished = False
        self.is_closed = False
        self.is_full = False

    def put(self, frame: bytes, *, first: bool) -> bool:
        """Add a frame; return False if it will not be written."""
        with self._changed:
            self.is_full = self.is_full or len(self._first) + len(self._others) >= _MOST_WAITING
            if self.is_closed or self._is_finished or self.is_full:
                return False
            (self._first if first else self._others).append(frame)
            self._changed.notify()
            return True

    def take(self) -> bytes | None:
        """Wait for the next frame; return None if there is none left and none will come."""
        with self._changed:
            while not (self._first or self._others or self._is_finished or self.is_closed):
                self._changed.wait()
            waiting = self._first or self._others
            return waiting.popleft() if waiting and not self.is_closed else None

    def finish(self) -> None:
        """Accept no more frames; the waiting ones are written."""
        with self._changed:
            self._is_finished = True
            self._changed.notify()

    def close(self) -> None:
        """Accept and write no more frames."""
        with self._changed:
            self.is_closed = True
            self._changed.notify()


class _Reports(io.RawIOBase):
    """
    The output of a process, until it closes the pipe. If the process has ended, until the pipe is empty.
    """

    def __init__(self, pipe: int, end: int) -> None:
        self._pipe = pipe
        self._end = end
        #: Once the process has ended: the bytes still to read, at most as many as the pipe holds.
        self._left: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while self._left != 0:
            ready = _ready(self._pipe, select.POLLIN, self._end)
            if self._left is None and self._end in ready:
                self._left = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ)
            if self._pipe not in ready:
                return 0
            with contextlib.suppress(BlockingIOError):
                count = os.readv(self._pipe, [buffer[: self._left]])
                self._left = None if self._left is None else self._left - count
                return count
        return 0


def describe_exit(status: int | None) -> str:
    """Return for people how a process has ended; `status` as `ExecutorProcess.wait` returns it."""
    if status is None:
        return "it does not die"
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:  # a real-time signal
        return f"signal {-status}"


def _watched(pid: int, writer: threading.Thread) -> int:
    """Return a descriptor of this process, and start the thread that writes to it; or neither."""
    descriptor = os.pidfd_open(pid)
    try:
        writer.start()
    except RuntimeError:
        os.close(descriptor)
        raise
    return descriptor


def _kill_if_in_session(pid: int, session: int) -> None:
    with contextlib.suppress(OSError):
        process = os.pidfd_open(pid)
        try:
            if _session_of(pid) == session:  # and not another process with the same number
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def _session_of(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[3])


def _has_ended(end: int, timeout_ms: int) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def _ready(pipe: int, event: int, end: int) -> set[int]:
    """
    Wait until the pipe is ready or the process has ended; return which of the two descriptors are ready.
    """
    poll = select.poll()
    poll.register(pipe, event)
    poll.register(end, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll()}


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
