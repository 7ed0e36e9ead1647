"""`scheduler.state`: values, counters and locks that the processes of an application share."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tminus.executors.python import daemon_client
from tminus.flask import ledgers
from tminus.flask.job_options import parse_duration_ns
from tminus.instants import SECOND

_LONGEST_NAME = 200
_LARGEST_VALUE = 64 * 1024
_LARGEST_STEP = 2**63 - 1
_LONGEST_WAIT_NS = 86_400 * SECOND


class State:
    """
    `Scheduler.state`: named values, counters and locks. All threads, web workers and jobs of one application
    share them; other applications have their own.

    Thread-safe. A value is JSON of at most 64 KiB; None stands for a name without a value. A change is
    durable when the call returns. Every method raises `TminusError` if the ledger does not work, and
    `TypeError` or `ValueError` for an invalid name or value.
    """

    def __init__(self, app: Callable[[], str]) -> None:
        self._app = app  #: called when the application's name is needed
        self._held = threading.local()  #: the names of the locks that a thread holds

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name; `default` if it has none."""
        found = self._do("get", name)
        return default if found is None else json.loads(found)

    def set(self, name: str, value: Any) -> None:
        """Set a name to a value. None removes the value."""
        self._do("set", name, value=_text(value))

    def incr(self, name: str, by: int = 1) -> int:
        """
        Add to a counter. A name without a value counts from 0. If the counter is only changed by calls
        with a positive `by`, no two of them return the same number.

        Returns:
            The new value.

        Raises:
            UsageError: the value is not an integer, or would not fit into 64 bits.
        """
        if type(by) is not int:
            raise TypeError(f"incr needs an integer; got {by!r}")
        if not -_LARGEST_STEP <= by <= _LARGEST_STEP:
            raise ValueError(f"a step of {by} does not fit into 64 bits")
        return int(self._do("incr", name, by=by))

    def compare_and_set(self, name: str, expected: Any, value: Any) -> bool:
        """
        Set a name to a value if it has the expected one. If several callers expect the same, one succeeds.

        Args:
            expected: The expected value, compared as JSON: 1, 1.0 and True differ. None: the name has no
                value.
            value: The new value. None removes the value.

        Returns:
            Whether the name had the expected value.
        """
        return bool(self._do("compare_and_set", name, expected=_text(expected), value=_text(value)))

    @contextmanager
    def lock(self, name: str, timeout: str | float = "10s") -> Iterator[None]:
        """
        Hold a lock while the block runs. It is also released when the process ends, however that happens.
        Waiters are not served in order.

        Args:
            timeout: The longest wait: a duration such as `5s`, or seconds; at most a day.

        Raises:
            LockTimeout: the lock was not free in time. It is a `TimeoutError`, too.
            RuntimeError: this thread holds the lock already.
        """
        timeout_ns, name = parse_duration_ns("timeout", timeout), _name(name)
        if timeout_ns > _LONGEST_WAIT_NS:
            raise ValueError(f"timeout is at most a day; got {timeout!r}")
        held: set[str] = self._held.__dict__.setdefault("names", set())
        if name in held:
            raise RuntimeError(f"this thread holds the lock {name!r} already")
        release = self._acquire(name, timeout_ns)
        held.add(name)
        try:
            yield
        finally:
            held.discard(name)
            release()

    def _acquire(self, name: str, timeout_ns: int) -> Callable[[], None]:
        if daemon_client.current is not None:
            return daemon_client.current.acquire(self._app(), name, timeout_ns)
        from tminus.ledger import named_locks

        return named_locks.acquire(ledgers.ledger(), self._app(), name, timeout_ns)

    def _do(self, operation: str, name: str, **arguments: Any) -> Any:
        arguments = {"app": self._app(), "name": _name(name), **arguments}
        if daemon_client.current is not None:
            return daemon_client.current.send_request(operation, arguments)
        from tminus.ledger import state

        return state.OPERATIONS[operation](ledgers.ledger(), **arguments)


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str; got {name!r}")
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable()):
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} printable characters; got {name!r:.60}")
    return name


def _text(value: Any) -> str | None:
    """Return the JSON of a value. The order of keys in the value does not change the text."""
    if value is None:
        return None
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except RecursionError:
        raise TypeError("the value is not JSON: it is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise TypeError(f"the value is not JSON: {error}") from None
    if len(text) > _LARGEST_VALUE:
        raise ValueError(
            f"a value has at most {_LARGEST_VALUE // 1024} KiB as JSON; this one has {len(text)} bytes"
        )
    return text
