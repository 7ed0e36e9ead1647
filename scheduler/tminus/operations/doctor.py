"""Doctor: checks whether this machine can start jobs on time."""

import ctypes
import os
import platform
import resource
import ssl
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from tminus import __version__
from tminus.errors import NoLedger, TminusError
from tminus.executors.http import descriptors
from tminus.executors.http.libcurl_version import libcurl_version
from tminus.executors.http.priming_check import priming_works
from tminus.ledger.engine import Ledger
from tminus.release import priority

_FEW_CONNECTIONS = 1_000
#: adjtimex(2): the clock is not synchronized.
_TIME_ERROR = 5
#: The first SQLite without the WAL-reset bug, sqlite.org/wal.html.
_SOUND_SQLITE = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    status: Literal["ok", "warn", "fail"]
    message: str
    hint: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """Return the JSON that `tminus doctor --json` prints."""
        return {"check": self.check, "status": self.status, "message": self.message, "hint": self.hint}


def examine(open_ledger: Callable[[], Ledger]) -> list[Finding]:
    """
    Make all checks.

    Args:
        open_ledger: Opens the ledger without creating one.
    """
    return [
        _versions(),
        _priming(),
        _realtime(),
        _connections(),
        _clock(),
        _zones(),
        _authorities(),
        _ledger(open_ledger),
    ]


def _versions() -> Finding:
    text = f"tminus {__version__}, python {platform.python_version()}, {libcurl_version()}"
    return Finding("versions", "ok", text)


def _priming() -> Finding:
    try:
        works = priming_works()
    except OSError as error:
        return Finding(
            "priming",
            "fail",
            f"cannot open a socket: {error.strerror}",
            "check the sandbox of this process",
        )
    if works:
        return Finding(
            "priming", "ok", "the request at T uses a connection that was opened before T: proven here"
        )
    hint = (
        "jobs start nevertheless, but later, with armed: false; install the pycurl wheel of requirements.lock"
    )
    return Finding("priming", "warn", "libcurl does not use a primed connection here", hint)


def _realtime() -> Finding:
    if priority.is_allowed(priority.LANES):
        return Finding("priority", "ok", "a real-time priority around T is allowed")
    hint = _realtime_hint()
    if priority.is_allowed(priority.HOLDING):
        return Finding(
            "priority",
            "warn",
            "a real-time priority around T is allowed for requests, not for Python jobs",
            hint,
        )
    return Finding(
        "priority", "warn", "no real-time priority is allowed here: starts are later on a busy machine", hint
    )


def _realtime_hint() -> str:
    """Return how to set the limit, or, if it is set, what else to check."""
    if hasattr(resource, "RLIMIT_RTPRIO") and _is_enough(resource.getrlimit(resource.RLIMIT_RTPRIO)[0]):
        return (
            "the limit is set: check RestrictRealtime=, seccomp filters and cpu.rt_runtime_us of the "
            "control group"
        )
    if _is_enough(_limit_of_unit()):
        return (
            "the unit has LimitRTPRIO=, but this process does not: run doctor in the unit; a container needs "
            "CAP_SYS_RESOURCE for it"
        )
    return "LimitRTPRIO=2 in the unit, --ulimit rtprio=2 for a container, or CAP_SYS_NICE"


def _is_enough(limit: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= priority.LANES


def _limit_of_unit() -> int:
    """Return the limit that the unit asks for; 0 if there is no such unit, or no systemd."""
    command = ["systemctl", "show", "tminus.service", "--property=LimitRTPRIO", "--value"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return 0
    if text == "infinity":
        return resource.RLIM_INFINITY
    return int(text) if text.isdecimal() else 0


def _connections() -> Finding:
    limit = descriptors.hard_limit()
    room = descriptors.connections(limit)
    text = f"{limit} descriptors: {room} connections at once"
    if room < _FEW_CONNECTIONS:
        return Finding(
            "connections",
            "warn",
            text,
            "LimitNOFILE= in the unit, or ulimit -n: further requests start when others have ended",
        )
    return Finding("connections", "ok", text)


def _clock() -> Finding:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256))
    except (AttributeError, OSError):
        return Finding(
            "clock",
            "warn",
            "cannot determine whether the clock is synchronized",
            "make sure that an NTP client runs",
        )
    if state == _TIME_ERROR:
        hint = "install chrony or systemd-timesyncd: T is wall-clock time"
        return Finding("clock", "warn", "the clock is not synchronized", hint)
    return Finding("clock", "ok", "the clock is synchronized")


def _zones() -> Finding:
    try:
        ZoneInfo("Europe/Berlin")
    except (KeyError, ValueError, OSError):
        return Finding("time zones", "fail", "no time zone data", "install the package tzdata")
    return Finding("time zones", "ok", "time zone data is installed")


def _authorities() -> Finding:
    file = ssl.get_default_verify_paths().cafile
    if file is None:
        hint = "install the package ca-certificates, or set SSL_CERT_FILE"
        return Finding(
            "certificates", "warn", "no file of certificate authorities: every https job fails", hint
        )
    return Finding("certificates", "ok", f"certificate authorities in {file}")


def _ledger(open_ledger: Callable[[], Ledger]) -> Finding:
    try:
        with closing(open_ledger()) as ledger:
            return _postgresql(ledger) if ledger.path is None else _sqlite(ledger, ledger.path)
    except TminusError as error:
        return Finding("ledger", "warn" if isinstance(error, NoLedger) else "fail", error.message, error.hint)


def _postgresql(ledger: Ledger) -> Finding:
    with ledger.read() as connection:
        version = connection.execute(sa.text("SHOW server_version")).scalar_one()
    return Finding("ledger", "ok", f"{ledger.url!r}, PostgreSQL {version}")


def _sqlite(ledger: Ledger, path: Path) -> Finding:
    with ledger.read() as connection:
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        result = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if result != "ok":
        return Finding(
            "ledger", "fail", f"{path} is damaged: {' '.join(result.split())}", "restore it from a backup"
        )
    if tuple(int(part) for part in version.split(".")) < _SOUND_SQLITE:
        return Finding(
            "ledger",
            "warn",
            f"SQLite {version} has the WAL-reset bug",
            "install the pysqlite3 wheel of the lock",
        )
    mode = os.stat(path).st_mode & 0o777
    return Finding("ledger", "ok", f"{path}, mode {mode:04o}, sound, SQLite {version}")
