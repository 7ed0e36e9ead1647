"""`daemon:` as the daemon knows it."""

from typing import Any

from scheduler.jobsfile.language import Daemon
from scheduler.model.definitions import DaemonSettings, History


def daemon_settings(daemon: Daemon | None) -> DaemonSettings:
    """What is not given is as in `DaemonSettings`."""
    if daemon is None:
        return DaemonSettings()
    given: dict[str, Any] = {
        "lead_ns": _unless_auto(daemon.lead),
        "lanes": _unless_auto(daemon.lanes),
        "max_connections": _unless_auto(daemon.max_connections),
        "priority": daemon.priority,
        "shutdown_grace_ns": daemon.shutdown_grace,
        "ledger_group": daemon.ledger_group,
        "reload": daemon.reload,
    }
    if daemon.history:
        kept: dict[str, Any] = {"keep_ns": daemon.history.keep, "body": daemon.history.body, "max_body": daemon.history.max_body}
        given["history"] = History(**{key: value for key, value in kept.items() if value is not None})
    return DaemonSettings(**{key: value for key, value in given.items() if value is not None})


def _unless_auto(value: Any) -> Any:
    return None if value == "auto" else value
