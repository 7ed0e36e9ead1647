"""What an application asks of the daemon, as an operator would: run a job, pause it, resume it."""

from collections.abc import Mapping
from typing import Any

from tminus.clock import SystemClock
from tminus.errors import UsageError
from tminus.executors.python import daemon_client
from tminus.flask.ledgers import ledger, without_cause
from tminus.instants import MS, SECOND

#: How long to wait for the daemon's answer.
_ANSWERS_NS = 5 * SECOND
_LOOK_NS = 50 * MS


def ask(kind: str, body: Mapping[str, Any], *, by: str) -> Mapping[str, Any] | None:
    """
    Ask the daemon for something.

    Args:
        kind: A `RequestKind`.
        body: As the operation of that kind makes it.
        by: Who asks.

    Returns:
        The answer. None if no daemon runs, or it has not answered within 5 s: the request waits.

    Raises:
        UsageError: the daemon refuses.
        LedgerError: the ledger does not work.
    """
    request = _do("ask", kind=kind, body=body, by=by)
    if request is None:
        return None
    until_ns = SystemClock.monotonic_ns() + _ANSWERS_NS
    while (answer := _do("find_answer", request=request)) is None:
        if SystemClock.monotonic_ns() > until_ns:
            return None
        SystemClock.pause(_LOOK_NS)
    if "error" in answer:
        raise UsageError(str(answer["error"]), hint=answer.get("hint"))
    found: Mapping[str, Any] = answer
    return found


def _do(what: str, **given: Any) -> Any:
    """Call a function of `operations.ask`. For a job, the daemon calls it; otherwise this process does."""
    if daemon_client.current is not None:
        return daemon_client.current.send_request(what, given)
    from tminus.operations import ask as operation

    with without_cause():
        if what == "ask":
            return operation.ask(ledger(), **given)
        return operation.find_answer(ledger(), **given)
