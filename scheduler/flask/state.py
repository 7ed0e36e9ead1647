"""`scheduler.state`: what an application's processes share, in the ledger instead of a module's globals."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scheduler.executors.python import pipe
from scheduler.flask import handover
from scheduler.flask.words import span_ns
from scheduler.instants import SECOND

_LONGEST_NAME = 200
_LARGEST_VALUE = 64 * 1024
_LARGEST_STEP = 2**63 - 1
_LONGEST_WAIT_NS = 86_400 * SECOND


class State:
    """
    Values, counters and locks by name, the same ones in all threads, web workers and jobs of one application, and no other's.

    Thread-safe. A value is JSON of at most 64 KiB; None is a name that is not there. What a call has changed is durable when it
    returns. All of it raises `TminusError` where the ledger cannot be reached, and `TypeError` or `ValueError` for a name or a
    value that cannot be.

    Args:
        app: The application's name, asked when it is needed.
    """

    def __init__(self, app: Callable[[], str]) -> None:
        self._app = app
        self._mine = threading.local()

    def get(self, name: str, default: Any = None) -> Any:
        """The value of that name; `default` where there is none."""
        found = self._ask("get", name)
        return default if found is None else json.loads(found)

    def set(self, name: str, value: Any) -> None:
        """Give it that value, whatever it had; None takes it away."""
        self._ask("set", name, value=_text(value))

    def incr(self, name: str, by: int = 1) -> int:
        """
        Count, from 0 on; no two calls get the same number for the same step.

        Returns:
            What it stands at now.

        Raises:
            UsageError: its value is no integer, or would not fit into 64 bits.
        """
        if type(by) is not int:
            raise TypeError(f"incr counts in whole numbers; got {by!r}")
        if not -_LARGEST_STEP <= by <= _LARGEST_STEP:
            raise ValueError(f"a step of {by} does not fit into 64 bits")
        return int(self._ask("incr", name, by=by))

    def compare_and_set(self, name: str, expected: Any, value: Any) -> bool:
        """
        Give it that value if it has the expected one; of several who try it at once one succeeds.

        Args:
            expected: As JSON has it: 1, 1.0 and True are three values. None: the name is not there.

        Returns:
            Whether it had.
        """
        return bool(self._ask("compare_and_set", name, expected=_text(expected), value=_text(value)))

    @contextmanager
    def lock(self, name: str, timeout: str | float = "10s") -> Iterator[None]:
        """
        Hold a lock while the block runs; it is let go with the process, too, however that ends. Who waits is not served in order.

        Args:
            timeout: How long to wait for it: a duration such as `5s`, or seconds.

        Raises:
            TimeoutError: it was not free in time; a `LockTimeout`, to be exact.
            RuntimeError: this thread holds it already.
        """
        timeout_ns, name = span_ns("timeout", timeout), _name(name)
        if timeout_ns > _LONGEST_WAIT_NS:
            raise ValueError(f"a lock is waited for at most a day; got {timeout!r}")
        mine: set[str] = self._mine.__dict__.setdefault("locks", set())
        if name in mine:
            raise RuntimeError(f"this thread holds the lock {name!r} already")
        give_back = self._acquire(name, timeout_ns)
        mine.add(name)
        try:
            yield
        finally:
            mine.discard(name)
            give_back()

    def _acquire(self, name: str, timeout_ns: int) -> Callable[[], None]:
        if pipe.current is not None:
            return pipe.current.acquire(self._app(), name, timeout_ns)
        from scheduler.ledger import named_locks

        return named_locks.acquire(handover.ledger(), self._app(), name, timeout_ns)

    def _ask(self, what: str, name: str, **given: Any) -> Any:
        given = {"app": self._app(), "name": _name(name), **given}
        if pipe.current is not None:
            return pipe.current.ask(what, given)
        from scheduler.ledger import state

        return state.OPERATIONS[what](handover.ledger(), **given)


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a name is text; got {name!r}")
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} printable characters; got {name!r:.60}")
    return name


def _text(value: Any) -> str | None:
    """As the ledger has it: what is equal is the same text."""
    if value is None:
        return None
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the value is not JSON: {error}") from None
    if len(text) > _LARGEST_VALUE:
        raise ValueError(f"a value has at most {_LARGEST_VALUE // 1024} KiB as JSON; this one has {len(text)} bytes")
    return text
