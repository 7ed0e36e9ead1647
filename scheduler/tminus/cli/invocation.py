"""
One invocation of the command line: its options, and the jobs file, the ledger and the times that they refer
to.
"""

import gc
import os
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tminus.cli.output import CommandOutput
from tminus.clock import Clock, SystemClock
from tminus.errors import LedgerError, TminusError, UsageError
from tminus.jobsfile.load import JobsFile, Loaded
from tminus.jobsfile.text.problems import Severity
from tminus.model.code_job import CodeJob, merge_code_jobs
from tminus.model.definitions import Definitions
from tminus.operations import locations
from tminus.operations.times import parse_time
from tminus.operations.user import current_user
from tminus.policies.withheld import Withheld

if TYPE_CHECKING:
    from tminus.ledger.engine import Ledger


class InvalidFile(UsageError):
    """The jobs file has errors; they were printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """
    The definitions that a command shows.

    Attributes:
        loaded: The jobs file, or what is in force while the file is not valid.
        definitions: The definitions in `loaded`.
        is_stored: Whether they come from the ledger. Then nothing may run by them, because any member of the
            ledger's group may have written their text.
    """

    loaded: Loaded
    definitions: Definitions
    is_stored: bool


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """
    One call of a command.

    Attributes:
        config: `--config`.
        ledger_url: `--ledger`.
        output: Where the command prints.
        started_ns: When this process started, wall clock.
    """

    config: str | None
    ledger_url: str | None
    output: CommandOutput
    started_ns: int

    @cached_property
    def clock(self) -> Clock:
        return SystemClock()

    @cached_property
    def path(self) -> str:
        """The path of the jobs file."""
        place = locations.jobs_file(self.config, os.environ)
        self.output.detail(f"jobs file {place.value} ({place.why})")
        return place.value

    @cached_property
    def file(self) -> JobsFile:
        """The jobs file itself, without the jobs in code."""
        file = JobsFile(self.path)
        gc.freeze()  # the file stays: no garbage collection walks through it
        return file

    def load(self, *, ask_apps: bool = False, need_secrets: bool = False) -> Loaded:
        """
        Return the jobs file, valid or not, with the jobs in the code of its applications.

        Args:
            ask_apps: Whether to ask the applications for these jobs if no daemon runs that has asked them.
                That starts the applications; otherwise the jobs are those in the ledger.
            need_secrets: Whether the file is invalid if a secret is missing, as for the daemon. An operator's
                shell may lack the secrets.
        """
        secrets = Severity.ERROR if need_secrets else Severity.WARNING
        loaded = self.file.load(self._code(ask_apps=ask_apps), secrets=secrets)
        gc.freeze()  # as above
        return loaded

    def definitions(self, loaded: Loaded) -> Definitions:
        """
        Return the definitions of a valid file.

        Raises:
            InvalidFile: the file is not valid; its errors were printed.
        """
        if loaded.definitions is None:
            from tminus.cli.problems import print_problems

            print_problems(self.output, loaded.errors)
            hint = "correct the errors above, or name another file with -c"
            raise InvalidFile(f"{self.path} is not valid", hint=hint)
        return loaded.definitions

    def load_in_force(self) -> InForce:
        """
        Return the jobs file; while it is not valid, the configuration that is in force, with a warning.

        Raises:
            InvalidFile: the file is not valid, and no daemon runs; its errors were printed.
        """
        loaded = self.load(ask_apps=True)
        stored = self._stored if loaded.definitions is None else None
        if stored is None or stored.definitions is None:
            return InForce(loaded=loaded, definitions=self.definitions(loaded), is_stored=False)
        first, more = loaded.errors[0], len(loaded.errors) - 1
        others = f"; {more} more error{'' if more == 1 else 's'}" if more else ""
        self.output.say_unless_quiet(
            f"warning: the jobs file is not valid: {first}{others}\n"
            f"  the configuration in force is used: {stored.definitions.version}"
        )
        return InForce(loaded=stored, definitions=stored.definitions, is_stored=True)

    def load_if_valid(self) -> Definitions | None:
        """Return the definitions; None if there is no jobs file, or if it is not valid."""
        try:
            return self.load().definitions
        except UsageError:
            return None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the file; if that cannot be read, the one in force; otherwise UTC."""
        try:
            file = self.file
        except UsageError:
            return ZoneInfo("UTC")
        stored = None if file.is_readable else self._stored
        return ZoneInfo(stored.definitions.zone if stored and stored.definitions else file.zone)

    @property
    def ledger_place(self) -> tuple[locations.Location, str | None]:
        """The place of the ledger, and the group that shares it."""
        try:
            file = self.file
        except UsageError:  # no jobs file: the ledger may still be named elsewhere
            return locations.ledger(self.ledger_url, None, None, os.environ), None
        if not file.is_readable and (place := self._published_ledger):
            return place, None
        return locations.ledger(self.ledger_url, file.ledger, self.path, os.environ), file.ledger_group

    def open_ledger(self, *, create: bool = False) -> "Ledger":
        """
        Open the ledger.

        Args:
            create: Whether to create a missing ledger, and to open an older one. The caller migrates the
                older one once it has the lock, or refuses it by `check_schema`.

        Raises:
            LedgerError: the ledger is missing and is not to be created, or does not work.
        """
        from tminus.ledger.engine import open_ledger  # with SQLAlchemy: not for those who need no ledger

        place, group = self.ledger_place
        ledger = open_ledger(place.value, group=group, create=create, upgrade=False, upgrade_later=create)
        self.output.detail(f"ledger {ledger.url!r} ({place.why})")
        return ledger

    @property
    def user(self) -> str:
        """Who calls the command, `user@host`."""
        return current_user()

    def find_withheld(self) -> Withheld:
        """Return what is paused and skipped now; nothing if the ledger cannot be read."""
        from tminus.ledger import skips

        try:
            with closing(self.open_ledger()) as ledger, ledger.read() as connection:
                return skips.load(connection).as_of(self.clock.wall_ns())
        except LedgerError as error:  # a command that needs the ledger reports the error
            self.output.detail(error.message)
            return Withheld()

    def time(self, text: str, *, is_past: bool = False) -> int:
        """
        Return an instant, as nanoseconds since the Unix epoch.

        Args:
            text: A TIME.
            is_past: As for `parse_time`.

        Raises:
            UsageError: the text is not a TIME.
        """
        return parse_time(text, zone=self.zone, now_ns=self.clock.wall_ns(), is_past=is_past)

    @cached_property
    def _published_ledger(self) -> locations.Location | None:
        """The ledger of the daemon with this jobs file; None if it is unknown, or the command names one."""
        from tminus.operations.published_ledger import published  # with SQLAlchemy

        if self.ledger_url or os.environ.get("TMINUS_LEDGER"):
            return None
        for one in published(self.path):
            if one.is_trusted and one.ledger and one.ledger.startswith("sqlite:"):  # others need a password
                return locations.Location(one.ledger, f"the daemon with pid {one.pid} uses it")
        return None

    @cached_property
    def _stored(self) -> Loaded | None:
        """The configuration in force, from the ledger; None if no daemon runs, or if it cannot be read."""
        from tminus.jobsfile.stored_jobs import load_stored_jobs
        from tminus.ledger import history
        from tminus.operations.running_daemon import daemon_of

        try:
            with closing(self.open_ledger()) as ledger:
                daemon = daemon_of(ledger, self.clock.wall_ns())
                version = daemon.config_version if daemon else None
                text = history.config_text(ledger, version) if version else None
        except TminusError as error:  # a command that needs the ledger reports the error
            self.output.detail(error.message)
            return None
        return load_stored_jobs(text, version=version, folder=self.file.folder) if text and version else None

    def _code(self, *, ask_apps: bool) -> tuple[CodeJob, ...]:
        """
        Return the jobs in the applications' code. A running daemon knows them. Otherwise the applications are
        asked; one that does not answer keeps the jobs that it had last.
        """
        if not self.file.apps:
            return ()
        # Here, because these import SQLAlchemy: only for a file with applications.
        from tminus.operations.inspect_app import discover_code_jobs
        from tminus.operations.known_code import known_code
        from tminus.operations.running_daemon import daemon_of

        known: tuple[CodeJob, ...] = ()
        try:
            with closing(self.open_ledger()) as ledger:
                known = known_code(ledger)
                if daemon_of(ledger, self.clock.wall_ns()):
                    return known
        except TminusError as error:  # a command that needs the ledger reports the error
            self.output.detail(error.message)
        if not ask_apps:
            return known
        answers = discover_code_jobs(self.file.apps.values(), self.file.folder)
        for name, answer in answers.items():
            if answer.error:
                which = "those that it had last" if any(job.app == name for job in known) else "not known"
                self.output.say_unless_quiet(
                    f"warning: the jobs in the code of {name} are {which}: {answer.error}"
                )
        return merge_code_jobs(
            known, {name: answer.code_jobs for name, answer in answers.items() if not answer.error}
        )
