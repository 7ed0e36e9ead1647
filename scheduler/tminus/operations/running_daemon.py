"""The daemon that runs on a ledger. This module is small, because most commands of an operator import it."""

from collections.abc import Callable

from tminus.ledger import instances
from tminus.ledger.engine import Ledger
from tminus.ledger.instances import Instance
from tminus.ledger.lock import is_held


def daemon_of(ledger: Ledger, now_ns: int) -> Instance | None:
    """Return the daemon that runs on this ledger now."""
    return _daemon(ledger, lambda latest: latest.is_fresh(now_ns))


def stopping_daemon_of(ledger: Ledger, now_ns: int) -> Instance | None:
    """Return the daemon on this ledger if it is stopping."""
    return _daemon(ledger, lambda latest: latest.is_stopping(now_ns))


def _daemon(ledger: Ledger, is_wanted: Callable[[Instance], bool]) -> Instance | None:
    latest = instances.latest(ledger)
    is_it = latest is not None and latest.kind == "daemon" and is_wanted(latest) and is_held(ledger)
    return latest if is_it else None
