"""The application to which a call of `submit` or of the shared state belongs."""

import os
from typing import Protocol
from weakref import WeakSet

from tminus.errors import UsageError
from tminus.executors.python import daemon_client
from tminus.flask.copy_rules import CopyRules


class SchedulerSettings(Protocol):
    """The settings of a `Scheduler` for the background runs of its application."""

    app: str | None
    copy_rules: CopyRules


#: The `Scheduler` objects of this process.
schedulers: WeakSet[SchedulerSettings] = WeakSet()


def current_scheduler() -> SchedulerSettings | None:
    """
    Return the `Scheduler` of the current application, otherwise the only one of this process; None if there
    is none, or if there are several.
    """
    from flask import current_app, has_app_context

    if has_app_context() and (own := current_app.extensions.get("tminus")):
        return own  # type: ignore[no-any-return]
    made = list(schedulers)
    return made[0] if len(made) == 1 else None


def app_name(scheduler: SchedulerSettings | None) -> str:
    """
    Return the name of the application: that of its `Scheduler`, otherwise `$TMINUS_APP`, otherwise the only
    one in the ledger.

    Raises:
        UsageError: the name cannot be determined.
        LedgerError: the ledger does not work.
    """
    if scheduler is not None and scheduler.app:
        return scheduler.app
    if named := os.environ.get("TMINUS_APP"):
        return named
    if daemon_client.current is not None:
        found = "this job runs outside of any application"
    else:
        from tminus.flask.ledgers import ledger
        from tminus.ledger import submissions

        known = submissions.known_apps(ledger())
        if len(known) == 1:
            return known[0]
        found = f"the ledger has several: {', '.join(known)}" if known else "no daemon has listed any"
    raise UsageError(
        f"cannot determine the application: {found}",
        hint="write Scheduler(app=NAME) with its name under apps:, or set $TMINUS_APP",
    )
