"""Requests of an application's code: the daemon executes them like those of an operator's commands."""

from collections.abc import Mapping
from typing import Any

from tminus.clock import SystemClock
from tminus.ledger import requests
from tminus.ledger.engine import Ledger
from tminus.ledger.requests import RequestKind
from tminus.operations.running_daemon import daemon_of

#: What the code of an application may ask for.
_KINDS = frozenset({RequestKind.RUN_NOW, RequestKind.PAUSE, RequestKind.RESUME})


def ask(ledger: Ledger, *, kind: str, body: Mapping[str, Any], by: str) -> str | None:
    """
    Write a request. It is durable when this returns.

    Args:
        kind: A `RequestKind` that applications may use.
        body: As its operation makes it.
        by: Who asks.

    Returns:
        The id of the request; None if no daemon runs: then the request waits in the ledger until one starts.

    Raises:
        LedgerError: the request is not durable.
        ValueError: applications may not ask for this.
    """
    if kind not in _KINDS:
        raise ValueError(f"an application cannot ask for {kind!r}")
    now_ns = SystemClock.wall_ns()
    request = requests.add_request(ledger, RequestKind(kind), body, now_ns=now_ns, by=by)
    return request.id if daemon_of(ledger, now_ns) is not None else None


def find_answer(ledger: Ledger, *, request: str) -> Mapping[str, Any] | None:
    """
    Return the daemon's answer to a request, by its id; None if there is none yet.

    Raises:
        NotFound: there is no such request.
        LedgerError: the ledger does not work.
    """
    return requests.get_request(ledger, request).answer
