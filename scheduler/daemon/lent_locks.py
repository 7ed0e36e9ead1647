"""Locks that this process holds for jobs, whose runners have no ledger: one thread per lock, from its wait to its release."""

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from scheduler.daemon.answers import Answer, answered, no_thread
from scheduler.errors import LockTimeout
from scheduler.executors.python.wire import Ask
from scheduler.ledger import named_locks
from scheduler.ledger.engine import Ledger

#: Locks that jobs hold or wait for at a time; each has a thread.
_MOST = 200


@dataclass(slots=True, eq=False)
class _Lent:
    """A lock, or the wait for it, until it is given back (`back` is the request) or its holder has ended."""

    is_over: threading.Event = field(default_factory=threading.Event)
    back: tuple[Ask, Answer] | None = None


class LentLocks:
    """Thread-safe. All methods return at once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._lent: dict[tuple[int, int, int], _Lent] = {}  #: by runner, process, and number of the request
        self._threads = 0

    def take(self, runner: int, ask: Ask, answer: Answer) -> None:
        """Take a lock for a process of that runner; the response is sent when the process has the lock, or does not get it."""
        key = runner, ask.pid, ask.number
        with self._lock:
            is_full = self._threads >= _MOST
            if not is_full:
                self._threads += 1
                lent = self._lent[key] = _Lent()
        if is_full:
            answer(answered(ask, _too_many))
            return
        words = (key, lent, ask, answer)
        thread = threading.Thread(target=self._lend, args=words, name=f"lock {ask.given['name']}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                self._lent.pop(key, None)
                self._threads -= 1
            answer(answered(ask, partial(no_thread, error)))

    def give_back(self, runner: int, ask: Ask, answer: Answer) -> None:
        """Release the lock of a process, or end its wait; the response is sent when that is done."""
        with self._lock:
            lent = self._lent.get((runner, ask.pid, ask.given["lock"]))
        if lent is None:
            answer(answered(ask, lambda: None))
        else:
            lent.back = ask, answer
            lent.is_over.set()

    def gone(self, runner: int, pid: int) -> None:
        """Release all locks of a process that has ended; if it is the runner, also those of all that it has forked."""
        with self._lock:
            ended = [key for key in self._lent if key[0] == runner and pid in (runner, key[1])]
            for key in ended:  # another process may get these numbers while the wait goes on
                self._lent.pop(key).is_over.set()

    def _lend(self, key: tuple[int, int, int], lent: _Lent, ask: Ask, answer: Answer) -> None:
        try:
            self._take_and_give_back(key, lent, ask, answer)
        finally:
            with self._lock:
                self._threads -= 1

    def _take_and_give_back(self, key: tuple[int, int, int], lent: _Lent, ask: Ask, answer: Answer) -> None:
        held = []
        said = answered(ask, lambda: held.append(named_locks.acquire(self._ledger, **ask.given)))
        answer(said)
        if held:
            lent.is_over.wait()
        with self._lock:
            if self._lent.get(key) is lent:
                del self._lent[key]
        back = lent.back
        if held and back is not None:
            back[1](answered(back[0], held[0]))
        elif held:
            answered(ask, held[0])


def _too_many() -> NoReturn:
    """
    Raise that the lock was not taken.

    Raises:
        LockTimeout: always.
    """
    hint = "hold locks for less, or let fewer jobs wait for one"
    raise LockTimeout(f"the lock was not waited for: jobs hold, or wait for, {_MOST} locks already", hint=hint)
