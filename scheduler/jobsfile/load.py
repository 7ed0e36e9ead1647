"""The way in: from a path to definitions, or to every problem at once."""

import gc
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scheduler.clock import SystemClock
from scheduler.jobsfile.apps import app_faults, apps_of
from scheduler.jobsfile.code import as_said
from scheduler.jobsfile.faults import Fault
from scheduler.jobsfile.include import Sources
from scheduler.jobsfile.last_resort import last_resort
from scheduler.jobsfile.outside import Outside
from scheduler.jobsfile.problems import Problem, Severity
from scheduler.jobsfile.report import Report
from scheduler.jobsfile.sections import NamedApp, Sections, gather, with_code
from scheduler.jobsfile.settings import daemon_settings
from scheduler.model.code import CodeJob
from scheduler.model.definitions import App, DaemonSettings, Definitions

if TYPE_CHECKING:
    from scheduler.jobsfile.build import Builder
    from scheduler.jobsfile.explain import ValueOrigin


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What became of a jobs file.

    Args:
        definitions: None where there are errors.
        errors: By file, line and column.
        warnings: The same; the file is valid all the same.
    """

    definitions: Definitions | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    _builder: "Builder" = field(repr=False)
    _sections: Sections = field(repr=False)
    _report: Report = field(repr=False)

    def with_faults(self, faults: Iterable[tuple[str, Fault]], apps: Iterable[tuple[str, Fault]] = ()) -> "Loaded":
        """The same, with what came out elsewhere about some of its jobs, or its applications; each fault with the name of it."""
        for name, fault in faults:
            self._report.fault(self._builder.layers(name), fault, user=name)
        for name, fault in apps:
            self._report.fault([self._sections.apps[name].layer], fault)
        errors = self._report.errors
        return replace(self, definitions=None if errors else self.definitions, errors=errors, warnings=self._report.warnings)

    def explain(self, name: str) -> "list[ValueOrigin]":
        """
        One merged job, value by value, with where each comes from. Not thread-safe.

        Raises:
            KeyError: the files have no such job.
        """
        from scheduler.jobsfile.explain import explain

        return explain(name, self._builder, self._sections)


class JobsFile:
    """
    A jobs file that was read, with what it includes. Its jobs are built as often as is asked for. Not thread-safe.

    Args:
        path: The jobs file. Problems name it, and what it includes, as it is given here.
        environ: For `${env:…}`; built in: this process's.
        secrets: How bad it is where one is not there: who only asks needs none.

    Raises:
        Nothing for anything that a file can hold.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None, secrets: Severity = Severity.ERROR
    ) -> None:
        self.path = os.fspath(path)
        self.apps: Mapping[str, App] = {}  #: those under `apps:` that may be started
        self._environ = os.environ if environ is None else environ
        self._secrets = secrets
        self._report = Report()
        self._paths: tuple[str, ...] = (self.path,)
        self._sections = Sections()
        with _no_garbage_collection(), last_resort(self.path, self._report):
            self._read()

    def _read(self) -> None:
        sources, outside = Sources(self.path, self._report), self._outside()
        self._paths = tuple(document.path for document in sources.documents)
        self._sections = gather(sources.documents, self._report)
        if self._sections.ledger is not None:
            from scheduler.jobsfile.texts import ledger_faults

            for fault in ledger_faults(self._sections.ledger, outside):
                self._report.fault([self._sections.settings["ledger"]], fault)
        sound = {name: app for name, app in self._sections.apps.items() if not self._app_faults(app, outside)}
        self.apps = apps_of(sound, (), outside)

    @property
    def folder(self) -> str:
        """Where modules are found last."""
        return os.path.dirname(os.path.realpath(self.path))

    @property
    def zone(self) -> str:
        """The file's zone, valid file or not."""
        return self._sections.timezone or "UTC"

    @property
    def ledger(self) -> str | None:
        """The ledger that the file names, valid file or not."""
        return self._sections.ledger

    @property
    def settings(self) -> DaemonSettings:
        """`daemon:`, without what is wrong there."""
        return daemon_settings(self._sections.daemon)

    def load(self, code: Iterable[CodeJob] = (), *, now_ns: int | None = None) -> Loaded:
        """
        Build the jobs; look at all of it.

        Args:
            code: What the code of its applications defines; of others it is left out.
            now_ns: Wall clock, nanoseconds since the Unix epoch; built in: now.

        Thread-safety:
            Stops the garbage collector of the process while it runs.
        """
        from scheduler.jobsfile.build import Builder  # not for those who only ask where the ledger lies

        with _no_garbage_collection():
            report, outside, code, sections = self._report.copy(), self._outside(), tuple(code), self._sections
            with last_resort(self.path, report):
                sections = with_code(sections, code, report)
            builder = Builder(sections, report, outside, SystemClock().wall_ns() if now_ns is None else now_ns)
            definitions = None
            with last_resort(self.path, report):
                builder.build()
                definitions = None if report.errors else self._definitions(code, builder, outside)
            return Loaded(definitions, report.errors, report.warnings, builder, sections, report)

    def _definitions(self, code: Iterable[CodeJob], builder: "Builder", outside: Outside) -> Definitions:
        code = tuple(job for job in code if job.app in self._sections.apps)
        said: dict[str, Any] = {"version": 1, "timezone": self.zone, "jobs": builder.merged}
        if code:
            said["code"] = [as_said(job) for job in code]
        text = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return Definitions(
            paths=self._paths,
            folder=self.folder,
            version=hashlib.sha256(text.encode()).hexdigest()[:12],
            text=text,
            zone=self.zone,
            ledger=self.ledger,
            daemon=self.settings,
            apps=apps_of(self._sections.apps, builder.jobs.values(), outside),
            code=code,
            jobs=builder.jobs,
        )

    def _app_faults(self, app: NamedApp, outside: Outside) -> bool:
        faults = list(app_faults(app, outside))
        for fault in faults:
            self._report.fault([app.layer], fault)
        return bool(faults) or app.is_faulty

    def _outside(self) -> Outside:
        return Outside(os.path.dirname(os.path.abspath(self.path)), self._environ, secrets=self._secrets)


def load(
    path: str | os.PathLike[str],
    *,
    now_ns: int | None = None,
    environ: Mapping[str, str] | None = None,
    secrets: Severity = Severity.ERROR,
) -> Loaded:
    """The jobs file by itself, as `JobsFile` has it."""
    return JobsFile(path, environ=environ, secrets=secrets).load(now_ns=now_ns)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Hundreds of thousands of small objects that all stay: each collection would look at them for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
