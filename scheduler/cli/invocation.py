"""One invocation of the command line: its options, and what they lead to."""

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
        needs_secrets: Whether the jobs file is not valid without them: for `validate` and the daemon, which puts them in. An
            operator's shell may lack them.
        asks_apps: Whether the applications are asked for the jobs in their code, where no daemon runs that has asked them. That
            starts them; without it the ledger is believed.
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
        """Of the jobs file."""
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
        """The jobs file, valid or not, with the jobs in its applications' code."""
        loaded = self.file.load(self._code())
        gc.freeze()  # as above
        return loaded

    @cached_property
    def definitions(self) -> Definitions:
        """
        Raises:
            InvalidFile: the jobs file is not valid; its errors are on stderr then.
        """
        if self.loaded.definitions is None:
            from scheduler.cli.problems import print_problems

            print_problems(self.output, self.loaded.errors)
            raise InvalidFile(f"{self.path} is not valid", hint="mend what is said above, or name another file with -c")
        return self.loaded.definitions

    @property
    def zone(self) -> ZoneInfo:
        """The file's zone; UTC where there is no file."""
        try:
            return ZoneInfo(self.file.zone)
        except UsageError:
            return ZoneInfo("UTC")

    @property
    def ledger_place(self) -> tuple[where.Place, str | None]:
        """Where the ledger lies, and the group that it is shared with."""
        try:
            file = self.file
        except UsageError:  # no jobs file: the ledger may be named all the same
            return where.ledger(self.ledger_url, None, None, os.environ), None
        return where.ledger(self.ledger_url, file.ledger, self.path, os.environ), file.ledger_group

    def open_ledger(self, *, create: bool = False) -> "Ledger":
        """
        Args:
            create: For commands that run jobs: make one if there is none, and let an older one be migrated once it is locked.

        Raises:
            LedgerError: it is not there and is not to be made, or does not work.
        """
        from scheduler.ledger.engine import open_ledger  # with SQLAlchemy: not for those who need no ledger

        place, group = self.ledger_place
        ledger = open_ledger(place.value, group=group, create=create, upgrade=False, upgrade_later=create)
        self.output.detail(f"ledger {ledger.url!r} ({place.why})")
        return ledger

    def time(self, text: str, *, is_past: bool = False) -> int:
        """
        Raises:
            UsageError: the text is no TIME.
        """
        return parse_time(text, zone=self.zone, now_ns=self.clock.wall_ns(), is_past=is_past)

    def _code(self) -> tuple[CodeJob, ...]:
        """
        A daemon that runs knows what is in force. Without one it is what the applications say now; one that says nothing keeps
        what it said last.
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
        except TminusError as error:  # whoever needs the ledger will say so
            self.output.detail(error.message)
        if not self.asks_apps:
            return known
        answers = ask_for_code(self.file.apps.values(), self.file.folder)
        for name, answer in answers.items():
            if answer.wrong:
                which = "those that it had last" if any(job.app == name for job in known) else "not known"
                self.output.say(f"warning: the jobs in the code of {name} are {which}: {answer.wrong}")
        return updated(known, {name: answer.code for name, answer in answers.items() if not answer.wrong})
