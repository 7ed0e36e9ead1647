"""The definitions of a valid jobs file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tminus.instants import SECOND
from tminus.model.code_job import CodeJob
from tminus.model.job import Job
from tminus.model.notification import Channel, StartSlo


class Priority(StrEnum):
    """The priority of the lanes around T."""

    AUTO = "auto"  #: with a real-time priority where that is allowed
    NORMAL = "normal"


class Reload(StrEnum):
    """The events at which the jobs file is read again."""

    WATCH = "watch"  #: when a file changes, and on SIGHUP
    SIGHUP = "sighup"


class KeepBody(StrEnum):
    """The policy for the storage of responses in the ledger."""

    ON_FAILURE = "on_failure"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The limits for what the ledger stores, and how long."""

    keep_ns: int = 90 * 86_400 * SECOND
    keep_last: int | None = None  #: occurrences of each job; None for no limit
    body: KeepBody = KeepBody.ON_FAILURE
    max_body: int = 64 << 10  #: bytes of a response that are stored


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """
    A Flask application, which a runner process of its own imports.

    Args:
        name: Its name under `apps`, or the text of an inline `app`.
        app: `module:name` or `module:factory()`.
        python: The interpreter of its environment; None for the daemon's.
        directory: Its working directory, where modules are looked for first; absolute.
        env_file: Lines of `NAME=value` for its environment; absolute.
        env: Names of the daemon's variables that it gets, besides a few that every process needs. None stands
            for all.
        background: At most this many background runs at once.
    """

    name: str
    app: str
    python: str | None = None
    directory: str
    env_file: str | None = None
    env: frozenset[str] | None = None
    background: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """The section `daemon:` of the jobs file. None stands for `auto`, and for no `ledger_group`."""

    lead_ns: int | None = None
    lanes: int | None = None
    priority: Priority = Priority.AUTO
    max_connections: int | None = None
    shutdown_grace_ns: int = 30 * SECOND
    ledger_group: str | None = None
    reload: Reload = Reload.WATCH
    history: History = History()
    notify: tuple[str, ...] = ()  #: the channels that are pinged while the daemon is well


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """
    One version of the jobs file and what it includes.

    Args:
        paths: The files it was read from, the jobs file first; calendars last.
        folder: The folder of the jobs file, without links: where modules and secret files are looked for.
        version: First 12 hex digits of the SHA-256 of `text`.
        text: The merged jobs as JSON, with `${…}` unexpanded, and `code` if there is any. The ledger has it
            for each version.
        ledger: An SQLAlchemy URL, if the file names one.
        zone: The file's zone, an IANA name.
        apps: The applications by name; inline ones by their text.
        code: The jobs that the applications' code defines, not merged yet.
        jobs: The jobs by name, in the file's order, then those of `code`.
        channels: The channels for notifications, by name.
        start_slo: The limit for late starts; None if there is none.
    """

    paths: tuple[str, ...]
    folder: str = "."
    version: str
    text: str
    zone: str
    ledger: str | None = None
    daemon: DaemonSettings = DaemonSettings()
    apps: Mapping[str, App] = field(default_factory=dict)
    code: Sequence[CodeJob] = ()
    jobs: Mapping[str, Job] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    start_slo: StartSlo | None = None

    @property
    def failure_limits(self) -> Mapping[str, int]:
        """The failures in a row after which jobs are paused; the other jobs are not there."""
        return {name: job.pause_on_failure for name, job in self.jobs.items() if job.pause_on_failure}
