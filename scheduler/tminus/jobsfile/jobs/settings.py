"""The section `daemon:` as `model.DaemonSettings`."""

from typing import Any

from tminus.jobsfile.jobs.schema import DaemonSpec
from tminus.model.definitions import DaemonSettings, History


def daemon_settings(daemon: DaemonSpec | None) -> DaemonSettings:
    """Return the settings. A missing key has the value that `DaemonSettings` has for it."""
    if daemon is None:
        return DaemonSettings()
    values: dict[str, Any] = {
        "lead_ns": daemon.lead,
        "lanes": daemon.lanes,
        "max_connections": daemon.max_connections,
        "priority": daemon.priority,
        "shutdown_grace_ns": daemon.shutdown_grace,
        "ledger_group": daemon.ledger_group,
        "reload": daemon.reload,
        "notify": None if daemon.notify is None else tuple(daemon.notify),
    }
    if daemon.history:
        kept: dict[str, Any] = {
            "keep_ns": daemon.history.keep,
            "keep_last": daemon.history.keep_last,
            "body": daemon.history.body,
            "max_body": daemon.history.max_body,
        }
        values["history"] = History(**{key: value for key, value in kept.items() if value is not None})
    return DaemonSettings(**{key: value for key, value in values.items() if value is not None})
