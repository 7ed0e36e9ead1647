"""
Locks that this process holds for jobs, because their runners have no ledger. Each lock has a thread, from its
wait to its release.
"""

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from tminus.daemon.processes.job_responses import SendResponse, raise_no_thread, to_response
from tminus.errors import LockTimeout
from tminus.executors.protocol import JobRequest
from tminus.ledger import named_locks
from tminus.ledger.engine import Ledger

#: Locks that jobs hold or wait for at a time; each has a thread.
_MOST = 200


@dataclass(slots=True, eq=False)
class _JobLock:
    """
    A lock that a job holds or waits for.

    Attributes:
        is_ended: Set when the lock is to be released: by a request, or because its holder has ended.
        release_request: That request.
    """

    is_ended: threading.Event = field(default_factory=threading.Event)
    release_request: tuple[JobRequest, SendResponse] | None = None


class JobLocks:
    """Locks held for jobs. Thread-safe. All methods return at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        #: The locks by runner, process, and number of the request.
        self._locks: dict[tuple[int, int, int], _JobLock] = {}
        self._threads = 0

    def take(self, runner: int, request: JobRequest, respond: SendResponse) -> None:
        """
        Take a lock for a process of that runner. The response is sent when it has the lock, or cannot get it.
        """
        key = runner, request.pid, request.number
        with self._lock:
            is_full = self._threads >= _MOST
            if not is_full:
                self._threads += 1
                lock = self._locks[key] = _JobLock()
        if is_full:
            respond(to_response(request, _too_many))
            return
        arguments = (key, lock, request, respond)
        thread = threading.Thread(
            target=self._run, args=arguments, name=f"lock {request.given['name']}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                self._locks.pop(key, None)
                self._threads -= 1
            respond(to_response(request, partial(raise_no_thread, error)))

    def release(self, runner: int, request: JobRequest, respond: SendResponse) -> None:
        """Release the lock of a process, or end its wait. The response is sent when it is released."""
        with self._lock:
            lock = self._locks.get((runner, request.pid, request.given["lock"]))
        if lock is None:
            respond(to_response(request, lambda: None))
        else:
            lock.release_request = request, respond
            lock.is_ended.set()

    def end_process(self, runner: int, pid: int) -> None:
        """
        Release all locks of a process that has ended. If it is the runner, release those of its child
        processes, too.
        """
        with self._lock:
            ended = [key for key in self._locks if key[0] == runner and pid in (runner, key[1])]
            for key in ended:  # another process may get the same numbers while the wait goes on
                self._locks.pop(key).is_ended.set()

    def _run(
        self, key: tuple[int, int, int], lock: _JobLock, request: JobRequest, respond: SendResponse
    ) -> None:
        try:
            self._hold(key, lock, request, respond)
        finally:
            with self._lock:
                self._threads -= 1

    def _hold(
        self, key: tuple[int, int, int], lock: _JobLock, request: JobRequest, respond: SendResponse
    ) -> None:
        held = []  # the function that releases the lock; empty if the lock was not taken
        response = to_response(
            request, lambda: held.append(named_locks.acquire(self._ledger, **request.given))
        )
        respond(response)
        if held:
            lock.is_ended.wait()
        with self._lock:
            if self._locks.get(key) is lock:
                del self._locks[key]
        if held:
            last_request, respond = lock.release_request or (request, lambda _: None)
            respond(to_response(last_request, held[0]))


def _too_many() -> NoReturn:
    """
    Raise that the lock was not taken.

    Raises:
        LockTimeout: always.
    """
    hint = "hold locks for less, or let fewer jobs wait for one"
    raise LockTimeout(
        f"the lock was not waited for: jobs hold, or wait for, {_MOST} locks already", hint=hint
    )
