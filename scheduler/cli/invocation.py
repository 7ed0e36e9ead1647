"""One invocation of the command line: its options, and the jobs file, ledger and times that they mean."""

import gc
import os
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from scheduler.cli.output import Output
from scheduler.clock import Clock, SystemClock
from scheduler.errors import TminusError, UsageError
from scheduler.jobsfile.load import JobsFile, Loaded
from scheduler.jobsfile.problems import Severity
from scheduler.model.code import CodeJob, updated
from scheduler.model.definitions import Definitions
from scheduler.operations import where
from scheduler.operations.times import parse_time

if TYPE_CHECKING:
    from scheduler.ledger.engine import Ledger


class InvalidFile(UsageError):
    """The jobs file has errors; they have been printed."""


@dataclass(kw_only=True)
class Invocation:
    """
    Attributes:
        config: `--config`.
        ledger_url: `--ledger`.
        started_ns: When this process started, wall clock.
        needs_secrets: Whether the jobs file is invalid if a secret is missing: for `validate` and the daemon. An operator's shell
            may lack the secrets.
        asks_apps: Whether to ask the applications for the jobs in their code if no daemon runs that has asked them. That starts
            the applications; otherwise the jobs are those in the ledger.
    """

    config: str | None
    ledger_url: str | None
    output: Output
    started_ns: int
    needs_secrets: bool = False
    asks_apps: bool = False

    @cached_property
    def clock(self) -> Clock:
        return SystemClock()

    @cached_property
    def path(self) -> str:
        """The path of the jobs file."""
        place = where.jobs_file(self.config, os.environ)
        self.output.detail(f"jobs file {place.value} ({place.why})")
        return place.value

    @cached_property
    def file(self) -> JobsFile:
        """The jobs file by itself."""
        file = JobsFile(self.path, secrets=Severity.ERROR if self.needs_secrets else Severity.WARNING)
        gc.freeze()  # the file stays: no garbage collection walks through it
        return file

    @cached_property
    def loaded(self) -> Loaded:
        """The jobs file, valid or not, with the jobs in the code of its applications."""
        loaded = self.file.load(self._code())
        gc.freeze()  # as above
        return loaded

    @cached_property
    def definitions(self) -> Definitions:
        """
        Raises:
            InvalidFile: the jobs file is not valid; its errors were printed.
        """
        if self.loaded.definitions is None:
            from scheduler.cli.problems import print_problems

            print_problems(self.output, self.loaded.errors)
            raise InvalidFile(f"{self.path} is not valid", hint="mend what is said above, or name another file with -c")
        return self.loaded.definitions

    @property
    def zone(self) -> ZoneInfo:
        """The file's zone; UTC without a file."""
        try:
            return ZoneInfo(self.file.zone)
        except UsageError:
            return ZoneInfo("UTC")

    @property
    def ledger_place(self) -> tuple[where.Place, str | None]:
        """Where the ledger is, and the group that shares it."""
        try:
            file = self.file
        except UsageError:  # no jobs file: the ledger may still be named elsewhere
            return where.ledger(self.ledger_url, None, None, os.environ), None
        return where.ledger(self.ledger_url, file.ledger, self.path, os.environ), file.ledger_group

    def open_ledger(self, *, create: bool = False) -> "Ledger":
        """
        Args:
            create: For commands that run jobs: create a missing ledger, and leave an older one to be migrated once it is locked.

        Raises:
            LedgerError: the ledger is missing and is not to be created, or does not work.
        """
        from scheduler.ledger.engine import open_ledger  # with SQLAlchemy: not for those who need no ledger

        place, group = self.ledger_place
        ledger = open_ledger(place.value, group=group, create=create, upgrade=False, upgrade_later=create)
        self.output.detail(f"ledger {ledger.url!r} ({place.why})")
        return ledger

    def time(self, text: str, *, is_past: bool = False) -> int:
        """
        Raises:
            UsageError: the text is not a TIME.
        """
        return parse_time(text, zone=self.zone, now_ns=self.clock.wall_ns(), is_past=is_past)

    def _code(self) -> tuple[CodeJob, ...]:
        """
        Return the jobs in the applications' code. A running daemon knows them. Otherwise the applications are asked; one that
        does not answer keeps the jobs that it had last.
        """
        if not self.file.apps:
            return ()
        # With the ledger's history and processes: not for those who have no applications.
        from scheduler.operations.ask_app import ask_for_code
        from scheduler.operations.known_code import known_code
        from scheduler.operations.status import daemon_of

        known: tuple[CodeJob, ...] = ()
        try:
            with closing(self.open_ledger()) as ledger:
                known = known_code(ledger)
                if daemon_of(ledger, self.clock.wall_ns()):
                    return known
        except TminusError as error:  # a command that needs the ledger reports the error
            self.output.detail(error.message)
        if not self.asks_apps:
            return known
        answers = ask_for_code(self.file.apps.values(), self.file.folder)
        for name, answer in answers.items():
            if answer.wrong:
                which = "those that it had last" if any(job.app == name for job in known) else "not known"
                self.output.say(f"warning: the jobs in the code of {name} are {which}: {answer.wrong}")
        return updated(known, {name: answer.code for name, answer in answers.items() if not answer.wrong})
